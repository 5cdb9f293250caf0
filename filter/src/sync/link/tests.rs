use super::*;

const NO_CHANCE: u64 = 0;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// A link whose stream 1 was opened and greeted at 0.
fn opened() -> Link {
    let mut link = Link::default();
    assert_eq!(link.poll_action(at(0), NO_CHANCE), Some(Action::Open));
    link.handle_opened(Some(1), at(0), NO_CHANCE);
    assert_eq!(link.poll_action(at(0), NO_CHANCE), Some(Action::Greet(1)));
    link.handle_sent(at(0));
    link
}

/// The same, and the control plane answered.
fn connected() -> Link {
    let mut link = opened();
    link.handle_heard(at(0));
    link
}

#[track_caller]
fn next(link: &mut Link, millis: u64) -> Option<Action> {
    link.poll_action(at(millis), NO_CHANCE)
}

/// When the link opens a stream again, to the millisecond.
fn opens_at(link: &mut Link, from: u64) -> u64 {
    (from..from + 20_000).find(|millis| next(link, *millis) == Some(Action::Open)).expect("it opens again")
}

#[test]
fn hello_is_the_first_word_and_said_once() {
    let mut link = opened();
    link.handle_tick();
    assert_eq!(next(&mut link, 0), None);
}

#[test]
fn nothing_is_reported_before_the_peer_has_spoken() {
    let mut link = opened();
    link.handle_tick();
    assert_eq!(next(&mut link, 100), None);
    link.handle_heard(at(150));
    assert_eq!(next(&mut link, 150), Some(Action::Report(1)));
}

#[test]
fn one_report_waits_for_its_ack_and_the_next_one_for_a_tick() {
    let mut link = connected();
    link.handle_tick();
    assert_eq!(next(&mut link, 100), Some(Action::Report(1)));
    link.handle_reported(at(100));
    link.handle_tick();
    assert_eq!(next(&mut link, 200), None);
    link.handle_acked();
    assert_eq!(next(&mut link, 210), Some(Action::Report(1)), "the tick while it waited still counts");
    link.handle_reported(at(210));
    link.handle_acked();
    assert_eq!(next(&mut link, 220), None, "no tick, no report");
}

#[test]
fn with_nothing_to_say_a_heartbeat_is_sent_every_two_seconds() {
    let mut link = connected();
    assert_eq!(next(&mut link, 1_999), None);
    assert_eq!(next(&mut link, 2_000), Some(Action::Beat(1)));
    link.handle_sent(at(2_000));
    link.handle_heard(at(2_000));
    assert_eq!(next(&mut link, 3_999), None);
    assert_eq!(next(&mut link, 4_000), Some(Action::Beat(1)));
}

#[test]
fn a_report_that_is_not_acked_in_two_seconds_ends_the_stream() {
    let mut link = connected();
    link.handle_tick();
    assert_eq!(next(&mut link, 100), Some(Action::Report(1)));
    link.handle_reported(at(100));
    assert_eq!(next(&mut link, 2_099), None);
    assert_eq!(next(&mut link, 2_100), Some(Action::Close(1)));
    assert!(!link.is_connected());
}

#[test]
fn a_peer_that_is_silent_for_six_seconds_is_left() {
    let mut link = connected();
    link.handle_sent(at(5_000));
    assert_eq!(next(&mut link, 5_999), None);
    assert_eq!(next(&mut link, 6_000), Some(Action::Close(1)));
}

#[test]
fn a_stream_that_never_answers_is_left_too() {
    let mut link = opened();
    link.handle_sent(at(5_000));
    assert_eq!(next(&mut link, 6_000), Some(Action::Close(1)));
}

#[test]
fn waits_double_from_a_fifth_of_a_second_to_five_seconds() {
    let mut link = Link::default();
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..7 {
        link.handle_opened(None, at(now), NO_CHANCE);
        let next = opens_at(&mut link, now);
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits, [200, 400, 800, 1_600, 2_500, 2_500, 2_500], "the least that is waited");
    let longest = |chance: u64| {
        let mut link = Link::default();
        link.handle_opened(None, at(0), chance);
        opens_at(&mut link, 0)
    };
    assert_eq!((0..1_000).map(longest).max(), Some(400));
}

#[test]
fn a_stream_that_lived_five_seconds_makes_the_next_failure_the_first() {
    for (lived, wait) in [(4_999, 800), (5_000, 200)] {
        let mut link = Link::default();
        for _ in 0..2 {
            link.handle_opened(None, at(0), NO_CHANCE);
        }
        link.handle_opened(Some(1), at(0), NO_CHANCE);
        link.handle_heard(at(0));
        link.handle_closed(at(lived), NO_CHANCE);
        assert_eq!(opens_at(&mut link, lived) - lived, wait, "lived {lived} ms");
    }
}

#[test]
fn a_stream_that_is_left_is_closed_once_and_the_next_opened_at_once() {
    let mut link = connected();
    link.leave(at(10));
    assert_eq!(next(&mut link, 10), Some(Action::Close(1)));
    assert_eq!(next(&mut link, 10), Some(Action::Open));
}

#[test]
fn a_peer_that_is_not_understood_is_left_and_waited_for() {
    let mut link = connected();
    link.give_up(at(10), NO_CHANCE);
    assert_eq!(next(&mut link, 10), Some(Action::Close(1)));
    assert_eq!(next(&mut link, 10), None);
    assert_eq!(opens_at(&mut link, 10), 210);
}
