//! Views and what is saved for tests: `ethereum` of `public`, and what its channels did with `eth_call`.

use lasso_jsonrpc::method::MethodClass;
use lasso_routing::catalog::Transport;
use lasso_routing::fleet::saved::{SavedCell, SavedChannel, SavedChannels, SavedEvidence, SavedManual};
use lasso_routing::fleet::view::{ChainView, ChannelStatus, StandingRow, View};
use lasso_routing::report::Ending;
use lasso_routing::table::BreakerView;
use lasso_routing::time::{Micros, Millis};

/// One standing for each (provider, successes, failures of the network); an answer takes a millisecond.
pub(crate) fn view(rows: &[(&str, u64, u64)]) -> View {
    let chain = ChainView {
        profile: "public".into(),
        chain: "ethereum".into(),
        chain_id: 1,
        strategy: "fastest",
        best_head: None,
        block_time: Millis(12_000),
        block_time_measured: false,
        max_lag: 2,
        selections: Default::default(),
        requests: Default::default(),
        members: rows.iter().enumerate().map(|(index, (provider, ..))| (index, (*provider).into())).collect(),
    };
    View {
        generation: "0001".into(),
        chains: vec![chain],
        channels: rows.iter().map(|(provider, ..)| channel(provider)).collect(),
        standings: rows.iter().enumerate().map(|(index, row)| standing(index, *row)).collect(),
        ..View::default()
    }
}

fn channel(provider: &str) -> ChannelStatus {
    ChannelStatus {
        channel: format!("ethereum/{provider}/http").into(),
        transport: Transport::Http,
        breaker: BreakerView::Closed,
        waits_for_probe: false,
        openings: 0,
        manual: Default::default(),
        limited: None,
        barred: None,
        connected: None,
        health: Default::default(),
        availability: Default::default(),
        head: None,
        head_age: None,
        unproved: false,
        lag: None,
        in_flight: 0,
        endings: [0; Ending::COUNT],
        limits: Vec::new(),
    }
}

fn standing(channel: usize, (provider, successes, failures): (&str, u64, u64)) -> StandingRow {
    let mut endings = [0; Ending::COUNT];
    endings[Ending::Success as usize] = successes;
    endings[Ending::Network as usize] = failures;
    StandingRow {
        chain: 0,
        channel,
        provider: provider.into(),
        class: MethodClass::named("eth_call").unwrap(),
        weight: 1.0,
        success: 0.5,
        mean: Some(1_000.0),
        expected: 1_000.0,
        index: 900.0,
        p50: None,
        p95: None,
        p99: None,
        unqualified: None,
        endings,
        share: 0.5,
        rank: channel as u32 + 1,
        score: 2.0,
        age: Millis(0),
        latency_total: Micros(successes * 1_000),
        latencies: vec![(32, successes)],
    }
}

/// One channel that opened so often, open for as long, by hand and limited.
pub(crate) fn saved_channels(opens: u32, open_ms: u64) -> SavedChannels {
    let channel = SavedChannel {
        channel: "ethereum/a/http".into(),
        open_ms: Some(open_ms),
        because: Some("network".into()),
        opens,
        manual: SavedManual::Open,
        limited_ms: Some(700),
        own_marks: 1,
        wrong_chain: false,
    };
    SavedChannels { channels: vec![channel] }
}

/// What is known of one class on that channel, as old as this.
pub(crate) fn saved_evidence(age_ms: u64) -> SavedEvidence {
    let cell = SavedCell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: "ethereum/a/http".into(),
        class: "eth_call".into(),
        mean: 1_000.0,
        weight: 3.0,
        successes: 3.0,
        failures: 0.0,
        failures_in_a_row: 0,
        age_ms,
        latencies: vec![(40, 3)],
    };
    SavedEvidence { cells: vec![cell] }
}
