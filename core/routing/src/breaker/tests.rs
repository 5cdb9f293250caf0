//! The breaker, event by event, and against a model that keeps everything.

mod fleet;
mod model;

use super::*;

const POLICY: Policy = Policy { failures: 5, successes: 2, min: Millis(1_000), max: Millis(60_000) };

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// One attempt's end: when, and how.
type Event = (u64, End);

#[derive(Debug, Clone, Copy)]
enum End {
    Ok,
    Ignored,
    /// It started a moment ago.
    Failed(Category),
    /// It started then.
    FailedSince(Category, u64),
    /// It was about that method.
    Refused(u16),
    /// There was nobody else.
    FailedAlone(Category),
}

use Category::{Auth, Billing, Network, Server, Timeout};
use End::{Failed, FailedAlone, FailedSince, Ignored, Ok, Refused};

fn play(breaker: &mut Breaker, events: &[Event]) -> Option<Transition> {
    let mut last = None;
    for &(when, end) in events {
        let now = at(when);
        let ordinary = Attempt { started: now, ..Attempt::default() };
        let (signal, attempt) = match end {
            Ok => (Signal::Success, ordinary),
            Ignored => (Signal::Ignore, ordinary),
            Failed(category) => (Signal::Failure(category), ordinary),
            FailedSince(category, started) => (Signal::Failure(category), Attempt { started: at(started), ..ordinary }),
            Refused(method) => (Signal::Failure(Auth), Attempt { method, ..ordinary }),
            FailedAlone(category) => (Signal::Failure(category), Attempt { company: Company::Alone, ..ordinary }),
        };
        last = breaker.record(signal, &attempt, now);
    }
    last
}

/// Plays the events on a fresh breaker; the time at which it must have opened, if at all, is that of the last one.
#[track_caller]
fn check(events: &[Event], opens: bool) {
    let mut breaker = Breaker::new(POLICY, 1);
    let (last, before) = events.split_last().expect("events");
    play(&mut breaker, before);
    assert_eq!(breaker.state(at(last.0)), State::Closed, "before the last of {events:?}");
    let transition = play(&mut breaker, &[*last]);
    assert_eq!(matches!(transition, Some(Transition::Opened { .. })), opens, "after {events:?}");
}

/// The same end at each of these times.
fn each(times: impl IntoIterator<Item = u64>, end: End) -> Vec<Event> {
    times.into_iter().map(|time| (time, end)).collect()
}

/// A breaker that opened at `when`, and the end of its opening.
fn opened(when: u64, category: Category) -> (Breaker, Timestamp) {
    let mut breaker = Breaker::new(POLICY, 7);
    let Some(Transition::Opened { until, .. }) = (match category {
        Auth => play(&mut breaker, &[(when - 500, Refused(1)), (when - 250, Refused(2)), (when, Refused(1))]),
        Billing => play(&mut breaker, &[(when, Failed(Billing))]),
        Network | Timeout | Server => {
            play(&mut breaker, &each([0, 125, 250, 375, 500].map(|step| when - 500 + step), Failed(category)))
        }
    }) else {
        panic!("it should have opened")
    };
    (breaker, until)
}

fn trial(signal: Signal, started: Timestamp) -> (Signal, Attempt) {
    (signal, Attempt { started, kind: Kind::Trial, ..Attempt::default() })
}

/// Takes a permit, records the end, gives the permit back.
fn try_once(breaker: &mut Breaker, signal: Signal, now: Timestamp) -> Option<Transition> {
    assert!(breaker.take_trial(now), "a permit at {now:?}");
    let (signal, attempt) = trial(signal, now);
    breaker.return_trial();
    breaker.record(signal, &attempt, now)
}

#[test]
fn five_server_failures_in_a_row_open_once_they_last_half_a_second() {
    check(&each([0, 125, 250, 375, 500], Failed(Server)), true);
    check(&each([0, 100, 200, 300, 400], Failed(Server)), false);
    check(&each([0, 100, 200, 300, 400, 499], Failed(Server)), false);
    check(&each([0, 100, 200, 300, 400, 500], Failed(Server)), true);
    check(&each([0, 250, 500, 9_000], Failed(Server)), false);
}

