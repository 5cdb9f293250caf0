//! A fleet that stands still: what the API and the metrics are tested with.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lasso_hub::FeedRow;
use lasso_jsonrpc::method::MethodClass;
use lasso_routing::catalog::Transport;
use lasso_routing::evidence::bucket_of;
use lasso_routing::fleet::event::{Health, Manual};
use lasso_routing::fleet::view::{
    Availability, ChainView, ChannelStatus, NodeStatus, StandingRow, Totals, Unqualified, View,
};
use lasso_routing::report::{Dropped, Ending};
use lasso_routing::table::{Barred, BreakerView};
use lasso_routing::time::{Micros, Millis};

use crate::events::relay::FeedCounts;
use crate::history::History;
use crate::http::facts::{
    Ack, ConfigFacts, Counters, Facts, Nack, NodeConfig, Queue, RefusedConfig, Reloaded, XdsAnswers,
};

/// Two profiles that share a channel; one channel is fast, one open, one of another chain.
pub(crate) fn view() -> View {
    let chain = |profile: &str, members: &[(usize, &str)]| ChainView {
        profile: profile.into(),
        chain: "ethereum".into(),
        chain_id: 1,
        strategy: "fastest",
        best_head: Some(21_000_000),
        block_time: Millis(12_000),
        block_time_measured: true,
        max_lag: 2,
        selections: [90, 3, 2, 5, 1, 4, 1, 7],
        requests: [95, 90, 3, 1, 0],
        members: members.iter().map(|(channel, provider)| (*channel, Box::from(*provider))).collect(),
    };
    View {
        generation: "0123456789abcdef".into(),
        chains: vec![
            chain("public", &[(0, "alchemy"), (1, "infura"), (2, "drpc"), (3, "alchemy")]),
            chain("beta", &[(0, "shared")]),
        ],
        channels: channels(),
        standings: standings(),
        nodes: vec![NodeStatus {
            node: "envoy-1".into(),
            region: "eu".into(),
            streams: 3,
            active: 2,
            generations: vec!["0123456789abcdef".into()],
            versions: vec!["0.1.0".into()],
            set_aside: true,
            attempts: 116,
            reports: 12,
            last_report: Some(Millis(40)),
            dropped: Dropped { coarsened: 3, decisions: 2, lessons: 1, lost: 4 },
        }],
        totals: Totals {
            reports: 12,
            repeated: 1,
            attempts: 116,
            tables: 30,
            cells: 44,
            trials: 2,
            explorations: 5,
            refused: 1,
            unknown: 4,
        },
    }
}

fn channels() -> Vec<ChannelStatus> {
    let quiet = |channel: &str| ChannelStatus {
        channel: channel.into(),
        transport: Transport::Http,
        breaker: BreakerView::Closed,
        waits_for_probe: false,
        openings: 0,
        manual: Manual::Auto,
        limited: None,
        barred: None,
        connected: None,
        health: Health::Healthy,
        availability: Availability::Up,
        head: Some(21_000_000),
        head_age: Some(Millis(900)),
        unproved: false,
        lag: Some(0),
        in_flight: 0,
        endings: [0; Ending::COUNT],
        limits: Vec::new(),
    };
    vec![
        ChannelStatus {
            in_flight: 4,
            endings: [100, 2, 0, 0, 0, 1, 0, 0, 0],
            limits: vec!["at most 2000 blocks at once".to_owned()],
            ..quiet("ethereum/alchemy/http")
        },
        ChannelStatus {
            breaker: BreakerView::Open { left: Some(Millis(1_500)) },
            openings: 2,
            limited: Some(Millis(700)),
            health: Health::Unhealthy,
            availability: Availability::Down,
            head: Some(20_999_990),
            lag: Some(10),
            endings: [3, 0, 5, 0, 5, 0, 0, 0, 0],
            ..quiet("ethereum/infura/http")
        },
        ChannelStatus {
            manual: Manual::Open,
            barred: Some(Barred::WrongChain),
            availability: Availability::Down,
            head: None,
            head_age: None,
            lag: None,
            ..quiet("ethereum/drpc/http")
        },
        ChannelStatus { transport: Transport::Ws, connected: Some(true), ..quiet("ethereum/alchemy/ws") },
    ]
}

fn standings() -> Vec<StandingRow> {
    let row = |chain: usize, channel: usize, provider: &str, method: &str, mean: f32, rank: u32| StandingRow {
        chain,
        channel,
        provider: provider.into(),
        class: MethodClass::named(method).unwrap(),
        weight: 40.0,
        success: 0.99,
        mean: Some(mean),
        expected: mean * 1.1,
        index: mean * 1.2,
        p50: Some(Micros(4_608)),
        p95: Some(Micros(9_216)),
        p99: None,
        unqualified: None,
        endings: [40, 1, 0, 0, 0, 1, 0, 0, 0],
        share: 0.75,
        rank,
        score: 1.6,
        age: Millis(120),
        latency_total: Micros(180_000),
        latencies: vec![(bucket_of(Micros(4_500)), 40), (bucket_of(Micros(500_000)), 1)],
    };
    vec![
        row(0, 0, "alchemy", "eth_call", 4_500.0, 1),
        StandingRow {
            unqualified: Some(Unqualified::Thin),
            endings: [3, 0, 0, 0, 0, 0, 0, 0, 0],
            latencies: vec![(bucket_of(Micros(20_000)), 3)],
            p50: None,
            p95: None,
            ..row(0, 1, "infura", "eth_call", 20_000.0, 2)
        },
        row(0, 0, "alchemy", "eth_getLogs<=10", 30_000.0, 1),
        row(1, 0, "shared", "eth_call", 5_000.0, 1),
    ]
}

