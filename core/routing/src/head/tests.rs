use super::*;
use crate::fixture::{World, at};
use crate::time::Millis;

const SLOT: Millis = Millis::from_secs(12);

/// Heads of two channels of one chain; the first shows these (when, number).
fn heads(world: &World, shown: &[(u64, u64)]) -> Heads {
    let mut heads = Heads::default().moved(&[None, None], &[None]);
    for &(when, number) in shown {
        let sighting = Sighting { number, proof: false, started: at(when), now: at(when) };
        heads.saw(world.channel("a"), 0, sighting);
    }
    heads
}

#[track_caller]
fn check(shown: &[(u64, u64)], now: u64, head: Option<u64>) {
    let world = World::of(&["a", "b"]);
    assert_eq!(heads(&world, shown).of(world.channel("a"), SLOT, at(now)).number, head, "{shown:?} at {now}");
}

#[test]
fn a_head_grows_by_the_clock_between_answers() {
    check(&[], 1_000, None);
    check(&[(1_000, 100)], 1_000, Some(100));
    check(&[(1_000, 100)], 12_999, Some(100));
    check(&[(1_000, 100)], 13_000, Some(101));
    check(&[(1_000, 100)], 25_000, Some(102));
}

#[test]
fn silence_of_half_a_minute_says_nothing() {
    check(&[(1_000, 100)], 31_000, Some(102));
    check(&[(1_000, 100)], 31_001, None);
}

#[test]
fn an_equal_number_is_a_fresh_answer() {
    check(&[(1_000, 100), (20_000, 100)], 31_000, Some(100));
    check(&[(1_000, 100), (20_000, 100)], 45_000, Some(102));
}

#[test]
fn a_node_that_repeats_itself_for_three_blocks_gains_nothing() {
    check(&[(1_000, 100), (20_000, 100), (38_000, 100)], 60_000, Some(100));
    check(&[(1_000, 100), (20_000, 100), (38_000, 100), (39_000, 101)], 60_000, Some(102));
}

#[test]
fn a_lower_number_counts_only_when_it_was_asked_for_later() {
    check(&[(1_000, 100), (2_000, 98)], 2_000, Some(98));
    let world = World::of(&["a", "b"]);
    let mut crossed = heads(&world, &[(2_000, 100)]);
    crossed.saw(world.channel("a"), 0, Sighting { number: 99, proof: false, started: at(1_500), now: at(2_100) });
    assert_eq!(crossed.of(world.channel("a"), SLOT, at(2_100)).number, Some(100));
}

#[test]
fn a_missing_block_lowers_a_head_but_missing_history_does_not() {
    let world = World::of(&["a", "b"]);
    let after = |missing: u64| {
        let mut heads = heads(&world, &[(1_000, 1_000)]);
        heads.lacks(world.channel("a"), missing, at(1_500));
        heads.of(world.channel("a"), SLOT, at(1_500)).number
    };
    assert_eq!(after(999), Some(998));
    assert_eq!(after(1_000), Some(999));
    assert_eq!(after(1_001), Some(1_000));
    assert_eq!(after(5), Some(1_000));
}

#[test]
fn the_block_time_is_measured_after_five_samples() {
    let world = World::of(&["a", "b"]);
    let every_two_seconds =
        |count: u64| -> Vec<_> { (0..count).map(|step| (1_000 + step * 2_000, 100 + step)).collect() };
    assert_eq!(heads(&world, &every_two_seconds(5)).block_time(0, Some(SLOT)), SLOT);
    assert_eq!(heads(&world, &every_two_seconds(6)).block_time(0, Some(SLOT)), Millis(2_000));
    assert_eq!(heads(&world, &[]).block_time(0, None), DEFAULT_BLOCK_TIME);
}

#[test]
fn a_jump_is_no_sample_of_the_block_time() {
    let world = World::of(&["a", "b"]);
    let mut shown: Vec<_> = (0..6).map(|step| (1_000 + step * 2_000, 100 + step)).collect();
    shown.push((12_000, 1 << 40));
    assert_eq!(heads(&world, &shown).block_time(0, None), Millis(2_000));
}

#[test]
fn the_lag_limit_is_three_seconds_of_blocks_and_two_at_least() {
    for (block_time, blocks) in [(12_000, 2), (2_000, 2), (1_000, 3), (250, 12), (0, 3_000)] {
        assert_eq!(default_max_lag(Millis(block_time)), blocks, "{block_time}");
    }
}

#[test]
fn a_head_is_believed_with_a_second_voice_or_a_proof() {
    #[track_caller]
    fn check(numbers: &[Option<u64>], proved: Option<usize>, believed: Option<u64>) {
        let head = |(place, &number): (usize, &Option<u64>)| Head { number, proved: proved == Some(place) };
        let heads: Vec<_> = numbers.iter().enumerate().map(head).collect();
        assert_eq!(best(heads.iter().copied(), 2), believed, "{numbers:?}");
    }
    check(&[], None, None);
    check(&[None, None], None, None);
    check(&[Some(100)], None, Some(100));
    check(&[Some(100), None, None], None, Some(100));
    check(&[Some(100), Some(102), Some(101)], None, Some(102));
    // One liar does not move it, nor does a majority that is behind once the leader has shown its block.
    check(&[Some(100), Some(1_000_000), Some(101)], None, Some(101));
    check(&[Some(200), Some(100), Some(101)], None, Some(101));
    check(&[Some(200), Some(100), Some(101)], Some(0), Some(200));
    // Two that contradict each other: nobody is believed, so nobody is behind.
    check(&[Some(200), Some(100)], None, None);
    check(&[Some(200), Some(100)], Some(0), Some(200));
    check(&[Some(7), Some(7)], None, Some(7));
}
