mod versions;

use lasso_jsonrpc::block::Tag;
use lasso_jsonrpc::method::MethodClass;
use lasso_routing::breaker::Category;
use lasso_routing::report::{
    ChainCounts, ChainTally, ChannelTally, Decision, Dropped, Ending, Lesson, Limit, MOST_TALLIES, RunTally, SeenHead,
    Selection, Shown, Stage, Sums, Tally, Trials,
};
use lasso_routing::table::{Barred, BreakerView, Cell, ChannelView, Lease, Right, Summary};
use lasso_routing::time::{Micros, Millis};
use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};

use super::*;

fn name() -> impl Strategy<Value = Box<str>> {
    select(vec!["public", "ethereum", "base", "ethereum/alchemy/http", "ethereum/infura/http", "base/a/ws", "ü"])
        .prop_map(Box::from)
}

fn class() -> impl Strategy<Value = MethodClass> {
    select(MethodClass::all().collect::<Vec<_>>())
}

fn millis() -> impl Strategy<Value = Millis> {
    prop_oneof![0..10_000_u64, any::<u64>()].prop_map(Millis)
}

fn micros() -> impl Strategy<Value = Micros> {
    prop_oneof![0..10_000_000_u64, any::<u64>()].prop_map(Micros)
}

fn category() -> impl Strategy<Value = Category> {
    select(vec![Category::Network, Category::Timeout, Category::Server, Category::Auth, Category::Billing])
}

fn sums() -> impl Strategy<Value = Sums> {
    let latencies = proptest::collection::btree_map(0..168_u8, 1..100_000_u32, 0..30);
    (any::<[u32; Ending::COUNT]>(), any::<u32>(), micros(), micros(), micros(), latencies).prop_map(
        |(endings, trailing_failures, latency, fastest, slowest, latencies)| Sums {
            endings,
            trailing_failures,
            latency,
            fastest,
            slowest,
            latencies: latencies.into_iter().collect(),
        },
    )
}

fn tally() -> impl Strategy<Value = Tally> {
    (name(), name(), name(), class(), sums()).prop_map(|(profile, chain, channel, class, sums)| Tally {
        profile,
        chain,
        channel,
        class,
        sums,
    })
}

fn run() -> impl Strategy<Value = RunTally> {
    (any::<[u32; 3]>(), vec(class(), 0..3), any::<bool>(), option::of(category()), millis()).prop_map(
        |([silent, server, auth], classes, billing, last, age)| RunTally {
            silent,
            server,
            auth,
            auth_classes: [classes.first().copied(), classes.get(1).copied()],
            billing,
            last,
            age,
        },
    )
}

fn channel_tally() -> impl Strategy<Value = ChannelTally> {
    let trials = (any::<u32>(), any::<u32>(), option::of(category()))
        .prop_map(|(opening, successes, failure)| Trials { opening, successes, failure });
    (name(), any::<[u32; 5]>(), run(), any::<bool>(), trials, option::of(millis())).prop_map(
        |(channel, [attempts, failures, last_resort_successes, in_flight, refusals], run, unbroken, trials, wait)| {
            ChannelTally {
                channel,
                attempts,
                failures,
                run,
                unbroken,
                trials,
                last_resort_successes,
                in_flight,
                refusals,
                told_to_wait: wait,
                succeeded: wait,
            }
        },
    )
}

fn chain_tally() -> impl Strategy<Value = ChainTally> {
    (name(), name(), any::<[u32; Selection::COUNT]>(), any::<[u32; Stage::COUNT]>()).prop_map(
        |(profile, chain, selections, requests)| ChainTally {
            profile,
            chain,
            counts: ChainCounts { selections, requests },
        },
    )
}

fn head() -> impl Strategy<Value = SeenHead> {
    (name(), any::<u64>(), any::<u64>(), millis(), millis()).prop_map(|(channel, number, proved, first, last)| {
        SeenHead { channel, shown: Shown { number, proved, first, last } }
    })
}

fn lesson() -> impl Strategy<Value = Lesson> {
    let limit = prop_oneof![
        any::<u64>().prop_map(Limit::Range),
        any::<u64>().prop_map(Limit::StateAge),
        any::<u64>().prop_map(Limit::Age),
        class().prop_map(Limit::Class),
        name().prop_map(Limit::Name),
        select(vec![Tag::Latest, Tag::Pending, Tag::Safe, Tag::Finalized, Tag::Earliest]).prop_map(Limit::Tag),
    ];
    (name(), limit, millis()).prop_map(|(channel, limit, left)| Lesson { channel, limit, left })
}

