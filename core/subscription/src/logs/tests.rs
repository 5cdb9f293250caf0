use lasso_routing::time::Millis;

use crate::fixture::{Chain, Made, Rig, logs_key, refusal};
use crate::{Ask, BindingId, ChannelId, Ended, Event, Kind, Notice, Settings, Standing};

/// A live feed of logs at channel 1 with one subscription, 7, and its feed of heads; the block 100 told.
struct Live {
    rig: Rig,
    heads: BindingId,
    logs: BindingId,
}

impl Live {
    fn new(chain: &Chain) -> Self {
        let mut rig = Rig::new();
        rig.subscribe(7, logs_key());
        let [(heads, _), (logs, _)] = rig.accept()[..] else { panic!("heads and logs are bound") };
        rig.arrive(heads, &chain.at(100).head());
        Self { rig, heads, logs }
    }

    fn head(&mut self, block: &Made) {
        self.rig.arrive(self.heads, &block.head());
    }

    fn log(&mut self, block: &Made, index: u64) {
        self.rig.arrive(self.logs, &block.log(index));
    }

    /// Head and logs, as a channel sends them.
    fn block(&mut self, block: &Made) {
        self.head(block);
        (0..block.logs).for_each(|index| self.log(block, index));
    }

    /// The channel dies; the next one takes both.
    fn fail_over(&mut self) {
        self.lose();
        let [(heads, _), (logs, _)] = self.rig.accept()[..] else { panic!("both are bound again") };
        (self.heads, self.logs) = (heads, logs);
    }

    fn lose(&mut self) {
        for binding in [self.heads, self.logs] {
            self.rig.event(Event::Lost { binding });
        }
    }

    fn heard(&self) -> String {
        self.rig.heard(7)
    }
}

#[test]
fn logs_are_told_as_they_come_and_nothing_waits() {
    let chain = Chain::new(100, &[0, 2, 0, 1, 1]);
    let mut live = Live::new(&chain);
    for (number, heard) in [(101, "101.0 101.1"), (102, "101.0 101.1"), (103, "101.0 101.1 103.0")] {
        live.block(chain.at(number));
        assert_eq!(live.heard(), heard);
    }
    live.log(chain.at(104), 0);
    assert_eq!(live.heard(), "101.0 101.1 103.0 104.0", "its head need not have come");
    live.head(chain.at(104));
    live.rig.pass(10_000);
    assert!(live.rig.fetches.is_empty() || live.rig.fetches.iter().all(|(_, ask)| matches!(ask, Ask::Headers { .. })));
}

#[test]
fn slow_blocks_cost_no_fetches() {
    let chain = Chain::new(100, &[0, 2, 1, 0, 0, 1, 1]);
    let mut live = Live::new(&chain);
    for number in 101..=106 {
        live.block(chain.at(number));
        live.rig.pass(4_500);
    }
    assert_eq!(live.heard(), "101.0 101.1 102.0 105.0 106.0");
    assert_eq!(live.rig.fetches.len(), 0);
}

#[test]
fn a_log_that_comes_twice_is_told_once() {
    let chain = Chain::new(100, &[0, 2]);
    let mut live = Live::new(&chain);
    for _ in 0..2 {
        live.block(chain.at(101));
    }
    assert_eq!(live.heard(), "101.0 101.1");
}