#[test]
fn three_of_silence_are_enough() {
    check(&each([0, 250, 500], Failed(Network)), true);
    check(&each([0, 250, 500], Failed(Timeout)), true);
    check(&[(0, Failed(Network)), (250, Failed(Timeout)), (500, Failed(Network))], true);
    check(&[(0, Failed(Network)), (250, Failed(Server)), (500, Failed(Network))], false);
    check(&each([0, 250, 499], Failed(Network)), false);
    check(&each([0, 500], Failed(Network)), false);
}

#[test]
fn mixed_failures_make_one_run() {
    let run = [(0, Failed(Server)), (200, Failed(Network)), (300, Failed(Server)), (400, Failed(Server))];
    check(&[&run[..], &[(500, Failed(Network))]].concat(), true);
}

#[test]
fn a_success_ends_the_run_and_what_is_ignored_does_not() {
    let most = each([0, 250, 400, 450], Failed(Server));
    check(&[&most[..], &[(500, Ok), (600, Failed(Server))]].concat(), false);
    check(&[&most[..], &[(500, Ignored), (600, Failed(Server))]].concat(), true);
}

#[test]
fn a_dropped_connection_is_one_failure() {
    let drop: Vec<_> = (0..50).map(|stream| (1_000, FailedSince(Network, 900 + stream))).collect();
    check(&drop, false);
    check(&[&drop[..], &[(1_499, FailedSince(Network, 999))]].concat(), false);
    check(&[&drop[..], &[(1_200, Ok), (1_300, Ok), (1_400, Failed(Network))]].concat(), false);
    check(&[&drop[..], &each([1_001, 1_600], Failed(Network))].concat(), true);
}

#[test]
fn silence_counts_from_its_beginning_and_for_each_who_waited() {
    let silent = |started: &[u64]| started.iter().map(|&at| (at + 500, FailedSince(Timeout, at))).collect::<Vec<_>>();
    // It answered until 1000; three calls have waited since.
    check(&[vec![(1_000, Ok)], silent(&[1_000, 1_010, 1_020])].concat(), true);
    // They waited before it answered last: since then nobody knows.
    check(&[silent(&[900]), vec![(1_450, Ok)], silent(&[1_000, 1_010, 1_020])].concat(), false);
    // Answers come between.
    check(&[silent(&[1_000, 1_010]), vec![(1_511, Ok)], silent(&[1_020])].concat(), false);
}

#[test]
fn auth_needs_two_methods() {
    check(&[(0, Refused(1)), (250, Refused(1)), (500, Refused(2))], true);
    check(&[(0, Refused(1)), (250, Refused(2)), (500, Refused(1))], true);
    check(&each((0..40).map(|step| step * 100), Refused(1)), false);
    check(&[(0, Refused(1)), (500, Refused(2))], false);
}

#[test]
fn billing_opens_at_once_for_ten_minutes() {
    let (breaker, until) = opened(1_000, Billing);
    let length = until.since(at(1_000));
    assert!((600_000..=630_000).contains(&length.0), "{length}");
    assert_eq!(breaker.admit(at(1_000)), Admission::Rejected { until });
}

#[test]
fn half_of_twenty_in_ten_seconds_opens() {
    let alternating = |attempts: u64, apart: u64| -> Vec<Event> {
        (0..attempts).map(|step| (step * apart, if step % 2 == 0 { Ok } else { Failed(Server) })).collect()
    };
    check(&alternating(20, 100), true);
    check(&alternating(18, 100), false);
    // Twenty in twenty seconds are ten in ten.
    check(&alternating(20, 1_000), false);
    // One in three is not half.
    let third: Vec<_> = (0..90).map(|step| (step * 50, if step % 3 == 0 { Failed(Server) } else { Ok })).collect();
    check(&third, false);
    // As little as a run does a ratio open within half a second.
    check(&alternating(200, 2), false);
}

#[test]
fn the_only_admitted_channel_opens_on_silence_only() {
    check(&each((0..100).map(|step| step * 100), FailedAlone(Server)), false);
    check(&each((0..100).map(|step| step * 100), FailedAlone(Auth)), false);
    check(&[(0, FailedAlone(Billing))], false);
    check(&each([0, 250, 500], FailedAlone(Network)), true);
    check(&each([0, 250, 500], FailedAlone(Timeout)), true);
    // The run may have begun in company.
    check(&[(0, Failed(Timeout)), (100, Failed(Server)), (250, Failed(Timeout)), (500, FailedAlone(Timeout))], true);
}

