//! Catalogs, calls and attempts for tests.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};

use crate::candidate::Because;
use crate::catalog::spec::{CapabilitiesSpec, ChainSpec, ChannelSpec, ProfileSpec, ProviderSpec, TransportSpec};
use crate::catalog::{Catalog, CatalogSpec, ChainIdx, ChannelIdx};
use crate::ledger::{Begun, End, Ledger, Passage};
use crate::outcome::{Blame, Category, Mark, Next, Row, Verdict};
use crate::plan::{Candidate, NoChannel, Plan, Question, Why, plan};
use crate::table::{BreakerView, ChannelView, Table};
use crate::target::Target;
use crate::time::{Micros, Millis, Timestamp};

pub(crate) const LATEST: Blocks = Blocks::At(BlockRef::Tag(Tag::Latest));

pub(crate) const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) const fn number(number: u64) -> Blocks {
    Blocks::At(BlockRef::Number(number))
}

pub(crate) const fn range(from: u64, to: u64) -> Blocks {
    Blocks::Range { from: BlockRef::Number(from), to: BlockRef::Number(to) }
}

pub(crate) fn channel_spec(chain: &str, provider: &str, transport: TransportSpec) -> ChannelSpec {
    let name = match transport {
        TransportSpec::Http => "http",
        TransportSpec::Ws => "ws",
    };
    let id = format!("{chain}/{provider}/{name}");
    ChannelSpec {
        cluster: format!("lasso/{id}"),
        id,
        transport,
        authority: format!("{provider}.example"),
        path: "/v2/secret".into(),
        headers: [("x-key".to_owned(), "secret".to_owned())].into(),
    }
}

pub(crate) fn provider_spec(chain: &str, id: &str) -> ProviderSpec {
    ProviderSpec {
        id: id.into(),
        channels: vec![format!("{chain}/{id}/http")],
        priority: 100,
        cost: None,
        archival: true,
        requests_per_second: None,
        capabilities: CapabilitiesSpec::default(),
    }
}

pub(crate) fn chain_spec(id: &str, chain_id: u64, providers: &[&str]) -> ChainSpec {
    ChainSpec {
        id: id.into(),
        chain_id,
        aliases: Vec::new(),
        hosts: Vec::new(),
        strategy: "priority".into(),
        block_time_ms: Some(12_000),
        max_lag_blocks: None,
        archival_after_blocks: 128,
        breaker: Default::default(),
        providers: providers.iter().map(|provider| provider_spec(id, provider)).collect(),
    }
}

pub(crate) fn profile_spec(id: &str, chains: Vec<ChainSpec>) -> ProfileSpec {
    ProfileSpec { id: id.into(), methods: Default::default(), explore: true, chains }
}

/// A catalog of the profile `public` with one chain, `ethereum`, and these providers, each with one HTTP channel.
pub(crate) fn spec(providers: &[&str]) -> CatalogSpec {
    CatalogSpec {
        version: 1,
        generation: "0000000000000001".into(),
        workers: 1,
        max_body_bytes: 8_000_000,
        max_batch: 1_000,
        max_meta_header_bytes: 4_096,
        sync: None,
        request_log: None,
        probe_token: None,
        channels: providers.iter().map(|provider| channel_spec("ethereum", provider, TransportSpec::Http)).collect(),
        profiles: vec![profile_spec("public", vec![chain_spec("ethereum", 1, providers)])],
    }
}

/// The same; each of these has a ws channel as well, which tests call `{provider}/ws`.
pub(crate) fn with_sockets(mut spec: CatalogSpec, providers: &[&str]) -> CatalogSpec {
    for provider in providers {
        spec.channels.push(channel_spec("ethereum", provider, TransportSpec::Ws));
        let mut chains = spec.profiles.iter_mut().flat_map(|profile| &mut profile.chains);
        let its = chains.find_map(|chain| chain.providers.iter_mut().find(|its| its.id == **provider));
        its.unwrap().channels.push(format!("ethereum/{provider}/ws"));
    }
    spec
}