fn decision() -> impl Strategy<Value = Decision> {
    let attempt = (name(), name(), micros());
    let words = (name(), name(), class(), name(), prop_oneof![name(), Just(Box::from(""))]);
    (any::<u64>(), words, any::<u32>(), vec(attempt, 0..4), any::<bool>(), micros(), micros()).prop_map(
        |(request_id, (profile, chain, class, strategy, reason), candidates, attempts, answered, selection, total)| {
            Decision {
                request_id,
                profile,
                chain,
                class,
                strategy,
                reason,
                candidates,
                attempts,
                answered,
                selection,
                total,
            }
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let dropped = any::<[u64; 4]>().prop_map(|[coarsened, decisions, lessons, lost]| Dropped {
        coarsened,
        decisions,
        lessons,
        lost,
    });
    let lists = (vec(tally(), 0..8), vec(channel_tally(), 0..5), vec(head(), 0..4), vec(lesson(), 0..4));
    let chains = vec(chain_tally(), 0..4);
    (any::<u64>(), lists, chains, vec(decision(), 0..4), dropped).prop_map(
        |(seq, (tallies, channels, heads, lessons), chains, decisions, dropped)| Report {
            seq,
            tallies,
            channels,
            chains,
            heads,
            lessons,
            decisions,
            dropped,
        },
    )
}

fn cell() -> impl Strategy<Value = Cell> {
    let numbers = [0.0..1e9_f32, 0.0..1e6_f32, 0.0..1e6_f32, 0.0..1e6_f32];
    let percentiles = (option::of(micros()), option::of(micros()));
    (name(), name(), name(), class(), numbers, any::<u8>(), percentiles, millis()).prop_map(
        |(profile, chain, channel, class, [mean, weight, successes, failures], failures_in_a_row, (p95, p99), age)| {
            let summary = Summary { mean, weight, successes, failures, failures_in_a_row, p95, p99, age };
            Cell { profile, chain, channel, class, summary }
        },
    )
}

fn channel_view() -> impl Strategy<Value = ChannelView> {
    let breaker = prop_oneof![
        Just(BreakerView::Closed),
        Just(BreakerView::HalfOpen),
        option::of(millis()).prop_map(|left| BreakerView::Open { left }),
    ];
    let barred = option::of(Just(Barred::WrongChain));
    (name(), breaker, any::<u32>(), option::of(millis()), barred, any::<bool>()).prop_map(
        |(channel, breaker, opening, limited, barred, connected)| ChannelView {
            channel,
            breaker,
            opening,
            limited,
            barred,
            connected,
        },
    )
}

fn lease() -> impl Strategy<Value = Lease> {
    let right = prop_oneof![
        (name(), any::<u32>()).prop_map(|(channel, opening)| Right::Trial { channel, opening }),
        (name(), name(), name(), class()).prop_map(|(profile, chain, channel, class)| Right::Explore {
            profile,
            chain,
            channel,
            class
        }),
    ];
    (right, millis()).prop_map(|(right, left)| Lease { right, left })
}

fn table() -> impl Strategy<Value = Table> {
    let start = (any::<u64>(), any::<bool>(), any::<u64>(), any::<bool>(), 0.0..=1.0_f32);
    let lists = (vec(cell(), 0..8), vec(channel_view(), 0..5), vec(head(), 0..4), vec(lesson(), 0..4));
    let block_times = vec((any::<u64>(), millis()), 0..3);
    (start, lists, block_times, vec(lease(), 0..4)).prop_map(
        |((version, full, covers, set_aside, share), (cells, channels, heads, lessons), block_times, leases)| Table {
            version,
            full,
            covers,
            set_aside,
            share,
            cells,
            channels,
            heads,
            block_times,
            lessons,
            leases,
        },
    )
}

#[track_caller]
fn said(message: &FromWorker) {
    let read = FromWorker::decode(&message.encode()).unwrap();
    assert_eq!((&read.message, read.skipped), (message, 0));
}

#[track_caller]
fn told(message: &ToWorker) {
    let (bytes, left_out) = message.encode();
    let read = ToWorker::decode(&bytes).unwrap();
    assert_eq!((&read.message, read.skipped, left_out), (message, 0, 0));
}

proptest! {
    #[test]
    fn every_report_survives_the_wire(report in report()) {
        said(&FromWorker::Report(Box::new(report)));
    }

    #[test]
    fn every_table_survives_the_wire(table in table()) {
        told(&ToWorker::Table(Box::new(table)));
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = FromWorker::decode(&bytes);
        let _ = ToWorker::decode(&bytes);
    }

    #[test]
    fn a_broken_report_is_refused_or_read_and_never_a_panic(report in report(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = FromWorker::Report(Box::new(report)).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = FromWorker::decode(&bytes);
        let _ = FromWorker::decode(&bytes[..at]);
    }

    #[test]
    fn a_broken_table_has_only_numbers_that_can_be_routed_by(table in table(), at in any::<prop::sample::Index>(), byte: u8) {
        let (mut bytes, _) = ToWorker::Table(Box::new(table)).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Read { message: ToWorker::Table(table), .. }) = ToWorker::decode(&bytes) {
            let sound = |number: f32| number.is_finite() && number >= 0.0;
            prop_assert!(sound(table.share) && table.share <= 1.0);
            prop_assert!(table.cells.iter().all(|cell| sound(cell.summary.mean) && sound(cell.summary.weight)));
        }
    }
}

#[test]
fn the_short_messages_survive_the_wire() {
    let hello = Hello {
        node: "envoy-1".into(),
        region: "eu".into(),
        instance: u64::MAX,
        generation: "00ff".into(),
        version: "0.1.0".into(),
    };
    said(&FromWorker::Hello(hello));
    said(&FromWorker::TableTaken(7));
    said(&FromWorker::Heartbeat);
    told(&ToWorker::ReportAck(7));
    told(&ToWorker::Ping);
}

#[test]
fn a_message_over_the_limit_is_refused() {
    assert!(matches!(FromWorker::decode(&vec![0; MOST_BYTES + 1]), Err(Refused::TooLong(_))));
}

#[test]
fn names_over_the_limit_do_not_get_in() {
    let long = "x".repeat(MOST_NAME + 1);
    let report = wire::Report {
        names: vec![long.clone()],
        heads: vec![wire::SeenHead { channel: 1, ..wire::SeenHead::default() }],
        ..wire::Report::default()
    };
    assert_eq!(decode_report(report).skipped, 1);
    assert_eq!(decode_hello(wire::Hello { node: long, ..wire::Hello::default() }).node.len(), MOST_NAME);
}

#[test]
fn the_largest_report_fits() {
    let busy = Sums {
        endings: [20_000; Ending::COUNT],
        trailing_failures: 20_000,
        latency: Micros(1 << 40),
        fastest: Micros(1 << 30),
        slowest: Micros(1 << 30),
        latencies: (0..168).map(|bucket| (bucket, 10_000)).collect(),
    };
    let names =
        |index: usize| (format!("chain-{index:04}"), format!("profile/chain-{index:04}/a-provider-with-a-name/http"));
    let tallies = (0..MOST_TALLIES).map(|index| {
        let (chain, channel) = names(index);
        Tally {
            profile: "public".into(),
            chain: chain.into(),
            channel: channel.into(),
            class: MethodClass::OTHER,
            sums: busy.clone(),
        }
    });
    let report = FromWorker::Report(Box::new(Report { seq: 1, tallies: tallies.collect(), ..Report::default() }));
    let length = report.encode().len();
    assert!(length < MOST_BYTES * 3 / 4, "{length}");
}

#[test]
fn a_table_that_is_too_long_loses_evidence_and_no_breaker() {
    let channel = |index: usize| Box::from(format!("chain-{index:06}/a-provider-with-a-name/http"));
    let summary = Summary {
        mean: 5e4,
        weight: 1e2,
        successes: 1e2,
        failures: 1.0,
        failures_in_a_row: 1,
        p95: Some(Micros(1 << 20)),
        p99: Some(Micros(1 << 20)),
        age: Millis(1_000),
    };
    let cells = (0..100_000).map(|index| Cell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: channel(index % 2_000),
        class: MethodClass::OTHER,
        summary,
    });
    let views = (0..2_000).map(|index| ChannelView {
        channel: channel(index),
        breaker: BreakerView::HalfOpen,
        opening: 1,
        limited: None,
        barred: None,
        connected: false,
    });
    let table = Table { cells: cells.collect(), channels: views.collect(), ..Table::default() };
    let (bytes, left_out) = ToWorker::Table(Box::new(table)).encode();
    let Read { message: ToWorker::Table(read), skipped } = ToWorker::decode(&bytes).unwrap() else {
        panic!("not a table")
    };
    assert!(left_out > 0);
    assert_eq!((read.channels.len(), read.cells.len(), skipped), (2_000, 100_000 - left_out, 0));
}
