use lasso_jsonrpc::RpcError;
use lasso_routing::time::Millis;
use proptest::prelude::*;

use crate::fixture::{Chain, Rig, logs_key, refusal};
use crate::{ChannelId, Ended, Event, Key, Kind, Moved, Notice, Settings, Standing, State};

const PENDING: Key = Key::NewPendingTransactions { full: false };

#[test]
fn equal_keys_share_one_binding() {
    let mut rig = Rig::new();
    (0..100).for_each(|subscription| rig.subscribe(subscription, Key::NewHeads));
    assert_eq!(rig.accept().len(), 1);
    assert_eq!(rig.confirmed, (0..100).collect::<Vec<_>>());
    rig.subscribe(100, Key::NewHeads);
    assert_eq!((rig.confirmed.len(), rig.opens.len()), (101, 0));
}

#[test]
fn logs_and_heads_share_the_feed_of_heads() {
    let mut rig = Rig::new();
    rig.subscribe(1, logs_key());
    rig.subscribe(2, Key::NewHeads);
    assert_eq!(rig.accept().len(), 2);
}

#[test]
fn nothing_is_told_before_the_confirmation_nor_after_the_end() {
    let chain = Chain::new(100, &[0; 4]);
    let mut rig = Rig::new();
    rig.subscribe(1, Key::NewHeads);
    assert_eq!(rig.confirmed.len(), 0);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    rig.arrive(binding, &chain.at(100).head());
    rig.subscribe(2, Key::NewHeads);
    rig.arrive(binding, &chain.at(101).head());
    rig.unsubscribe(1);
    rig.arrive(binding, &chain.at(102).head());
    assert_eq!((rig.heard(1).as_str(), rig.heard(2).as_str()), ("100 101", "101 102"));
}

#[test]
fn a_subscription_that_nobody_takes_is_refused_with_the_last_words() {
    let mut rig = Rig::new();
    rig.subscribe(1, Key::NewHeads);
    for _ in 0..200 {
        while let Some((binding, ..)) = rig.opens.pop_front() {
            rig.event(Event::Refused { binding, error: refusal(), unsupported: false });
        }
        rig.pass(100);
    }
    assert_eq!(rig.refused, [(1, refusal())]);
    assert_eq!((rig.hub.view().len(), rig.confirmed.len()), (0, 0));
}

#[test]
fn without_channels_a_subscription_waits_and_is_refused() {
    let mut rig = Rig::with(Settings::default());
    rig.subscribe(1, Key::NewHeads);
    rig.pass(9_000);
    assert_eq!(rig.refused.len(), 0);
    rig.pass(1_000);
    assert_eq!(rig.refused[0].1.message, "no channel took the subscription to newHeads in time");
}

#[test]
fn a_kind_that_nobody_has_is_refused_at_once_in_the_words_of_who_was_asked() {
    let mut rig = Rig::new();
    rig.subscribe(1, Key::Syncing);
    for _ in 0..3 {
        let (binding, ..) = rig.opens.pop_front().unwrap();
        rig.event(Event::Refused { binding, error: refusal(), unsupported: true });
    }
    assert_eq!(rig.refused, [(1, refusal())]);
    rig.subscribe(2, Key::Syncing);
    assert_eq!((rig.refused.len(), rig.opens.len()), (2, 0), "and is not asked for again");
    rig.pass(301_000);
    rig.subscribe(3, Key::Syncing);
    assert_eq!(rig.opens.len(), 1, "for five minutes");
}

#[test]
fn a_declared_lack_is_respected() {
    let mut rig = Rig::with(Settings::default());
    let standing =
        |id, lacks| Standing { channel: ChannelId(id), connected: true, usable: true, head: None, rank: id, lacks };
    rig.event(Event::Channels(vec![standing(1, vec![Kind::Logs]), standing(2, Vec::new())]));
    rig.subscribe(1, logs_key());
    let went: Vec<_> = rig.opens.iter().map(|(_, channel, key)| (key.kind(), channel.0)).collect();
    assert_eq!(went, [(Kind::NewHeads, 1), (Kind::Logs, 2)]);
}

