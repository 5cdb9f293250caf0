//! Whatever happens, in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use event::Manual;

const PROVIDERS: [&str; 3] = ["p0", "p1", "p2"];

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Join(u64),
    Leave(u64),
    Say { worker: u64, provider: usize, successes: u32, failures: u32, category: usize },
    Resend(u64),
    Try { worker: u64, provider: usize, fails: bool },
    Refuse { worker: u64, provider: usize },
    Show { worker: u64, provider: usize, number: u64 },
    Find { provider: usize, found: usize },
    Decide { provider: usize, decision: usize },
    Probing(bool),
    Deaf(u64),
    Adopt(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0_u64..6;
    let provider = || 0_usize..4;
    prop_oneof![
        6 => (1_u64..400).prop_map(Step::Pass),
        1 => (400_u64..20_000).prop_map(Step::Pass),
        3 => worker().prop_map(Step::Join),
        1 => worker().prop_map(Step::Leave),
        9 => (worker(), provider(), 0_u32..30, 0_u32..6, 0_usize..5).prop_map(
            |(worker, provider, successes, failures, category)| Step::Say { worker, provider, successes, failures, category }
        ),
        2 => worker().prop_map(Step::Resend),
        3 => (worker(), provider(), any::<bool>()).prop_map(|(worker, provider, fails)| Step::Try { worker, provider, fails }),
        1 => (worker(), provider()).prop_map(|(worker, provider)| Step::Refuse { worker, provider }),
        2 => (worker(), provider(), 0_u64..3_000).prop_map(|(worker, provider, number)| Step::Show { worker, provider, number }),
        4 => (provider(), 0_usize..12).prop_map(|(provider, found)| Step::Find { provider, found }),
        1 => (provider(), 0_usize..3).prop_map(|(provider, decision)| Step::Decide { provider, decision }),
        1 => any::<bool>().prop_map(Step::Probing),
        1 => worker().prop_map(Step::Deaf),
        1 => (1_usize..4).prop_map(Step::Adopt),
    ]
}

fn name(provider: usize) -> &'static str {
    PROVIDERS.get(provider).copied().unwrap_or("nobody")
}

const CATEGORIES: [Category; 5] =
    [Category::Network, Category::Timeout, Category::Server, Category::Auth, Category::Billing];

fn found(which: usize) -> Found {
    match which {
        0..5 => Found::Failed(CATEGORIES[which]),
        5 => Found::ChainId(1),
        6 => Found::ChainId(9),
        7 => Found::NotSent,
        8 => Found::Block(1_000),
        9 => Found::NoBlock(5),
        10 => Found::Answered,
        number => Found::Head(number as u64 * 100),
    }
}

/// The world, and what it must come to.
struct Checked {
    world: World,
    joined: BTreeSet<u64>,
    /// The last report of each worker that joined, as it may be sent again.
    last: BTreeMap<u64, Report>,
    attempts: u64,
    reports: u64,
    /// Trials that were leased and not made: of which opening, to whom, and until when.
    leases: BTreeMap<(Box<str>, u32, WorkerId), Timestamp>,
}

