//! The breaker of a fleet: reports instead of attempts, probes, restarts.

use lasso_jsonrpc::method::MethodClass;
use proptest::prelude::*;

use super::*;
use crate::report::{ChannelTally, RunTally, Trials};

/// A worker that adds up what its attempts brought, as reports do.
#[derive(Debug, Default)]
struct Worker {
    /// Methods that auth failures of its run hit.
    refused: Vec<u16>,
}

impl Worker {
    /// Successes first, then failures of one category: a report does not tell what came before its last success.
    fn tally(&mut self, successes: u32, failures: u32, category: Category, method: u16) -> ChannelTally {
        let mut tally = ChannelTally { attempts: successes + failures, unbroken: successes == 0, ..Default::default() };
        if successes > 0 {
            *self = Self::default();
        }
        for _ in 0..failures {
            tally.run.last = Some(category);
            match category {
                Network | Timeout => tally.run.silent += 1,
                Server => tally.run.server += 1,
                Auth => {
                    tally.run.auth += 1;
                    tally.run.auth_classes[0] = MethodClass::all().nth(usize::from(method));
                    self.refused.push(method);
                }
                Billing => tally.run.billing = true,
            }
            let second = self.refused.iter().any(|refused| *refused != method);
            tally.failures += u32::from(category != Auth || second);
        }
        tally
    }
}

fn failures(server: u32, age: u64) -> ChannelTally {
    let run = RunTally { server, last: Some(Server), age: Millis(age), ..RunTally::default() };
    ChannelTally { attempts: server, failures: server, run, unbroken: true, ..ChannelTally::default() }
}

fn successes(attempts: u32) -> ChannelTally {
    ChannelTally { attempts, ..ChannelTally::default() }
}

fn trials(opening: u32, successes: u32, failure: Option<Category>) -> ChannelTally {
    ChannelTally { trials: Trials { opening, successes, failure }, ..ChannelTally::default() }
}

fn absorb(breaker: &mut Breaker, tally: &ChannelTally, now: u64) -> Option<Transition> {
    breaker.absorb(tally, Company::Others, true, at(now))
}

#[test]
fn failures_of_several_workers_are_one_run() {
    let mut breaker = Breaker::new(POLICY, 1);
    assert_eq!(absorb(&mut breaker, &failures(2, 0), 1_000), None);
    assert_eq!(absorb(&mut breaker, &failures(2, 0), 1_200), None);
    assert!(matches!(absorb(&mut breaker, &failures(1, 0), 1_500), Some(Transition::Opened { because: Server, .. })));
}

#[test]
fn a_success_anywhere_ends_the_run() {
    let mut breaker = Breaker::new(POLICY, 1);
    absorb(&mut breaker, &failures(4, 400), 1_000);
    absorb(&mut breaker, &successes(1), 1_100);
    assert_eq!(absorb(&mut breaker, &failures(4, 400), 1_600), None);
    assert_eq!(breaker.failures_in_a_row(), 4);
    assert!(absorb(&mut breaker, &failures(1, 0), 1_700).is_some());
}

#[test]
fn a_run_began_when_its_first_failure_became_known() {
    let mut breaker = Breaker::new(POLICY, 1);
    assert!(absorb(&mut breaker, &failures(5, 500), 1_000).is_some());
    let mut breaker = Breaker::new(POLICY, 1);
    assert_eq!(absorb(&mut breaker, &failures(5, 499), 1_000), None);
}

#[test]
fn a_run_of_one_worker_is_no_older_than_a_success_of_another() {
    let mut breaker = Breaker::new(POLICY, 1);
    absorb(&mut breaker, &successes(1), 9_800);
    assert_eq!(absorb(&mut breaker, &failures(5, 5_000), 10_000), None);
    assert!(absorb(&mut breaker, &failures(1, 5_300), 10_300).is_some());
}

#[test]
fn a_report_without_attempts_ends_no_run() {
    let mut breaker = Breaker::new(POLICY, 1);
    absorb(&mut breaker, &failures(4, 400), 1_000);
    absorb(&mut breaker, &ChannelTally { refusals: 3, ..ChannelTally::default() }, 1_100);
    assert!(absorb(&mut breaker, &failures(1, 0), 1_200).is_some());
}

#[test]
fn reports_that_may_not_open_count_for_one_that_may() {
    let mut breaker = Breaker::new(POLICY, 1);
    let alone = breaker.absorb(&failures(40, 900), Company::Others, false, at(1_000));
    assert_eq!((alone, breaker.state(at(1_000))), (None, State::Closed));
    assert!(absorb(&mut breaker, &failures(1, 0), 1_100).is_some());
}

#[test]
fn half_of_twenty_open_though_the_last_one_was_a_success() {
    let mut breaker = Breaker::new(POLICY, 1);
    let half = ChannelTally { attempts: 10, failures: 5, ..ChannelTally::default() };
    assert_eq!(absorb(&mut breaker, &half, 1_000), None);
    assert!(absorb(&mut breaker, &half, 1_500).is_some());
}