#[test]
fn the_order_of_channels() {
    #[track_caller]
    fn check(standings: [(bool, bool, u64, u32); 3], chosen: u32) {
        let mut rig = Rig::with(Settings { block_time: Millis(1_000), ..Settings::default() });
        let standing = |(index, (connected, usable, head, rank)): (usize, (bool, bool, u64, u32))| Standing {
            channel: ChannelId(index as u32),
            connected,
            usable,
            head: Some(head),
            rank,
            lacks: Vec::new(),
        };
        rig.event(Event::Channels(standings.into_iter().enumerate().map(standing).collect()));
        rig.subscribe(1, PENDING);
        assert_eq!(rig.opens[0].1.0, chosen);
    }
    check([(true, true, 9, 0), (true, true, 9, 1), (true, true, 9, 2)], 0);
    check([(true, true, 9, 2), (true, true, 9, 1), (true, true, 9, 1)], 1);
    check([(false, true, 9, 0), (true, true, 9, 1), (true, true, 9, 2)], 1);
    check([(true, false, 9, 0), (true, true, 9, 1), (true, true, 9, 2)], 1);
    check([(true, true, 1, 0), (true, true, 1, 1), (true, true, 9, 2)], 2);
    check([(true, false, 9, 0), (true, true, 1, 1), (false, true, 9, 2)], 1);
}

#[test]
fn the_last_unsubscribe_closes_the_feed_after_the_linger() {
    let mut rig = Rig::new();
    rig.subscribe(1, logs_key());
    let bound: Vec<_> = rig.accept().into_iter().map(|(binding, _)| binding).collect();
    rig.unsubscribe(1);
    assert_eq!(rig.hub.view().iter().map(|feed| feed.state).collect::<Vec<_>>(), [State::Live, State::Lingering]);
    rig.pass(59_000);
    while let Some((binding, ..)) = rig.opens.pop_front() {
        rig.event(Event::Refused { binding, error: refusal(), unsupported: false });
    }
    assert!(rig.closed.iter().all(|closed| !bound.contains(closed)));
    rig.pass(1_100);
    assert!(bound.iter().all(|binding| rig.closed.contains(binding)));
    assert_eq!((rig.hub.view().len(), rig.hub.poll_timeout()), (0, None));
}

#[test]
fn who_comes_within_the_linger_takes_the_feed_over() {
    let chain = Chain::new(100, &[0; 3]);
    let mut rig = Rig::new();
    rig.subscribe(1, Key::NewHeads);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    rig.arrive(binding, &chain.at(100).head());
    rig.unsubscribe(1);
    rig.pass(3_000);
    rig.arrive(binding, &chain.at(101).head());
    rig.subscribe(2, Key::NewHeads);
    rig.arrive(binding, &chain.at(102).head());
    rig.pass(3_000);
    assert_eq!((rig.heard(2).as_str(), rig.opens.len(), rig.closed.len()), ("102", 0, 0));
}

#[test]
fn unsubscribing_while_it_opens_closes_what_was_opened() {
    let mut rig = Rig::new();
    rig.subscribe(1, logs_key());
    let opened: Vec<_> = rig.opens.iter().map(|(binding, ..)| *binding).collect();
    rig.unsubscribe(1);
    assert_eq!((rig.hub.view().len(), rig.closed.len()), (0, opened.len()));
    rig.event(Event::Accepted { binding: opened[0] });
    assert_eq!(rig.confirmed.len(), 0);
}

#[test]
fn nobody_heard_of_it_so_nothing_is_filled() {
    let chain = Chain::new(100, &[0; 900]);
    let mut rig = Rig::new();
    rig.subscribe(1, Key::NewHeads);
    rig.subscribe(9, PENDING);
    let [(binding, _), _] = rig.accept()[..] else { panic!() };
    rig.arrive(binding, &chain.at(100).head());
    rig.channels(&[(1, false, None)]);
    rig.subscribe(2, Key::NewHeads);
    rig.unsubscribe(1);
    rig.pass(5_000);
    rig.channels(&[(1, true, None)]);
    let accepted = rig.accept();
    let heads = accepted.iter().map(|(binding, _)| *binding).next().unwrap();
    rig.arrive(heads, &chain.at(900).head());
    assert_eq!((rig.heard(2).as_str(), rig.ended.len(), rig.fetches.len()), ("900", 0, 0));
}