/// Ten seconds into 2026.
pub(crate) fn then() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_767_225_610_250)
}

pub(crate) fn config() -> ConfigFacts {
    ConfigFacts {
        generation: "0123456789abcdef".to_owned(),
        effective: Arc::from("profiles:\n  public: {url: 'https://a.example/***'}\n"),
        loaded: then(),
        warnings: vec!["provider `c` is left out: ${KEY} is not set".to_owned()],
        refused: Some(RefusedConfig {
            at: then() + Duration::from_secs(60),
            cause: "file",
            problems: vec!["lasso.yaml:3: profiles.public.chain: unknown key (did you mean `chains`?)".to_owned()],
        }),
    }
}

pub(crate) fn nodes() -> Vec<NodeConfig> {
    let envoy = |node: &str| NodeConfig {
        node: node.to_owned(),
        connected: then(),
        gone: None,
        wanted: Some("0123456789abcdef".to_owned()),
        in_force: Some("0123456789abcdef".to_owned()),
        phase: "settled",
        held: false,
        without: Vec::new(),
        acks: vec![Ack { at: then(), resource_type: "clusters", resources: 3, after: Millis(12) }],
        nacks: Vec::new(),
    };
    let nack = Nack {
        at: then(),
        resource_type: "routes",
        names: vec!["lasso".to_owned()],
        detail: "no such cluster".to_owned(),
    };
    vec![
        envoy("envoy-1"),
        NodeConfig { in_force: None, phase: "routes", held: true, nacks: vec![nack], ..envoy("envoy-2") },
        NodeConfig { gone: Some(then()), ..envoy("envoy-3") },
    ]
}

pub(crate) fn counters() -> Counters {
    let answers = |resource_type, acks, nacks| XdsAnswers { resource_type, acks, nacks };
    Counters {
        reloads_accepted: 3,
        reloads_refused: 1,
        answers: vec![answers("clusters", 4, 0), answers("routes", 3, 1)],
        restarts: vec![("store", 1), ("probe", 0)],
        queues: vec![Queue { name: "store", depth: 2, capacity: 4_096, high_water: 17, dropped: 0 }],
        streams: 5,
        stream_troubles: vec![("silent", 1), ("rejoined", 2)],
        notices_missed: 4,
        hub: lasso_hub::Counts { sockets: 3, subscriptions: 5, opened: 9, ..lasso_hub::Counts::default() },
        feeds: fed(),
    }
}

/// One of each.
fn fed() -> FeedCounts {
    let [profile, chain, kind] = ["public", "ethereum", "newHeads"].map(Arc::<str>::from);
    let channel = Arc::<str>::from("ethereum/a/ws");
    let feed = || [Arc::clone(&profile), Arc::clone(&chain), Arc::clone(&kind)];
    let [of, at, by] = feed();
    FeedCounts {
        failovers: [([of, at, by, "lost".into()], 2)].into(),
        fills: [(feed(), (2, 7))].into(),
        lost: [(feed(), 1)].into(),
        reorgs: [([Arc::clone(&profile), Arc::clone(&chain)], 1)].into(),
        missed: [([Arc::clone(&channel), Arc::clone(&kind)], 1)].into(),
        sockets: [(channel, (4, 2))].into(),
    }
}

/// A feed that lives.
pub(crate) fn feeds() -> Vec<FeedRow> {
    vec![FeedRow {
        profile: "public".into(),
        chain: "ethereum".into(),
        provider: None,
        kind: "newHeads",
        params: r#"["newHeads"]"#.to_owned(),
        state: lasso_subscription::State::Live,
        channel: Some("ethereum/a/ws".into()),
        subscribers: 5,
        bound_for_ms: Some(12_000),
        last_event_age_ms: Some(250),
        head: Some(1_000),
        buffered: 0,
        fills: 2,
        filled: 7,
        failovers: 2,
        duplicates: 3,
        ignored: 0,
        delivered: 90,
    }]
}

/// All of it, and what was asked of it.
#[derive(Debug)]
pub(crate) struct FakeFacts {
    pub(crate) view: Option<Arc<View>>,
    pub(crate) reload: Reloaded,
    pub(crate) history: Option<History>,
    pub(crate) missing: Vec<String>,
    pub(crate) decided: Mutex<Vec<(Box<str>, Manual)>>,
}

impl Default for FakeFacts {
    fn default() -> Self {
        Self {
            view: Some(Arc::new(view())),
            reload: Reloaded::Accepted { generation: "fedcba9876543210".to_owned(), changed: true },
            history: None,
            missing: Vec::new(),
            decided: Mutex::default(),
        }
    }
}

#[tonic::async_trait]
impl Facts for FakeFacts {
    async fn view(&self) -> Option<Arc<View>> {
        self.view.clone()
    }

    async fn decide(&self, channel: Box<str>, decision: Manual) -> bool {
        self.decided.lock().unwrap().push((channel, decision));
        true
    }

    async fn reload(&self) -> Reloaded {
        self.reload.clone()
    }

    fn config(&self) -> ConfigFacts {
        config()
    }

    fn nodes(&self) -> Vec<NodeConfig> {
        nodes()
    }

    fn counters(&self) -> Counters {
        counters()
    }

    async fn feeds(&self) -> Vec<FeedRow> {
        feeds()
    }

    fn history(&self) -> Option<History> {
        self.history.clone()
    }

    fn missing(&self) -> Vec<String> {
        self.missing.clone()
    }
}
