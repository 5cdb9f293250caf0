use lasso_routing::time::Millis;

use crate::fixture::{Chain, Rig, refusal};
use crate::{BindingId, ChannelId, Ended, Event, Key, Moved, Notice, Settings};

/// A live feed of heads at channel 1 with one subscription, 7, and the block 100 told.
fn live(chain: &Chain) -> (Rig, BindingId) {
    let mut rig = Rig::new();
    rig.subscribe(7, Key::NewHeads);
    let [(binding, ChannelId(1))] = rig.accept()[..] else { panic!("the best channel is asked") };
    rig.arrive(binding, &chain.at(100).head());
    (rig, binding)
}

/// The same before any head came, when channels are known to have the block 100: it is being asked where the chain stands.
fn silent() -> (Rig, BindingId) {
    let mut rig = Rig::new();
    rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
    rig.subscribe(7, Key::NewHeads);
    let [(binding, _)] = rig.accept()[..] else { panic!("a channel is asked") };
    (rig, binding)
}

fn chain(blocks: usize) -> Chain {
    Chain::new(100, &vec![0; blocks])
}

#[test]
fn heads_are_told_as_they_come() {
    let chain = chain(4);
    let (mut rig, binding) = live(&chain);
    (101..=103).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    assert_eq!((rig.heard(7).as_str(), rig.fetches.len()), ("100 101 102 103", 0));
}

#[test]
fn a_head_that_comes_twice_is_told_once() {
    let chain = chain(3);
    let (mut rig, binding) = live(&chain);
    for number in [100, 101, 101, 102, 100, 102] {
        rig.arrive(binding, &chain.at(number).head());
    }
    assert_eq!(rig.heard(7), "100 101 102");
    assert_eq!(rig.hub.view()[0].duplicates, 4);
}

#[test]
fn swapped_heads_are_told_in_order_without_a_fetch() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    for number in [102, 101, 104, 103] {
        rig.arrive(binding, &chain.at(number).head());
        rig.pass(10);
    }
    assert_eq!(rig.heard(7), "100 101 102 103 104");
    rig.pass(3_000);
    assert_eq!((rig.fetches.len(), rig.opens.len()), (0, 0), "nothing was missing, and nobody is to blame");
}

#[test]
fn a_missing_block_is_fetched_by_hash() {
    let chain = chain(3);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(102).head());
    rig.pass(50);
    assert_eq!(rig.fetches.len(), 1);
    rig.answer(&chain, 102);
    assert_eq!(rig.heard(7), "100 101 102");
    assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::Filled { events: 1, .. })));
}

#[test]
fn many_missing_blocks_are_fetched_by_number() {
    let chain = chain(200);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(299).head());
    rig.pass(50);
    rig.answer(&chain, 299);
    let expected: Vec<String> = (100..=299).map(|number: u64| number.to_string()).collect();
    assert_eq!(rig.heard(7), expected.join(" "));
}

#[test]
fn a_fetch_that_fails_is_tried_again() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(104).head());
    for _ in 0..5 {
        rig.pass(2_000);
        rig.fail();
    }
    rig.pass(2_000);
    rig.answer(&chain, 104);
    assert_eq!((rig.heard(7).as_str(), rig.ended.len()), ("100 101 102 103 104", 0));
}

#[test]
fn a_gap_that_nobody_fills_ends_the_subscriptions() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(104).head());
    for _ in 0..31 {
        rig.pass(1_000);
        rig.fail();
    }
    assert_eq!(rig.ended, [(7, Ended::FillTimedOut(Millis::from_secs(30)))]);
    assert_eq!(rig.heard(7), "100");
}

#[test]
fn a_gap_over_the_limit_ends_the_subscriptions_and_the_feed_starts_anew() {
    let chain = chain(400);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(400).head());
    assert_eq!(rig.ended, [(7, Ended::GapTooLong { missing: 299, most: 256 })]);
    rig.subscribe(8, Key::NewHeads);
    (401..=402).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    assert_eq!((rig.heard(8).as_str(), rig.heard(7).as_str()), ("401 402", "100"));
}

#[test]
fn without_fills_a_gap_ends_the_subscriptions() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    rig.event(Event::Settings(Settings { fill: false, ..Settings::default() }));
    for number in [102, 101] {
        rig.arrive(binding, &chain.at(number).head());
    }
    rig.arrive(binding, &chain.at(104).head());
    rig.pass(2_000);
    assert_eq!((rig.heard(7).as_str(), rig.fetches.len()), ("100 101 102", 0));
    assert_eq!(rig.ended, [(7, Ended::FillOff)]);
}