#[test]
fn pending_transactions_are_told_once_and_never_filled() {
    let mut rig = Rig::new();
    rig.subscribe(1, PENDING);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    let hash = |byte: u8| format!("\"0x{}\"", format!("{byte:02x}").repeat(32));
    for byte in [1, 2, 1, 3] {
        rig.arrive(binding, &hash(byte));
    }
    rig.event(Event::Lost { binding });
    let [(next, _)] = rig.accept()[..] else { panic!() };
    rig.arrive(next, &hash(2));
    rig.arrive(next, &hash(4));
    assert_eq!((rig.heard(1), rig.fetches.len()), ([1, 2, 3, 4].map(hash).join(" "), 0));
}

#[test]
fn equal_words_on_syncing_are_told_once() {
    let mut rig = Rig::new();
    rig.subscribe(1, Key::Syncing);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    ["true", "true", "false", "true"].iter().for_each(|word| rig.arrive(binding, word));
    assert_eq!(rig.told.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>(), ["true", "false", "true"]);
}

#[test]
fn an_outage_of_a_passing_feed_ends_it_too() {
    let mut rig = Rig::new();
    rig.subscribe(1, PENDING);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    rig.channels(&[]);
    rig.event(Event::Lost { binding });
    rig.pass(30_000);
    assert_eq!(rig.ended, [(1, Ended::NobodyTookOver(Millis::from_secs(30)))]);
}

/// The rig notices a hub that wants to be called again and again.
#[test]
fn an_outage_that_ended_a_feed_does_not_spin_while_others_wait() {
    #[track_caller]
    fn check(key: Key) {
        let mut rig = Rig::new();
        rig.channels(&[(1, true, Some(100))]);
        rig.subscribe(1, key.clone());
        while let Some((binding, _, opened)) = rig.opens.pop_front() {
            // Where nobody has heads, logs are told as they come.
            let event = if *opened == key {
                Event::Accepted { binding }
            } else {
                Event::Refused { binding, error: refusal(), unsupported: true }
            };
            rig.event(event);
        }
        rig.answer(&Chain::new(100, &[0]), 100);
        rig.channels(&[]);
        rig.pass(29_000);
        rig.subscribe(2, key.clone());
        rig.pass(5_000);
        assert_eq!(rig.ended.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [1], "{key:?}");
        rig.pass(5_000);
        assert_eq!(rig.refused.iter().map(|(who, _)| *who).collect::<Vec<_>>(), [2], "{key:?}");
        assert!(rig.hub.view().is_empty(), "{key:?}");
    }
    check(PENDING);
    check(Key::Syncing);
    check(Key::NewHeads);
    check(logs_key());
}

#[test]
fn what_is_wrong_with_one_filter_is_no_other_clients_trouble() {
    let wrong = || RpcError { code: -32602, message: "too many addresses".to_owned(), data: None };
    let mut rig = Rig::new();
    rig.subscribe(1, logs_key());
    for _ in 0..100 {
        while let Some((binding, _, opened)) = rig.opens.pop_front() {
            rig.event(match opened.kind() {
                Kind::Logs => Event::Refused { binding, error: wrong(), unsupported: true },
                Kind::NewHeads | Kind::NewPendingTransactions | Kind::Syncing => Event::Accepted { binding },
            });
        }
        rig.pass(100);
    }
    assert_eq!(rig.refused, [(1, wrong())], "in the provider's words");
    rig.subscribe(2, Key::parse(Some(r#"["logs",{}]"#)).unwrap());
    assert_eq!((rig.opens.len(), rig.refused.len()), (1, 1));
    assert!(!rig.notices.iter().any(|notice| matches!(notice, Notice::KindRefused { .. })));
}

#[test]
fn a_channel_that_is_not_there_any_more_is_left() {
    let mut rig = Rig::new();
    rig.subscribe(1, PENDING);
    rig.accept();
    rig.channels(&[(2, true, None)]);
    assert_eq!(rig.accept()[0].1, ChannelId(2));
    assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::FailedOver { because: Moved::Removed, .. })));
}