pub(crate) const DONE: Verdict = Verdict {
    row: Row::Result,
    next: Next::Stop,
    blame: Blame::None,
    mark: Mark::None,
    success: true,
    hash_is_result: false,
};

pub(crate) const fn failed(category: Category) -> Verdict {
    Verdict { row: Row::Transient, next: Next::Another, blame: Blame::Counts(category), success: false, ..DONE }
}

pub(crate) const fn marked(mark: Mark) -> Verdict {
    Verdict { row: Row::MissingData, next: Next::Another, mark, success: false, ..DONE }
}

/// The id of a provider's HTTP channel, or of the one over the transport that is named.
pub(crate) fn id_of(provider: &str) -> String {
    if provider.contains('/') { format!("ethereum/{provider}") } else { format!("ethereum/{provider}/http") }
}

/// A catalog, a ledger, and a clock that only a test moves.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    pub(crate) target: Target,
    pub(crate) seed: u64,
}

impl World {
    /// One chain with these providers.
    pub(crate) fn of(providers: &[&str]) -> Self {
        Self::with(providers, |_| {})
    }

    /// The same, its chain changed first.
    pub(crate) fn with(providers: &[&str], change: impl FnOnce(&mut ChainSpec)) -> Self {
        let mut spec = spec(providers);
        change(&mut spec.profiles[0].chains[0]);
        Self::from(spec)
    }

    pub(crate) fn from(spec: CatalogSpec) -> Self {
        let catalog = Catalog::try_from(spec).unwrap();
        let target = target(&catalog, "/rpc/ethereum");
        let mut ledger = Ledger::new(7);
        ledger.adopt(&catalog, at(0));
        Self { catalog, ledger, now: at(1_000_000), target, seed: 1 }
    }

    /// Names what the client names.
    pub(crate) fn asked(&mut self, path_and_query: &str) -> &mut Self {
        self.target = target(&self.catalog, path_and_query);
        self
    }

    pub(crate) fn later(&mut self, millis: u64) -> &mut Self {
        self.now = self.now.plus(Millis(millis));
        self
    }

    pub(crate) fn plan(&mut self, method: &str, blocks: Blocks) -> Result<Plan, NoChannel> {
        self.plan_stuck_to(method, blocks, None)
    }

    pub(crate) fn plan_stuck_to(
        &mut self,
        method: &str,
        blocks: Blocks,
        sticky: Option<ChannelIdx>,
    ) -> Result<Plan, NoChannel> {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let method = Method::of(method);
        let question = Question {
            target: &self.target,
            method: &method,
            class: MethodClass::of(&method, &blocks),
            blocks: &blocks,
            sticky,
            seed: self.seed,
            now: self.now,
        };
        plan(&self.catalog, &mut self.ledger, &question)
    }

    /// The providers in the order they are asked, as in `a b c`, last resorts behind others as in `a (b)`; else `nobody`.
    pub(crate) fn order(&mut self, method: &str, blocks: Blocks) -> String {
        match self.plan(method, blocks) {
            Ok(plan) => self.names(&plan.candidates),
            Err(_) => "nobody".into(),
        }
    }

    pub(crate) fn names(&self, candidates: &[Candidate]) -> String {
        let behind = |place: usize, candidate: &Candidate| place > 0 && candidate.why == Why::LastResort;
        let name = |(place, candidate): (usize, &Candidate)| {
            let name = self.provider(candidate.channel);
            if behind(place, candidate) { format!("({name})") } else { name.to_owned() }
        };
        let names: Vec<_> = candidates.iter().enumerate().map(name).collect();
        names.join(" ")
    }

    pub(crate) fn provider(&self, channel: ChannelIdx) -> &str {
        let (_, name) = self.catalog.channel(channel).unwrap().id().split_once('/').unwrap();
        name.strip_suffix("/http").unwrap_or(name)
    }