#[test]
fn clients_of_logs_hear_no_heads() {
    let chain = Chain::new(100, &[0, 0]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    assert_eq!(live.heard(), "");
}

#[test]
fn a_lost_log_is_found_by_the_bloom() {
    let chain = Chain::new(100, &[0, 1, 0]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    live.rig.pass(1_900);
    assert_eq!(live.rig.fetches.len(), 0, "it may still come");
    live.rig.pass(200);
    assert!(matches!(live.rig.fetches[0].1, Ask::BlockLogs { .. }));
    live.rig.answer(&chain, 102);
    assert_eq!(live.heard(), "101.0");
    assert_eq!(live.rig.opens.len(), 2, "the channel lost it: both feeds move");
}

#[test]
fn a_log_waits_for_one_that_should_have_come_before() {
    let chain = Chain::new(100, &[0, 1, 1]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    live.block(chain.at(102));
    assert_eq!((live.heard().as_str(), live.rig.fetches.len()), ("", 1), "asked for at once");
    live.rig.answer(&chain, 102);
    assert_eq!(live.heard(), "101.0 102.0");
}

#[test]
fn none_is_believed_when_it_is_said_twice() {
    let mut chain = Chain::new(100, &[0, 1]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    live.rig.pass(2_100);
    for block in &mut chain.blocks {
        block.logs = 0;
    }
    let (fetch, _) = live.rig.fetches.pop_front().unwrap();
    live.rig.event(Event::Fetched { fetch, answer: Ok(vec!["[]".into()]) });
    assert_eq!(live.rig.fetches.len(), 0);
    live.rig.pass(310);
    let (fetch, _) = live.rig.fetches.pop_front().unwrap();
    live.rig.event(Event::Fetched { fetch, answer: Ok(vec!["[]".into()]) });
    live.rig.pass(5_000);
    let next = chain.mine(0, 1);
    live.block(&next);
    assert_eq!(live.heard(), "102.0");
}

#[test]
fn a_kill_in_the_middle_of_a_block_loses_none_and_repeats_none() {
    let chain = Chain::new(100, &[0, 400, 1]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    (0..150).for_each(|index| live.log(chain.at(101), index));
    live.fail_over();
    live.block(chain.at(102));
    live.rig.answer(&chain, 102);
    let expected: Vec<_> = (0..400).map(|index| format!("101.{index}")).chain(["102.0".to_owned()]).collect();
    assert_eq!(live.heard(), expected.join(" "));
}

#[test]
fn blocks_of_an_outage_are_fetched_by_hash() {
    let chain = Chain::new(100, &[0, 1, 0, 3, 0, 1]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    live.fail_over();
    live.rig.pass(10);
    live.block(chain.at(104));
    live.rig.pass(100);
    live.rig.answer(&chain, 104);
    assert_eq!(live.heard(), "101.0 103.0 103.1 103.2");
    live.block(chain.at(105));
    live.rig.answer(&chain, 105);
    assert_eq!(live.heard(), "101.0 103.0 103.1 103.2 105.0");
}

#[test]
fn who_lacks_the_block_is_not_believed() {
    let chain = Chain::new(100, &[0, 0, 2]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    live.fail_over();
    live.rig.fail();
    live.head(chain.at(102));
    live.rig.answer(&chain, 101);
    assert_eq!(live.heard(), "");
    live.rig.pass(150);
    live.rig.answer(&chain, 102);
    assert_eq!(live.heard(), "102.0 102.1");
}

#[test]
fn logs_that_nobody_gives_end_the_subscriptions() {
    let chain = Chain::new(100, &[0, 1]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    for _ in 0..40 {
        live.rig.pass(1_000);
        live.rig.fail();
    }
    assert_eq!(live.rig.ended, [(7, Ended::FillTimedOut(Millis::from_secs(30)))]);
}

#[test]
fn swapped_events_are_told_in_order() {
    let chain = Chain::new(100, &[0, 1, 1, 0, 1]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    live.head(chain.at(102));
    live.log(chain.at(101), 0);
    live.head(chain.at(103));
    live.log(chain.at(102), 0);
    live.log(chain.at(104), 0);
    live.head(chain.at(104));
    assert_eq!((live.heard().as_str(), live.rig.fetches.len()), ("101.0 102.0 104.0", 0));
}

#[test]
fn a_channel_that_mixes_a_block_up_is_not_taken_at_its_word() {
    let chain = Chain::new(100, &[0, 2, 2]);
    let mut live = Live::new(&chain);
    live.head(chain.at(101));
    [1, 0].iter().for_each(|&index| live.log(chain.at(101), index));
    assert_eq!(live.heard(), "101.1 101.0", "told late rather than never");
    live.head(chain.at(102));
    [1, 0].iter().for_each(|&index| live.log(chain.at(102), index));
    live.rig.answer(&chain, 102);
    assert_eq!(live.heard(), "101.1 101.0 102.0 102.1");
}

#[test]
fn a_reorg_takes_logs_back_newest_first() {
    let mut chain = Chain::new(100, &[0, 1, 2, 1]);
    let mut live = Live::new(&chain);
    (101..=103).for_each(|number| live.block(chain.at(number)));
    chain.rewind(2);
    for _ in 0..2 {
        let block = chain.mine(1, 1);
        live.block(&block);
    }
    assert_eq!(live.heard(), "101.0 102.0 102.1 103.0 -103.0 -102.1 -102.0 102.0 103.0");
}

#[test]
fn logs_whose_head_never_came_are_taken_back_too() {
    let mut chain = Chain::new(100, &[0, 1, 1]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    live.log(chain.at(102), 0);
    chain.rewind(2);
    for _ in 0..2 {
        let block = chain.mine(1, 1);
        live.block(&block);
    }
    assert_eq!(live.heard(), "101.0 102.0 -102.0 -101.0 101.0 102.0");
}

#[test]
fn what_the_channel_took_back_itself_is_not_taken_back_again() {
    let mut chain = Chain::new(100, &[0, 1]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    let removed = chain.at(101).log_with(0, true);
    live.rig.arrive(live.logs, &removed);
    live.rig.arrive(live.logs, &removed);
    chain.rewind(1);
    let block = chain.mine(1, 1);
    live.block(&block);
    assert_eq!(live.heard(), "101.0 -101.0 101.0");
}

#[test]
fn a_reorg_back_brings_the_logs_back() {
    let mut chain = Chain::new(100, &[0, 1, 1]);
    let mut live = Live::new(&chain);
    (101..=102).for_each(|number| live.block(chain.at(number)));
    let mut old = chain.clone();
    chain.rewind(2);
    (0..2).for_each(|_| {
        let block = chain.mine(1, 0);
        live.head(&block);
    });
    let next = old.mine(0, 0);
    live.head(&next);
    live.rig.answer(&old, 103);
    assert_eq!(live.heard(), "101.0 102.0 -102.0 -101.0 101.0 102.0");
}

#[test]
fn a_log_far_ahead_makes_the_missing_heads_come() {
    let chain = Chain::new(100, &[0, 0, 0, 1]);
    let mut live = Live::new(&chain);
    live.log(chain.at(103), 0);
    assert_eq!(live.heard(), "");
    live.rig.pass(600);
    live.rig.answer(&chain, 103);
    assert_eq!(live.heard(), "103.0");
}

#[test]
fn logs_before_the_first_head_are_told() {
    let chain = Chain::new(100, &[1, 1]);
    let mut rig = Rig::new();
    rig.subscribe(7, logs_key());
    let [(heads, _), (logs, _)] = rig.accept()[..] else { panic!() };
    rig.arrive(logs, &chain.at(100).log(0));
    rig.arrive(heads, &chain.at(100).head());
    rig.arrive(logs, &chain.at(101).log(0));
    rig.arrive(heads, &chain.at(101).head());
    assert_eq!((rig.heard(7).as_str(), rig.fetches.len()), ("100.0 101.0", 0));
}

#[test]
fn without_heads_logs_are_told_as_they_come_and_gaps_are_asked_for_by_range() {
    let chain = Chain::new(100, &[1, 2, 1]);
    let mut rig = Rig::new();
    rig.subscribe(7, logs_key());
    let mut logs = None;
    while let Some((binding, _, key)) = rig.opens.pop_front() {
        if *key == logs_key() {
            rig.event(Event::Accepted { binding });
            logs = Some(binding);
        } else {
            rig.event(Event::Refused { binding, error: refusal(), unsupported: true });
        }
    }
    let logs = logs.unwrap();
    rig.arrive(logs, &chain.at(100).log(0));
    rig.arrive(logs, &chain.at(101).log(0));
    rig.event(Event::Lost { binding: logs });
    let [(next, ChannelId(2))] = rig.accept()[..] else { panic!() };
    rig.arrive(next, &chain.at(102).log(0));
    assert_eq!(rig.heard(7), "100.0 101.0");
    rig.answer(&chain, 102);
    assert_eq!(rig.heard(7), "100.0 101.0 101.1 102.0");
    rig.arrive(next, &chain.at(102).log(0));
    assert_eq!(rig.heard(7), "100.0 101.0 101.1 102.0");
}

#[test]
fn heads_that_lose_continuity_end_logs_too() {
    let chain = Chain::new(100, &vec![0; 400]);
    let mut live = Live::new(&chain);
    live.head(chain.at(499));
    assert_eq!(live.rig.ended, [(7, Ended::HeadsEnded)]);
    assert!(live.rig.notices.iter().any(|notice| matches!(notice, Notice::ContinuityLost { .. })));
    live.rig.subscribe(8, logs_key());
    live.rig.arrive(live.logs, &chain.at(499).log(0));
    assert_eq!(live.rig.heard(8), "499.0");
}

#[test]
fn a_log_that_cannot_be_read_is_counted() {
    let chain = Chain::new(100, &[0]);
    let mut live = Live::new(&chain);
    for payload in ["", "null", r#"{"blockNumber":"0x1"}"#] {
        live.rig.arrive(live.logs, payload);
    }
    assert_eq!((live.heard().as_str(), live.rig.opens.len()), ("", 1));
}

/// Where the chain stood when we came may be found out late, and from a node that is behind.
#[test]
fn what_was_before_us_is_not_told_behind_our_backs() {
    let chain = Chain::new(100, &[0, 1, 1, 1, 1, 1]);
    for (answered_by, heard) in [(100, "103.0 104.0 105.0"), (102, "103.0 104.0 105.0"), (103, "103.0 104.0 105.0")] {
        let mut rig = Rig::new();
        rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
        rig.subscribe(7, logs_key());
        let [(heads, _), (logs, _)] = rig.accept()[..] else { panic!("heads and logs are bound") };
        rig.arrive(logs, &chain.at(103).log(0));
        rig.answer(&chain, answered_by);
        for number in [103, 104, 105] {
            rig.arrive(heads, &chain.at(number).head());
            rig.arrive(logs, &chain.at(number).log(0));
            rig.pass(500);
            rig.answer(&chain, 105);
        }
        rig.pass(5_000);
        rig.answer(&chain, 105);
        assert_eq!(rig.heard(7), heard, "the first answer came from a node at {answered_by}");
    }
}

/// A block that was there when we came is not asked for when its channel dies.
#[test]
fn a_failover_brings_nothing_from_before_the_subscription() {
    let chain = Chain::new(100, &[2, 1, 1, 1]);
    let mut rig = Rig::new();
    rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
    rig.subscribe(7, logs_key());
    let [(heads, _), (logs, _)] = rig.accept()[..] else { panic!("heads and logs are bound") };
    rig.answer(&chain, 100);
    rig.arrive(heads, &chain.at(101).head());
    rig.arrive(logs, &chain.at(101).log(0));
    for binding in [heads, logs] {
        rig.event(Event::Lost { binding });
    }
    rig.accept();
    for _ in 0..8 {
        rig.answer(&chain, 103);
        rig.pass(500);
    }
    assert_eq!(rig.heard(7), "101.0 102.0");
}

/// The one channel that has heads is away for a moment, while another brings logs.
#[test]
fn the_chain_is_followed_again_when_heads_are_back() {
    let mut chain = Chain::new(100, &[0, 1, 1]);
    let mut live = Live::new(&chain);
    live.block(chain.at(101));
    let standing = |id, connected, lacks| Standing {
        channel: ChannelId(id),
        connected,
        usable: true,
        head: None,
        rank: id,
        lacks,
    };
    live.rig.event(Event::Channels(vec![standing(1, false, vec![]), standing(2, true, vec![Kind::NewHeads])]));
    let [(logs, ChannelId(2))] = live.rig.accept()[..] else { panic!("logs are bound to the other") };
    live.rig.pass(1_000);
    live.rig.event(Event::Channels(vec![standing(1, true, vec![]), standing(2, true, vec![Kind::NewHeads])]));
    let [(heads, ChannelId(1))] = live.rig.accept()[..] else { panic!("heads are bound again") };
    (live.heads, live.logs) = (heads, logs);
    live.block(chain.at(102));
    live.rig.answer(&chain, 102);
    chain.rewind(1);
    let block = chain.mine(1, 0);
    live.head(&block);
    assert_eq!(live.heard(), "101.0 102.0 -102.0");
}

#[test]
fn logs_of_a_block_that_came_while_it_was_asked_where_the_chain_stands_are_told() {
    let chain = Chain::new(100, &[0, 1, 1, 0]);
    for early in [false, true] {
        let mut rig = Rig::with(Settings { block_time: Millis(1_000), ..Settings::default() });
        rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
        rig.subscribe(7, logs_key());
        let [(heads, _), (logs, _)] = rig.accept()[..] else { panic!("heads and logs are bound") };
        if early {
            rig.arrive(logs, &chain.at(101).log(0));
        }
        rig.answer(&chain, 101);
        rig.arrive(heads, &chain.at(101).head());
        if !early {
            rig.arrive(logs, &chain.at(101).log(0));
        }
        rig.arrive(heads, &chain.at(102).head());
        rig.arrive(logs, &chain.at(102).log(0));
        rig.arrive(heads, &chain.at(103).head());
        rig.pass(10_000);
        rig.answer(&chain, 103);
        assert_eq!(rig.heard(7), "101.0 102.0", "{early}");
    }
}