#[test]
fn a_reorg_is_told_as_it_comes() {
    let mut chain = chain(5);
    let (mut rig, binding) = live(&chain);
    (101..=104).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    chain.rewind(3);
    for _ in 0..4 {
        let block = chain.mine(1, 0);
        rig.arrive(binding, &block.head());
    }
    assert_eq!((rig.heard(7).as_str(), rig.fetches.len()), ("100 101 102 103 104 102 103 104 105", 0));
    assert!(rig.notices.contains(&Notice::Reorg { number: 102, depth: 3 }));
}

#[test]
fn a_reorg_of_which_only_the_head_is_told_is_walked_back() {
    let mut chain = chain(5);
    let (mut rig, binding) = live(&chain);
    (101..=104).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    chain.rewind(3);
    chain.mine_all(1, 3);
    rig.arrive(binding, &chain.at(104).head());
    rig.pass(50);
    rig.answer(&chain, 104);
    assert_eq!(rig.heard(7), "100 101 102 103 104 102 103 104");
}

#[test]
fn a_reorg_back_tells_the_old_branch_again() {
    let mut chain = chain(4);
    let (mut rig, binding) = live(&chain);
    (101..=103).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    let old = chain.clone();
    chain.rewind(2);
    (0..2).for_each(|_| rig.arrive(binding, &chain.mine(1, 0).head()));
    let mut back = old;
    rig.arrive(binding, &back.mine(0, 0).head());
    assert_eq!((rig.heard(7).as_str(), rig.fetches.len()), ("100 101 102 103 102 103 102 103 104", 0));
}

#[test]
fn a_reorg_deeper_than_a_young_feed_replaces_it() {
    let mut chain = chain(2);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(101).head());
    let mut other = Chain::new(98, &[0; 2]);
    other.mine_all(9, 3);
    rig.arrive(binding, &other.at(102).head());
    rig.pass(50);
    rig.answer(&other, 102);
    assert_eq!(rig.heard(7), "100 101 100 101 102");
    chain.rewind(0);
}

#[test]
fn a_dead_channel_is_replaced_and_its_gap_filled_before_the_next_block() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    rig.event(Event::Lost { binding });
    let [(second, ChannelId(2))] = rig.accept()[..] else { panic!("the next channel is asked") };
    rig.channels(&[(1, false, None), (2, true, Some(103)), (3, true, Some(103))]);
    rig.answer(&chain, 103);
    rig.answer(&chain, 103);
    assert_eq!(rig.heard(7), "100 101 102 103");
    rig.arrive(second, &chain.at(104).head());
    assert_eq!(rig.heard(7), "100 101 102 103 104");
}

#[test]
fn a_channel_that_lags_takes_over_without_telling_anything_twice() {
    let chain = chain(8);
    let (mut rig, binding) = live(&chain);
    (101..=104).for_each(|number| rig.arrive(binding, &chain.at(number).head()));
    rig.event(Event::Lost { binding });
    let [(second, _)] = rig.accept()[..] else { panic!() };
    for number in 101..=106 {
        rig.answer(&chain, number);
        rig.arrive(second, &chain.at(number).head());
        rig.pass(1_000);
    }
    assert_eq!(rig.heard(7), "100 101 102 103 104 105 106");
    assert_eq!(rig.ended, []);
}

#[test]
fn events_of_the_old_binding_mean_nothing() {
    let chain = chain(3);
    let (mut rig, binding) = live(&chain);
    rig.event(Event::Lost { binding });
    rig.accept();
    rig.arrive(binding, &chain.at(101).head());
    assert_eq!(rig.heard(7), "100");
}

#[test]
fn an_outage_shorter_than_the_timeout_is_survived() {
    let chain = chain(12);
    let (mut rig, binding) = live(&chain);
    rig.channels(&[(1, false, None), (2, false, None), (3, false, None)]);
    rig.event(Event::Lost { binding });
    rig.pass(2_500);
    rig.fail();
    assert_eq!(rig.opens.len(), 0);
    rig.channels(&[(1, false, None), (2, true, None), (3, false, None)]);
    let [(second, ChannelId(2))] = rig.accept()[..] else { panic!("who is back is asked at once") };
    rig.pass(200);
    rig.arrive(second, &chain.at(110).head());
    rig.pass(200);
    rig.answer(&chain, 110);
    rig.pass(200);
    rig.answer(&chain, 110);
    assert_eq!(rig.heard(7), "100 101 102 103 104 105 106 107 108 109 110");
}

#[test]
fn a_long_outage_ends_the_subscriptions() {
    let chain = chain(2);
    let (mut rig, binding) = live(&chain);
    rig.channels(&[]);
    rig.event(Event::Lost { binding });
    rig.pass(31_000);
    assert_eq!(rig.ended, [(7, Ended::NobodyTookOver(Millis::from_secs(30)))]);
}