#[test]
fn feeds_stay_where_they_are_while_they_are_well() {
    let mut rig = Rig::new();
    rig.channels(&[(2, true, None), (3, true, None)]);
    rig.subscribe(1, PENDING);
    rig.accept();
    rig.channels(&[(1, true, None), (2, true, None), (3, true, None)]);
    rig.pass(1_000);
    assert_eq!(rig.opens.len(), 0);
}

#[test]
fn a_channel_that_flaps_is_no_longer_the_first_choice() {
    let mut rig = Rig::new();
    rig.subscribe(1, PENDING);
    let [(mut binding, _)] = rig.accept()[..] else { panic!() };
    let mut went = Vec::new();
    for _ in 0..4 {
        rig.event(Event::Lost { binding });
        let [(next, channel)] = rig.accept()[..] else { panic!() };
        binding = next;
        went.push(channel.0);
        rig.pass(400);
    }
    assert_eq!(went, [2, 3, 1, 2]);
}

#[test]
fn more_feeds_than_allowed_are_refused() {
    let mut rig = Rig::new();
    for contract in 0..1_030_u64 {
        let key = Key::parse(Some(&format!(r#"["logs",{{"address":"0x{contract:040x}"}}]"#))).unwrap();
        rig.subscribe(contract, key);
    }
    assert_eq!(rig.hub.view().len(), 1_023);
    assert_eq!(rig.refused[0].1.message, "too many subscriptions");
}

#[test]
fn one_absurd_head_ends_nobody() {
    let chain = Chain::new(100, &[0; 3]);
    let mut rig = Rig::new();
    rig.channels(&[(1, true, Some(100)), (2, true, Some(100))]);
    rig.subscribe(1, Key::NewHeads);
    let [(binding, _)] = rig.accept()[..] else { panic!() };
    let absurd = |number: u64| chain.at(101).head().replace("0x65", &format!("{number:#x}"));
    rig.arrive(binding, &absurd(u64::MAX));
    rig.arrive(binding, &chain.at(100).head());
    rig.arrive(binding, &absurd(1_000_000));
    rig.arrive(binding, &chain.at(101).head());
    assert_eq!((rig.heard(1).as_str(), rig.ended.len()), ("100 101", 0));
}

fn member() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("number"),
        Just("hash"),
        Just("parentHash"),
        Just("logsBloom"),
        Just("blockNumber"),
        Just("blockHash"),
        Just("logIndex"),
        Just("removed")
    ];
    let hash = (0..3_u8).prop_map(|byte| format!("\"0x{}\"", format!("{byte:02x}").repeat(32)));
    let number =
        prop_oneof![0..4_u64, Just(u64::MAX), Just(u64::MAX - 1)].prop_map(|number| format!("\"{number:#x}\""));
    let value =
        prop_oneof![hash, number, Just("true".to_owned()), Just("null".to_owned()), Just("\"\\u0030\"".to_owned())];
    (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

fn payload() -> impl Strategy<Value = String> {
    let object = || prop::collection::vec(member(), 0..9).prop_map(|members| format!("{{{}}}", members.join(",")));
    prop_oneof![4 => object(), 1 => object().prop_map(|object| format!("[{object}]")), 1 => ".{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_providers_send_is_a_panic(sent in prop::collection::vec((0..4_u8, payload()), 1..60)) {
        let mut rig = Rig::new();
        rig.subscribe(1, Key::NewHeads);
        rig.subscribe(2, logs_key());
        let mut bound = rig.accept();
        for (what, payload) in sent {
            bound.extend(rig.accept());
            match what {
                0 | 1 => rig.arrive(bound[bound.len() - 1 - usize::from(what)].0, &payload),
                2 => {
                    if let Some((fetch, _)) = rig.fetches.pop_front() {
                        rig.event(Event::Fetched { fetch, answer: Ok(vec![payload.as_str().into(); 3]) });
                    }
                }
                _ => rig.pass(700),
            }
        }
        rig.pass(40_000);
    }
}
