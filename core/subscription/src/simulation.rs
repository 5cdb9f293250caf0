//! A chain with reorgs, channels that drop, repeat, swap, lag, stall, refuse and die, fetches that fail, clients that come and go: a
//! reference model of what each client must have heard.
//!
//! Invariant: a client's heads are linked and end on the chain; its logs are those of the chain, each once and in order, and every
//! one that a reorg orphaned was taken back; nobody is told anything before the confirmation or after the end, and nobody is ended,
//! since no outage here is longer than the timeout.
//!
//! A channel here that loses logs loses all that a block has of them: one lost log of several cannot be seen (`logs`). It does not
//! swap and drop at the same time: a log that overtakes the lost head of its own parent is told before its elders.

mod client;
mod world;

use proptest::prelude::*;

use world::{Fault, World};

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Drop),
        Just(Fault::Repeat),
        Just(Fault::Swap),
        Just(Fault::Stall),
        Just(Fault::Die),
        Just(Fault::Refuse),
        Just(Fault::Mute),
        Just(Fault::Garbage),
    ]
}

/// Where, from when, for how long.
fn faults() -> impl Strategy<Value = Vec<(usize, u64, u64, Fault)>> {
    prop::collection::vec((0..3_usize, 0..40_000_u64, 200..9_000_u64, fault()), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_client_hears_everything_once_and_in_order(
        seed in any::<u64>(),
        faults in faults(),
        block_time in prop_oneof![Just(250_u64), Just(1_000), Just(2_000)],
        reorgs in prop_oneof![Just(0_u64), Just(5), Just(20)],
        // More would keep one block from everybody for as long as the timeout, by chance.
        failing in prop_oneof![Just(0_u64), Just(20), Just(40)],
    ) {
        let mut world = World::new(seed, block_time, reorgs, failing, faults);
        world.run(45_000);
        world.settle();
        world.judge();
    }
}