    pub(crate) fn channel(&self, provider: &str) -> ChannelIdx {
        self.catalog.channel_named(&id_of(provider)).unwrap()
    }

    /// A table says that this ws channel has a live socket, or that it has none.
    pub(crate) fn sockets(&mut self, provider: &str, connected: bool) -> &mut Self {
        let view = ChannelView {
            channel: id_of(provider).into(),
            breaker: BreakerView::Closed,
            opening: 1,
            limited: None,
            barred: None,
            connected,
        };
        self.ledger.follow_table(&Table { channels: vec![view], ..Table::default() }, self.now);
        self
    }

    pub(crate) const fn chain(&self) -> ChainIdx {
        self.target.chain
    }

    /// Why that provider is not asked.
    #[track_caller]
    pub(crate) fn reason(&mut self, provider: &str, method: &str, blocks: Blocks) -> Option<Because> {
        let channel = self.channel(provider);
        let rejected = self.plan(method, blocks).map_or_else(|none| none.reasons, |plan| plan.rejected);
        rejected.iter().find(|rejection| rejection.channel == channel).map(|rejection| rejection.because)
    }

    /// Whether it admits, as the worker's breaker and the fleet's have it together.
    pub(crate) fn passage(&self, provider: &str) -> Passage {
        self.ledger.passage(self.channel(provider), self.now)
    }

    /// Starts an attempt of that plan.
    pub(crate) fn begin(&mut self, plan: &Plan, place: usize) -> Begun {
        self.ledger.begin(&plan.candidates[place], plan, self.now)
    }

    pub(crate) fn end<'a>(
        &self,
        begun: Begun,
        method: &'a Method<'a>,
        blocks: &'a Blocks,
        verdict: &'a Verdict,
    ) -> End<'a> {
        End { begun, method, blocks, latency: Micros(20_000), verdict, head: None, now: self.now }
    }

    /// One attempt on that provider, from begin to end, whatever a plan would say.
    pub(crate) fn attempt(&mut self, provider: &str, method: &str, verdict: &Verdict) {
        self.attempt_showing(provider, method, verdict, None);
    }

    /// The same; the reply shows a head.
    pub(crate) fn attempt_showing(&mut self, provider: &str, method: &str, verdict: &Verdict, head: Option<u64>) {
        let begun = self.begun(provider, method, LATEST);
        let method = Method::of(method);
        let end = End { head, ..self.end(begun, &method, &LATEST, verdict) };
        self.ledger.settle(&end);
    }

    /// What another channel's answer taught of an attempt on this one.
    pub(crate) fn learn(&mut self, provider: &str, method: &str, blocks: Blocks, mark: Mark) {
        let begun = self.begun(provider, method, blocks);
        let (method, verdict) = (Method::of(method), marked(mark));
        let end = self.end(begun, &method, &blocks, &verdict);
        self.ledger.settle(&end);
        self.ledger.learned(&end);
    }

    fn begun(&mut self, provider: &str, method: &str, blocks: Blocks) -> Begun {
        let channel = self.channel(provider);
        let method = Method::of(method);
        let plan = Plan {
            candidates: vec![Candidate { channel, why: Why::Ranked }],
            chain: self.chain(),
            class: MethodClass::of(&method, &blocks),
            deadline: Millis(3_000),
            per_try: Millis(900),
            attempts: crate::plan::Attempts::Replay,
            strategy: crate::Strategy::Priority,
            reason: crate::plan::SelectionReason::Strategy,
            degraded: None,
            rejected: Vec::new(),
            era: self.ledger.era(),
        };
        self.begin(&plan, 0)
    }

    /// Opens it by silence, for a second.
    pub(crate) fn silence(&mut self, provider: &str) {
        for _ in 0..4 {
            self.attempt(provider, "eth_call", &failed(Category::Network));
            self.later(200);
        }
    }
}

pub(crate) fn target(catalog: &Catalog, path_and_query: &str) -> Target {
    crate::target::resolve(catalog, "localhost", path_and_query, &|_| None).unwrap()
}