impl Checked {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn play(&mut self, step: Step) {
        let world = &mut self.world;
        match step {
            Step::Pass(millis) => world.later(millis),
            Step::Join(id) => {
                if self.joined.insert(id) {
                    world.join(id, ["a", "b", "c"][id as usize % 3]);
                }
            }
            Step::Leave(id) => {
                self.joined.remove(&id);
                self.leases.retain(|(_, _, holder), _| holder.0 != id);
                world.event(Event::Left(WorkerId(id)));
            }
            Step::Say { worker, provider, successes, failures, category } => {
                let failures = (failures > 0).then_some((CATEGORIES[category], failures));
                let saw = Saw { successes, failures, since: 600, millis: 20 };
                let sums = saw.sums();
                let tally = Tally {
                    profile: "public".into(),
                    chain: "ethereum".into(),
                    channel: channel(name(provider)),
                    class: class("eth_chainId"),
                    sums: sums.clone(),
                };
                let channels = vec![saw.channel(name(provider))];
                let known = world.fleet.channels.contains_key(&channel(name(provider)));
                let report = Report { tallies: vec![tally], channels, ..Report::default() };
                self.say(worker, report, if known { sums.attempts() } else { 0 });
            }
            Step::Resend(worker) => {
                if let Some(report) = self.last.get(&worker).cloned() {
                    world.event(Event::Reported(WorkerId(worker), Box::new(report)));
                }
            }
            Step::Try { worker, provider, fails } => {
                let account = world
                    .fleet
                    .channels
                    .get(&channel(name(provider)))
                    .and_then(|&place| world.fleet.accounts.get(place));
                let Some(opening) = account.map(|account| account.breaker.openings()) else { return };
                if self.joined.contains(&worker) {
                    self.leases.remove(&(channel(name(provider)), opening, WorkerId(worker)));
                }
                let trials =
                    Trials { opening, successes: u32::from(!fails), failure: fails.then_some(Category::Server) };
                let channels =
                    vec![ChannelTally { channel: channel(name(provider)), trials, ..ChannelTally::default() }];
                self.say(worker, Report { channels, ..Report::default() }, 0);
            }
            Step::Refuse { worker, provider } => {
                let tally = ChannelTally { channel: channel(name(provider)), refusals: 1, ..ChannelTally::default() };
                self.say(worker, Report { channels: vec![tally], ..Report::default() }, 0);
            }
            Step::Show { worker, provider, number } => {
                let shown = Shown { number, ..Shown::default() };
                let heads = vec![SeenHead { channel: channel(name(provider)), shown }];
                self.say(worker, Report { heads, ..Report::default() }, 0);
            }
            Step::Find { provider, found: which } => world.found(name(provider), found(which)),
            Step::Decide { provider, decision } => {
                let decision = [Manual::Open, Manual::Close, Manual::Auto][decision];
                world.event(Event::Decided { channel: channel(name(provider)), decision });
            }
            Step::Probing(on) => world.fleet.set_probing(on, world.now),
            Step::Deaf(worker) => match world.deaf.iter().position(|deaf| deaf.0 == worker) {
                Some(place) => {
                    let worker = world.deaf.remove(place);
                    world.event(Event::TableTaken(worker, u64::MAX));
                }
                None => world.deaf.push(WorkerId(worker)),
            },
            Step::Adopt(providers) => {
                let catalog = Catalog::try_from(spec(&PROVIDERS[..providers])).unwrap();
                world.fleet.adopt(&catalog, world.now);
            }
        }
        self.world.act();
    }

    fn say(&mut self, worker: u64, report: Report, attempts: u64) {
        let seq = self.world.seqs.get(&WorkerId(worker)).copied().unwrap_or(0) + 1;
        self.world.report(WorkerId(worker), report.clone());
        if self.joined.contains(&worker) {
            self.last.insert(worker, Report { seq, ..report });
            self.attempts += attempts;
            self.reports += 1;
        }
    }

    /// What holds after every step.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let now = self.world.now;
        self.world.sent.clear();
        for (sent, worker, lease) in std::mem::take(&mut self.world.leased) {
            let Right::Trial { channel, opening } = lease.right else { continue };
            let last = self.leases.insert((channel, opening, worker), sent.plus(lease.left));
            prop_assert!(last.is_none_or(|until| until <= sent), "a lease while it has one");
        }
        for account in &self.world.fleet.accounts {
            prop_assert!(account.trials.len() <= crate::fleet::leases::MOST_TRIALS);
            let mut holders: Vec<_> = account.trials.iter().map(|(holder, _)| holder).collect();
            holders.dedup();
            prop_assert_eq!(holders.len(), account.trials.len());
        }
        let view = self.world.fleet.view(now);
        prop_assert_eq!((view.totals.attempts, view.totals.reports), (self.attempts, self.reports));
        for row in &view.standings {
            let figures = [row.weight, row.success, row.expected, row.index, row.score, row.share];
            prop_assert!(figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0), "{:?}", row);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_fleet_keeps_its_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut checked = Checked {
            world: World::of(&PROVIDERS),
            joined: BTreeSet::new(),
            last: BTreeMap::new(),
            attempts: 0,
            reports: 0,
            leases: BTreeMap::new(),
        };
        for step in steps {
            checked.play(step);
            checked.check()?;
        }
    }
}