#[test]
fn trials_of_another_opening_are_old_news() {
    let (mut breaker, until) = opened(1_000, Server);
    let now = until.as_millis();
    assert_eq!(absorb(&mut breaker, &trials(7, 2, None), now), None);
    assert_eq!(absorb(&mut breaker, &trials(0, 0, Some(Server)), now), None);
    assert_eq!(absorb(&mut breaker, &trials(1, 1, None), now), None);
    assert_eq!(absorb(&mut breaker, &trials(1, 1, None), now), Some(Transition::Closed));
    assert_eq!(breaker.openings(), 1);
}

#[test]
fn a_failed_trial_opens_again_for_longer_and_ends_its_opening() {
    let (mut breaker, until) = opened(1_000, Server);
    let Some(Transition::Opened { until: again, .. }) =
        absorb(&mut breaker, &trials(1, 1, Some(Timeout)), until.as_millis())
    else {
        panic!("it opens")
    };
    assert!((2_000..=2_100).contains(&again.since(until).0));
    assert_eq!(absorb(&mut breaker, &trials(1, 2, None), again.as_millis()), None);
    assert_eq!(absorb(&mut breaker, &trials(2, 2, None), again.as_millis()), Some(Transition::Closed));
}

#[test]
fn a_last_resort_that_answered_ends_an_opening() {
    let last_resort = |successes| ChannelTally { last_resort_successes: successes, ..ChannelTally::default() };
    let (mut breaker, _) = opened(1_000, Server);
    assert_eq!(absorb(&mut breaker, &last_resort(1), 1_100), Some(Transition::HalfOpened));
    assert_eq!(breaker.state(at(1_100)), State::HalfOpen);
    assert_eq!(breaker.trial_successes(), 1);
    assert_eq!(absorb(&mut breaker, &trials(1, 1, None), 1_200), Some(Transition::Closed));
    let (mut breaker, _) = opened(1_000, Server);
    assert_eq!(absorb(&mut breaker, &last_resort(9), 1_100), Some(Transition::Closed));
}

#[test]
fn where_probes_run_the_clock_is_not_enough() {
    let (mut breaker, until) = opened(1_000, Server);
    breaker.wait_for_probes(true, at(0));
    let later = until.plus(Millis(60_000));
    assert_eq!(breaker.state(later), State::Open { until });
    assert!(breaker.probe_succeeded(later));
    assert_eq!(breaker.state(later), State::HalfOpen);
    assert_eq!(absorb(&mut breaker, &trials(1, 0, Some(Server)), later.as_millis()), {
        let State::Open { until } = breaker.state(later) else { panic!("open") };
        Some(Transition::Opened { until, because: Server })
    });
    breaker.wait_for_probes(false, at(0));
    assert_eq!(breaker.state(later.plus(Millis(2_100))), State::HalfOpen, "nobody probes");
}

#[test]
fn a_probe_ends_a_first_opening_early_and_no_later_one() {
    let (mut breaker, until) = opened(1_000, Server);
    breaker.wait_for_probes(true, at(0));
    assert!(breaker.probe_succeeded(at(1_200)));
    absorb(&mut breaker, &trials(1, 0, Some(Server)), 1_300);
    assert!(!breaker.probe_succeeded(at(1_400)));
    assert!(matches!(breaker.state(until), State::Open { .. }), "the deadline holds");
    assert_eq!(breaker.state(at(1_300 + 2_100)), State::HalfOpen, "and the probe was enough for it");
}

#[test]
fn a_failed_probe_is_a_failure_and_a_good_one_closes_nothing() {
    let mut breaker = Breaker::new(POLICY, 1);
    for now in [1_000, 1_250] {
        assert_eq!(breaker.probe_failed(Network, Company::Others, at(now)), None);
    }
    assert!(breaker.probe_failed(Network, Company::Others, at(1_500)).is_some());
    assert_eq!(breaker.probe_failed(Network, Company::Others, at(1_600)), None, "it is open already");
    for now in [1_700, 3_000, 3_100] {
        breaker.probe_succeeded(at(now));
    }
    assert_eq!(breaker.state(at(3_100)), State::HalfOpen);
}

#[test]
fn a_worker_follows_the_fleet() {
    let mut breaker = Breaker::new(POLICY, 1);
    play(&mut breaker, &each([0, 100, 200], Failed(Server)));
    breaker.reset(at(250));
    assert_eq!(breaker.failures_in_a_row(), 3, "the fleet has not heard of them yet");
    breaker.trip(at(5_000), at(300));
    assert_eq!(breaker.state(at(4_999)), State::Open { until: at(5_000) });
    breaker.trip(at(7_000), at(400));
    assert_eq!(breaker.state(at(6_999)), State::Open { until: at(7_000) });
    assert_eq!(breaker.state(at(7_000)), State::HalfOpen, "when the fleet is silent, its deadline is ours");
    breaker.reset(at(7_100));
    assert_eq!((breaker.state(at(7_100)), breaker.failures_in_a_row()), (State::Closed, 0));
}