#[test]
fn a_channel_that_loses_events_is_left() {
    let chain = chain(5);
    let (mut rig, binding) = live(&chain);
    rig.arrive(binding, &chain.at(102).head());
    rig.pass(50);
    rig.answer(&chain, 102);
    assert_eq!(rig.opens.len(), 0, "it may still come");
    rig.pass(1_000);
    let [(second, ChannelId(2))] = rig.accept()[..] else { panic!("the feed moves") };
    assert_eq!(rig.closed, [binding], "and only then the old binding is closed");
    rig.answer(&chain, 102);
    rig.arrive(second, &chain.at(103).head());
    assert_eq!(rig.heard(7), "100 101 102 103");
}

#[test]
fn a_channel_that_was_left_is_not_chosen_again_soon() {
    let chain = chain(9);
    let (mut rig, first) = live(&chain);
    let mut binding = first;
    let mut went = Vec::new();
    for number in [102, 104, 106] {
        rig.arrive(binding, &chain.at(number - 1).head());
        rig.arrive(binding, &chain.at(number + 1).head());
        for _ in 0..4 {
            rig.pass(400);
            rig.answer(&chain, number + 1);
        }
        if let [(next, channel)] = rig.accept()[..] {
            (binding, _) = (next, went.push(channel.0));
        }
        rig.answer(&chain, number + 1);
    }
    assert_eq!(went, [2, 3], "each of the others once; then it stays, since everybody loses events");
}

#[test]
fn a_silent_channel_is_left_when_others_have_more() {
    let chain = chain(3);
    let (mut rig, binding) = live(&chain);
    rig.channels(&[(1, true, Some(100)), (2, true, Some(102)), (3, true, Some(102))]);
    rig.pass(1_100);
    rig.answer(&chain, 102);
    assert_eq!(rig.heard(7), "100 101 102", "what is missing is fetched while the channel is silent");
    rig.pass(4_000);
    assert_eq!(rig.accept().len(), 1);
    assert!(rig.closed.contains(&binding));
    assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::FailedOver { because: Moved::Stale, .. })));
}

#[test]
fn a_quiet_chain_is_not_an_error() {
    let chain = chain(1);
    let (mut rig, _) = live(&chain);
    rig.channels(&[(1, true, Some(100)), (2, true, Some(100)), (3, true, Some(100))]);
    rig.pass(19_000);
    assert_eq!((rig.opens.len(), rig.fetches.len(), rig.ended.len()), (0, 0, 0));
}

#[test]
fn a_chain_without_blocks_moves_seldom_and_never_ends() {
    let chain = chain(1);
    let (mut rig, _) = live(&chain);
    let mut moves = 0;
    for _ in 0..600 {
        rig.pass(1_000);
        rig.answer(&chain, 100);
        moves += rig.accept().len();
    }
    assert!((1..20).contains(&moves), "{moves} moves in ten minutes");
    assert_eq!(rig.ended, []);
}

#[test]
fn a_channel_that_falls_behind_is_left() {
    let chain = chain(20);
    let (mut rig, _) = live(&chain);
    rig.channels(&[(1, true, Some(100)), (2, true, Some(110)), (3, true, Some(104))]);
    rig.pass(1_100);
    let [(_, ChannelId(2))] = rig.accept()[..] else { panic!("to one that is not behind") };
    assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::FailedOver { because: Moved::Behind, .. })));
}

#[test]
fn a_head_that_nobody_knows_is_held_against_its_channel() {
    let chain = chain(4);
    let (mut rig, binding) = live(&chain);
    let mut forked = Chain::new(98, &[0; 2]);
    forked.mine_all(5, 2);
    rig.arrive(binding, &forked.at(101).head());
    for _ in 0..5 {
        rig.pass(600);
        rig.answer(&chain, 103);
    }
    let [(second, ChannelId(2))] = rig.accept()[..] else { panic!("the feed moves") };
    (101..=103).for_each(|number| rig.arrive(second, &chain.at(number).head()));
    assert_eq!(rig.heard(7), "100 101 102 103");
    rig.pass(20_000);
    assert_eq!(rig.ended, []);
}

#[test]
fn what_cannot_be_read_moves_the_feed() {
    let chain = chain(2);
    let (mut rig, binding) = live(&chain);
    for payload in ["null", "{}", r#"{"number":"0x1"}"#] {
        assert_eq!(rig.opens.len(), 0);
        rig.arrive(binding, payload);
    }
    assert_eq!(rig.opens.len(), 1);
}