#[test]
fn an_opening_has_up_to_five_percent_of_jitter_by_seed() {
    let ends: Vec<u64> = (0..200)
        .map(|seed| {
            let mut breaker = Breaker::new(POLICY, seed);
            play(&mut breaker, &each([0, 250, 500], Failed(Network)));
            let State::Open { until } = breaker.state(at(500)) else { panic!("it should be open") };
            until.as_millis()
        })
        .collect();
    assert!(ends.iter().all(|end| (1_500..=1_550).contains(end)), "{ends:?}");
    assert!(ends.iter().any(|end| *end < 1_510) && ends.iter().any(|end| *end > 1_540), "{ends:?}");
}

#[test]
fn openings_double_up_to_the_cap_and_a_failed_trial_opens_again() {
    for (category, lengths) in [
        (Server, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]),
        (Auth, [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]),
        (Billing, [600_000; 8]),
    ] {
        let (mut breaker, mut until) = opened(1_000, category);
        let mut since = at(1_000);
        for length in lengths {
            let found = until.since(since).0;
            assert!((length..=length + length / 20).contains(&found), "{category:?}: {found} for {length}");
            since = until;
            let Some(Transition::Opened { until: next, because }) =
                try_once(&mut breaker, Signal::Failure(category), until)
            else {
                panic!("a failed trial opens")
            };
            assert_eq!(because, category);
            until = next;
        }
    }
}

#[test]
fn two_trials_in_a_row_close_it() {
    let (mut breaker, until) = opened(1_000, Server);
    assert_eq!(breaker.admit(at(until.as_millis() - 1)), Admission::Rejected { until });
    assert_eq!(breaker.admit(until), Admission::Trial);
    assert_eq!(breaker.state(until), State::HalfOpen);
    assert_eq!(try_once(&mut breaker, Signal::Success, until), None);
    assert_eq!(try_once(&mut breaker, Signal::Ignore, until), None);
    assert_eq!(try_once(&mut breaker, Signal::Success, until), Some(Transition::Closed));
    assert_eq!(breaker.admit(until), Admission::Admitted);
    // And what was counted before is forgotten.
    assert_eq!(play(&mut breaker, &each([until.as_millis() + 1, until.as_millis() + 501], Failed(Network))), None);
}

#[test]
fn openings_are_forgotten_after_ten_minutes_closed() {
    for (closed_for, length) in [(599_000, 2_000), (600_000, 1_000)] {
        let (mut breaker, until) = opened(1_000, Server);
        try_once(&mut breaker, Signal::Success, until);
        try_once(&mut breaker, Signal::Success, until);
        let again = until.as_millis() + closed_for;
        play(&mut breaker, &each([again - 500, again - 250, again], Failed(Network)));
        let State::Open { until } = breaker.state(at(again)) else { panic!("it should be open") };
        let found = until.since(at(again)).0;
        assert!((length..=length + length / 20).contains(&found), "{found} after {closed_for}");
    }
}

#[test]
fn a_trial_needs_the_permit_and_a_lost_permit_comes_back() {
    let (mut breaker, until) = opened(1_000, Server);
    assert!(!breaker.take_trial(at(until.as_millis() - 1)));
    assert!(breaker.take_trial(until));
    assert!(!breaker.take_trial(until));
    assert_eq!(breaker.admit(until), Admission::Rejected { until: until.plus(TRIAL_LEASE) });
    assert_eq!(breaker.admit(until.plus(TRIAL_LEASE)), Admission::Trial);
    assert!(breaker.take_trial(until.plus(TRIAL_LEASE)));
    breaker.return_trial();
    assert_eq!(breaker.admit(until.plus(TRIAL_LEASE)), Admission::Trial);
}

