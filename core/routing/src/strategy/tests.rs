use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Generator;

use super::*;
use crate::fixture::World;

/// Rows of these channels, all alike; `change` sets what a test is about.
fn rows(count: usize, change: impl Fn(usize, &mut Row)) -> Vec<Row> {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let world = World::of(&NAMES);
    (0..count)
        .map(|place| {
            let mut row = Row {
                channel: world.channel(NAMES[place]),
                place: place as u16,
                provider: place as u16,
                transport: Transport::Http,
                tier: Tier::Closed,
                limited_until: 0,
                priority: 100,
                cost: f32::INFINITY,
                expected: 10_000.0,
                index: 10_000.0,
                weight: 64.0,
                failing: false,
                asking: false,
                in_flight: 0,
                head: 0,
                badness: 0,
            };
            change(place, &mut row);
            row
        })
        .collect()
}

fn ranked(strategy: Strategy, mut rows: Vec<Row>, seed: u64, reads_head: bool) -> Vec<u16> {
    strategy.rank(&mut rows, &mut Circumstances { chance: Chance::new(seed), turn: seed, reads_head });
    rows.iter().map(|row| row.place).collect()
}

/// How often each place was first over many seeds.
fn leaders(strategy: Strategy, rows: &[Row], reads_head: bool) -> Vec<u32> {
    let mut hits = vec![0; rows.len()];
    for seed in 0..10_000_u64 {
        hits[usize::from(ranked(strategy, rows.to_vec(), seed, reads_head)[0])] += 1;
    }
    hits
}

#[test]
fn every_strategy_has_a_name_that_finds_it() {
    for strategy in Strategy::ALL {
        assert_eq!(Strategy::named(strategy.name()), Some(strategy));
    }
    assert_eq!(Strategy::named("Fastest"), None);
    assert_eq!(Strategy::named(""), None);
}

#[test]
fn fastest_ranks_by_index_outside_the_near_best() {
    let index = |values: &'static [f32]| rows(values.len(), move |place, row| row.index = values[place]);
    assert_eq!(ranked(Strategy::Fastest, index(&[30.0, 10.0, 20.0]), 1, false), [1, 2, 0]);
    assert_eq!(ranked(Strategy::Fastest, index(&[10.0, 12.6, 90.0, 50.0]), 1, false), [0, 1, 3, 2]);
}

#[test]
fn fastest_spreads_over_the_near_best() {
    let near = rows(3, |place, row| row.index = [10.0, 12.0, 13.0][place]);
    let hits = leaders(Strategy::Fastest, &near, false);
    assert!(hits[2] == 0 && hits[0].abs_diff(5_000) < 300, "{hits:?}");
}

#[test]
fn of_two_near_best_the_one_with_fewer_in_flight_leads() {
    let busy = rows(2, |place, row| row.in_flight = [3, 1][place]);
    assert_eq!(leaders(Strategy::Fastest, &busy, false), [0, 10_000]);
    let three = rows(3, |place, row| row.in_flight = [0, 1, 2][place]);
    let hits = leaders(Strategy::Fastest, &three, false);
    assert!(hits[2] == 0 && hits[0] > hits[1], "{hits:?}");
}

#[test]
fn for_calls_that_read_the_head_the_higher_head_leads() {
    let heads = rows(2, |place, row| (row.head, row.in_flight) = [(100, 0), (101, 5)][place]);
    assert_eq!(leaders(Strategy::Fastest, &heads, true), [0, 10_000]);
    assert_eq!(leaders(Strategy::Fastest, &heads, false), [10_000, 0]);
}

#[test]
fn an_unknown_channel_leads_one_call_at_a_time() {
    let unknown = |in_flight| {
        rows(2, move |place, row| {
            (row.index, row.weight, row.asking) = [(10.0, 64.0, false), (5.0, 0.0, in_flight > 0)][place];
        })
    };
    assert_eq!(ranked(Strategy::Fastest, unknown(0), 1, false), [1, 0]);
    assert_eq!(ranked(Strategy::Fastest, unknown(1), 1, false), [0, 1]);
}