#[test]
fn a_refused_open_goes_to_the_next_channel_at_once() {
    let chain = chain(2);
    let (mut rig, binding) = live(&chain);
    rig.event(Event::Lost { binding });
    let (second, ..) = rig.opens.pop_front().unwrap();
    rig.event(Event::Refused { binding: second, error: refusal(), unsupported: true });
    assert_eq!(rig.opens.pop_front().unwrap().1, ChannelId(3));
}

#[test]
fn an_open_without_an_answer_goes_to_the_next_channel() {
    let chain = chain(2);
    let (mut rig, binding) = live(&chain);
    rig.event(Event::Lost { binding });
    let (second, ..) = rig.opens.pop_front().unwrap();
    rig.pass(2_000);
    assert_eq!(rig.closed, [second]);
    assert_eq!(rig.opens.pop_front().unwrap().1, ChannelId(3));
}

#[test]
fn a_channel_that_is_silent_from_the_start_hides_nothing() {
    let chain = chain(5);
    let (mut rig, _) = silent();
    rig.answer(&chain, 100);
    assert_eq!(rig.heard(7), "", "what was there before is not told");
    rig.channels(&[(1, true, Some(102)), (2, true, Some(102))]);
    rig.pass(1_100);
    rig.answer(&chain, 102);
    assert_eq!(rig.heard(7), "101 102");
}

#[test]
fn what_came_while_nobody_said_where_the_chain_stood_is_told() {
    let chain = chain(5);
    let (mut rig, _) = silent();
    rig.fail();
    rig.channels(&[(1, true, Some(102)), (2, true, Some(102))]);
    for _ in 0..2 {
        rig.pass(1_100);
        rig.answer(&chain, 102);
    }
    assert_eq!(rig.heard(7), "101 102");
}

#[test]
fn a_block_that_came_while_it_was_asked_where_the_chain_stands_is_told_once() {
    let chain = chain(5);
    let (mut rig, binding) = silent();
    rig.answer(&chain, 101);
    for number in [101, 101, 102] {
        rig.arrive(binding, &chain.at(number).head());
    }
    assert_eq!(rig.heard(7), "101 102");
}

#[test]
fn another_block_than_the_one_asked_for_is_not_where_the_chain_stood() {
    let chain = chain(5);
    let (mut rig, _) = silent();
    rig.fail();
    rig.channels(&[(1, true, Some(102)), (2, true, Some(102))]);
    rig.pass(500);
    let (fetch, _) = rig.fetches.pop_front().unwrap();
    rig.event(Event::Fetched { fetch, answer: Ok(vec![chain.at(102).head().into()]) });
    for _ in 0..2 {
        rig.pass(1_100);
        rig.answer(&chain, 102);
    }
    assert_eq!(rig.heard(7), "101 102");
}

#[test]
fn where_the_chain_stood_long_ago_ends_nobody() {
    let chain = chain(500);
    let (mut rig, first) = silent();
    rig.fail();
    rig.event(Event::Lost { binding: first });
    rig.channels(&[(1, false, Some(500)), (2, false, Some(500))]);
    rig.pass(400_000);
    rig.channels(&[(1, true, Some(500)), (2, true, Some(500))]);
    rig.pass(1_000);
    let [(second, _)] = rig.accept()[..] else { panic!() };
    rig.answer(&chain, 500);
    rig.arrive(second, &chain.at(501).head());
    rig.pass(1_000);
    assert_eq!((rig.heard(7).as_str(), rig.ended.len()), ("501", 0));
}

#[test]
fn a_number_that_nobody_has_is_not_asked_for_forever() {
    let chain = chain(5);
    let mut rig = Rig::with(Settings { block_time: Millis(1_000), ..Settings::default() });
    rig.channels(&[(1, true, Some(1_000_000))]);
    rig.subscribe(7, Key::NewHeads);
    rig.accept();
    rig.fail();
    for _ in 0..12 {
        rig.pass(5_000);
        rig.answer(&chain, 102);
    }
    rig.channels(&[(1, true, Some(103))]);
    rig.pass(5_000);
    rig.answer(&chain, 103);
    assert_eq!(rig.heard(7), "103");
}

#[test]
fn where_the_chain_stands_is_asked_until_it_is_known() {
    let chain = Chain::new(100, &[0; 5]);
    let mut rig = Rig::new();
    rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
    rig.subscribe(1, Key::NewHeads);
    let [(first, _)] = rig.accept()[..] else { panic!() };
    rig.fail();
    rig.pass(1_000);
    rig.answer(&chain, 100);
    rig.event(Event::Lost { binding: first });
    let [(second, _)] = rig.accept()[..] else { panic!() };
    rig.arrive(second, &chain.at(103).head());
    rig.pass(100);
    rig.answer(&chain, 103);
    assert_eq!(rig.heard(1), "101 102 103");
}