#[test]
fn stragglers_neither_close_nor_prolong() {
    let (mut breaker, until) = opened(1_000, Server);
    for now in [at(1_100), until, until.plus(Millis(5))] {
        for signal in [Signal::Success, Signal::Failure(Network)] {
            let started_before = Attempt { started: at(900), ..Attempt::default() };
            assert_eq!(breaker.record(signal, &started_before, now), None);
        }
        assert_eq!(breaker.state(until), State::HalfOpen);
    }
    // Nor does a trial of the opening before.
    assert!(breaker.take_trial(until));
    let (_, first) = trial(Signal::Success, until);
    assert!(breaker.take_trial(until.plus(TRIAL_LEASE)));
    let (failure, second) = trial(Signal::Failure(Server), until.plus(TRIAL_LEASE));
    let Some(Transition::Opened { until: again, .. }) = breaker.record(failure, &second, until.plus(Millis(2_500)))
    else {
        panic!("a failed trial opens")
    };
    assert_eq!(breaker.record(Signal::Success, &first, again), None);
    assert_eq!(breaker.record(Signal::Failure(Server), &first, again), None);
    assert_eq!(breaker.state(again), State::HalfOpen);
}

#[test]
fn last_resort_slots_double_with_success_and_fall_back_on_failure() {
    let (mut breaker, _) = opened(1_000, Server);
    let slots = |breaker: &mut Breaker, now| (0..100).take_while(|_| breaker.take_last_resort(now)).count();
    let end = |breaker: &mut Breaker, signal, now| {
        breaker.record(signal, &Attempt { started: now, kind: Kind::LastResort, ..Attempt::default() }, now)
    };
    assert_eq!(slots(&mut breaker, at(1_000)), 1);
    assert_eq!(breaker.last_resort(at(1_249)), Admission::Rejected { until: at(1_250) });
    assert_eq!(breaker.last_resort(at(1_250)), Admission::Trial);
    assert_eq!(slots(&mut breaker, at(1_250)), 1);
    let before = breaker.state(at(1_260));
    assert_eq!(end(&mut breaker, Signal::Failure(Server), at(1_260)), None);
    assert_eq!(breaker.state(at(1_260)), before, "a failed last resort changes nothing else");
    assert_eq!(end(&mut breaker, Signal::Success, at(1_270)), Some(Transition::HalfOpened));
    assert_eq!(breaker.state(at(1_270)), State::HalfOpen);
    assert_eq!(slots(&mut breaker, at(1_500)), 2);
    assert_eq!(end(&mut breaker, Signal::Failure(Server), at(1_510)), None, "nor when half-open");
    assert_eq!(breaker.state(at(1_510)), State::HalfOpen);
    assert_eq!(slots(&mut breaker, at(1_750)), 1);
    assert_eq!(end(&mut breaker, Signal::Success, at(1_760)), Some(Transition::Closed), "the second success closes");
}

#[test]
fn a_last_resort_is_half_open_with_one_success() {
    let (mut breaker, _) = opened(1_000, Server);
    let last_resort = Attempt { started: at(1_000), kind: Kind::LastResort, ..Attempt::default() };
    assert_eq!(breaker.record(Signal::Success, &last_resort, at(1_010)), Some(Transition::HalfOpened));
    assert_eq!(try_once(&mut breaker, Signal::Success, at(1_020)), Some(Transition::Closed));
}

#[test]
fn a_policy_of_one_success_closes_on_the_last_resort() {
    let mut breaker = Breaker::new(Policy { successes: 1, ..POLICY }, 0);
    play(&mut breaker, &each([0, 250, 500], Failed(Network)));
    let last_resort = Attempt { started: at(510), kind: Kind::LastResort, ..Attempt::default() };
    assert_eq!(breaker.record(Signal::Success, &last_resort, at(520)), Some(Transition::Closed));
}

#[test]
fn a_policy_of_fewer_failures_counts_for_all_categories() {
    let mut breaker = Breaker::new(Policy { failures: 2, ..POLICY }, 0);
    assert!(matches!(play(&mut breaker, &each([0, 500], Failed(Network))), Some(Transition::Opened { .. })));
}

#[test]
fn a_new_policy_keeps_what_was_learned() {
    let (mut breaker, until) = opened(1_000, Server);
    breaker.adopt(Policy { successes: 1, ..POLICY });
    assert_eq!(breaker.admit(at(1_001)), Admission::Rejected { until });
    assert_eq!(try_once(&mut breaker, Signal::Success, until), Some(Transition::Closed));
}