#[test]
fn without_any_data_priority_decides_among_equals() {
    let fresh = rows(3, |place, row| (row.weight, row.asking, row.priority) = (0.0, true, [3, 1, 2][place]));
    assert_eq!(ranked(Strategy::Fastest, fresh, 1, false), [1, 2, 0]);
}

#[test]
fn latency_weighted_gives_shares_by_the_cube_of_the_speed() {
    let two = rows(2, |place, row| row.expected = [10.0, 20.0][place]);
    let hits = leaders(Strategy::LatencyWeighted, &two, false);
    // 1 : 1/8.
    assert!(hits[1].abs_diff(1_111) < 100, "{hits:?}");
}

#[test]
fn latency_weighted_asks_failing_channels_last() {
    let failing = rows(3, |place, row| (row.expected, row.failing) = [(1.0, true), (10.0, false), (2.0, true)][place]);
    for seed in 0..100 {
        assert_eq!(ranked(Strategy::LatencyWeighted, failing.clone(), seed, false), [1, 0, 2]);
    }
    let all = rows(2, |place, row| (row.expected, row.failing) = ([2.0, 1.0][place], true));
    assert_eq!(ranked(Strategy::LatencyWeighted, all, 1, false), [1, 0]);
}

#[test]
fn load_balanced_is_even() {
    let hits = leaders(Strategy::LoadBalanced, &rows(4, |_, _| {}), false);
    assert!(hits.iter().all(|hits| hits.abs_diff(2_500) < 200), "{hits:?}");
}

#[test]
fn round_robin_takes_turns() {
    for (turn, order) in [(0, [0, 1, 2]), (1, [1, 2, 0]), (2, [2, 0, 1]), (3, [0, 1, 2])] {
        assert_eq!(ranked(Strategy::RoundRobin, rows(3, |_, _| {}), turn, false), order);
    }
}

#[test]
fn priority_goes_by_priority_then_transport_then_configuration() {
    let mixed = rows(4, |place, row| {
        (row.priority, row.transport) =
            [(2, Transport::Http), (1, Transport::Ws), (1, Transport::Http), (2, Transport::Http)][place];
    });
    assert_eq!(ranked(Strategy::Priority, mixed, 1, false), [2, 1, 0, 3]);
}

#[test]
fn cheapest_goes_by_price_unknown_last_and_fastest_among_equals() {
    let priced = rows(4, |place, row| {
        (row.cost, row.index) = [(f32::INFINITY, 1.0), (0.4, 90.0), (0.0, 50.0), (0.0, 20.0)][place];
    });
    assert_eq!(ranked(Strategy::Cheapest, priced, 1, false), [3, 2, 1, 0]);
    let equal = rows(2, |place, row| (row.cost, row.in_flight) = (0.0, [2, 0][place]));
    assert_eq!(ranked(Strategy::Cheapest, equal, 1, false), [1, 0]);
}

fn any_rows() -> impl Generator<Value = Vec<Row>> {
    let row = (0.1..1e7_f32, 0.1..1e7_f32, 0.0..64_f32, any::<bool>(), 0..4_u32, 0..3_u64, 0..3_u32, 0..3_u32);
    proptest::collection::vec(row, 0..12).prop_map(|values| {
        rows(values.len(), |place, row| {
            let (expected, index, weight, failing, in_flight, head, priority, cost) = values[place];
            (row.expected, row.index, row.weight, row.failing) = (expected, index, weight, failing);
            (row.in_flight, row.head, row.priority, row.cost) = (in_flight, head, priority, cost as f32);
        })
    })
}

proptest! {
    #[test]
    fn every_candidate_appears_exactly_once_and_the_same_seed_gives_the_same_order(
        rows in any_rows(), seed in any::<u64>(), reads_head in any::<bool>(),
    ) {
        for strategy in Strategy::ALL {
            let order = ranked(strategy, rows.clone(), seed, reads_head);
            prop_assert_eq!(&order, &ranked(strategy, rows.clone(), seed, reads_head));
            let mut places = order;
            places.sort_unstable();
            prop_assert_eq!(places, (0..rows.len() as u16).collect::<Vec<_>>());
        }
    }
}