#[test]
fn it_outlives_a_restart() {
    let restored = |breaker: &Breaker, ago| {
        Breaker::restored(POLICY, 7, breaker.kept(at(1_100)), Millis(ago), at(50_000)).numbered_from(40)
    };
    let (open, until) = opened(1_000, Server);
    let left = until.since(at(1_100)).0;
    let again = restored(&open, 300);
    assert_eq!(again.state(at(50_000)), State::Open { until: at(50_000 + left - 300) });
    assert_eq!((again.openings(), again.because()), (41, Some(Server)));
    assert_eq!(restored(&open, 5_000).state(at(50_000)), State::HalfOpen);
    assert_eq!(restored(&Breaker::new(POLICY, 1), 5_000).state(at(50_000)), State::Closed);
    // The next opening is the second in a row.
    let mut again = restored(&open, 5_000);
    let Some(Transition::Opened { until, .. }) = absorb(&mut again, &trials(41, 0, Some(Server)), 50_000) else {
        panic!("it opens")
    };
    assert!((2_000..=2_100).contains(&until.since(at(50_000)).0));
}

proptest! {
    #[test]
    fn one_workers_reports_mean_what_its_attempts_mean(
        batches in prop::collection::vec(
            (1_u64..400, prop_oneof![2 => Just(0_u32), 1 => 0_u32..30], 0_u32..9, 0_usize..6, 0_u16..3, any::<bool>()),
            1..80,
        ),
        seed in any::<u64>(),
    ) {
        let (mut reported, mut recorded) = (Breaker::new(POLICY, seed), Breaker::new(POLICY, seed));
        let mut worker = Worker::default();
        let mut now = 10_000;
        for (pause, successes, failures, category, method, others) in batches {
            now += pause;
            let category = [Network, Timeout, Server, Server, Auth, Billing][category];
            // Auth failures of one method thin the ratio out; of several in one report only the last would be judged.
            let failures = if category == Auth { failures.min(1) } else { failures };
            let company = if others { Company::Others } else { Company::Alone };
            let state = recorded.state(at(now));
            if state == State::Closed {
                let tally = worker.tally(successes, failures, category, method);
                let attempt = Attempt { started: at(now), method, kind: Kind::Ordinary, company };
                (0..successes).for_each(|_| { recorded.record(Signal::Success, &attempt, at(now)); });
                (0..failures).for_each(|_| { recorded.record(Signal::Failure(category), &attempt, at(now)); });
                reported.absorb(&tally, company, true, at(now));
            } else if state == State::HalfOpen {
                worker = Worker::default();
                let signal = if successes > 0 { Signal::Success } else { Signal::Failure(category) };
                let tally = trials(recorded.openings(), u32::from(successes > 0), (successes == 0).then_some(category));
                try_once(&mut recorded, signal, at(now));
                absorb(&mut reported, &tally, now);
            }
            prop_assert_eq!(reported.state(at(now)), recorded.state(at(now)));
            prop_assert_eq!(reported.openings(), recorded.openings());
            if recorded.state(at(now)) == State::Closed {
                prop_assert_eq!(reported.failures_in_a_row(), recorded.failures_in_a_row());
                prop_assert_eq!(reported.recent(), recorded.recent());
            }
            prop_assert_eq!(reported.kept(at(now)), recorded.kept(at(now)));
        }
    }
}

/// Ten minutes of a thousand calls a second, one of a hundred of which fails: the share of the time that the worker's breaker and the fleet's are not closed.
fn not_closed(category: Category) -> (f64, f64) {
    const CALLS: u64 = 600_000;
    let (mut own, mut fleet) = (Breaker::new(POLICY, 1), Breaker::new(POLICY, 2));
    let mut chance = Chance::new(7);
    let (mut tally, mut out) = (ChannelTally { unbroken: true, ..ChannelTally::default() }, (0, 0));
    for now in 1_000..1_000 + CALLS {
        let failed = chance.below(100) == 0;
        let method = chance.below(3) as u16;
        let waited = if category == Timeout && failed { 500 } else { 5 };
        let attempt = Attempt { started: at(now - waited), method, ..Attempt::default() };
        let signal = if failed { Signal::Failure(category) } else { Signal::Success };
        own.record(signal, &attempt, at(now));
        tally.attempts += 1;
        if failed {
            tally.failures += 1;
            tally.run = failures(tally.run.server + 1, 5).run;
        } else {
            (tally.run, tally.unbroken, tally.succeeded) = (RunTally::default(), false, Some(Millis::ZERO));
        }
        if now % 100 == 0 {
            absorb(&mut fleet, &tally, now);
            tally = ChannelTally { unbroken: true, ..ChannelTally::default() };
        }
        out.0 += u64::from(own.state(at(now)) != State::Closed);
        out.1 += u64::from(fleet.state(at(now)) != State::Closed);
    }
    (out.0 as f64 / CALLS as f64, out.1 as f64 / CALLS as f64)
}

#[test]
fn one_failure_in_a_hundred_leaves_it_closed_at_any_rate() {
    for category in [Network, Timeout, Server, Auth] {
        let (own, fleet) = not_closed(category);
        assert!(own < 0.01 && fleet < 0.01, "{category:?}: {own} of the time in the worker, {fleet} in the fleet");
    }
}
