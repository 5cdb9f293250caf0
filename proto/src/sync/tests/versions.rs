//! Older and newer peers.

use super::*;

/// What a later version of the protocol may send: more of everything.
mod newer {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FilterMessage {
        #[prost(message, tag = "2")]
        pub(super) report: Option<Report>,
        #[prost(message, tag = "9")]
        pub(super) weather: Option<Weather>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Weather {
        #[prost(string, tag = "1")]
        pub(super) sky: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Report {
        #[prost(uint64, tag = "1")]
        pub(super) seq: u64,
        #[prost(string, repeated, tag = "2")]
        pub(super) names: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        pub(super) tallies: Vec<Tally>,
        #[prost(message, repeated, tag = "4")]
        pub(super) channels: Vec<ChannelTally>,
        #[prost(message, repeated, tag = "6")]
        pub(super) lessons: Vec<Lesson>,
        #[prost(message, repeated, tag = "9")]
        pub(super) chains: Vec<ChainTally>,
        #[prost(message, optional, tag = "20")]
        pub(super) weather: Option<Weather>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Tally {
        #[prost(uint32, tag = "1")]
        pub(super) profile: u32,
        #[prost(uint32, tag = "2")]
        pub(super) chain: u32,
        #[prost(uint32, tag = "3")]
        pub(super) channel: u32,
        #[prost(uint32, tag = "4")]
        pub(super) class: u32,
        #[prost(uint32, repeated, tag = "5")]
        pub(super) endings: Vec<u32>,
        #[prost(double, tag = "30")]
        pub(super) deviation: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChainTally {
        #[prost(uint32, tag = "1")]
        pub(super) profile: u32,
        #[prost(uint32, tag = "2")]
        pub(super) chain: u32,
        #[prost(uint32, repeated, tag = "3")]
        pub(super) selections: Vec<u32>,
        #[prost(uint32, repeated, tag = "4")]
        pub(super) requests: Vec<u32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChannelTally {
        #[prost(uint32, tag = "1")]
        pub(super) channel: u32,
        #[prost(message, optional, tag = "6")]
        pub(super) trials: Option<Trials>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Trials {
        #[prost(uint32, tag = "1")]
        pub(super) opening: u32,
        #[prost(int32, tag = "3")]
        pub(super) failure: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Lesson {
        #[prost(uint32, tag = "1")]
        pub(super) channel: u32,
        #[prost(uint64, tag = "15")]
        pub(super) calls_an_hour: u64,
    }
}

#[test]
fn a_newer_report_is_read_as_far_as_it_is_known_and_loses_no_attempt() {
    let names = ["public", "ethereum", "ethereum/a/http", "eth_teleport"].map(String::from).to_vec();
    let report = newer::Report {
        seq: 3,
        names,
        tallies: vec![newer::Tally {
            profile: 1,
            chain: 2,
            channel: 3,
            class: 4,
            endings: vec![5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7],
            deviation: 0.5,
        }],
        channels: vec![newer::ChannelTally { channel: 3, trials: Some(newer::Trials { opening: 2, failure: 99 }) }],
        chains: vec![newer::ChainTally {
            profile: 1,
            chain: 2,
            selections: vec![3, 0, 0, 0, 0, 0, 0, 0, 9],
            requests: vec![5, 1, 0, 0, 0, 4],
        }],
        lessons: vec![newer::Lesson { channel: 3, calls_an_hour: 9 }],
        weather: Some(newer::Weather { sky: "blue".into() }),
    };
    let bytes = newer::FilterMessage { report: Some(report), weather: None }.encode_to_vec();
    let Read { message: FromWorker::Report(report), skipped } = FromWorker::decode(&bytes).unwrap() else {
        panic!("not a report")
    };
    assert_eq!(report.seq, 3);
    assert_eq!(report.tallies[0].class, MethodClass::OTHER);
    assert_eq!(report.tallies[0].sums.ended(Ending::Success), 5);
    assert_eq!(report.tallies[0].sums.ended(Ending::Neutral), 1 + 7);
    assert_eq!(report.channels[0].trials, Trials { opening: 2, successes: 0, failure: Some(Category::Server) });
    let counts = report.chains[0].counts;
    assert_eq!((counts.selections, counts.requests), ([3, 0, 0, 0, 0, 0, 0, 0], [5, 1, 4, 0, 0]));
    assert_eq!((report.lessons.len(), skipped), (0, 1));
}

#[test]
fn a_kind_of_message_that_is_not_known_is_a_sign_of_life() {
    let bytes =
        newer::FilterMessage { report: None, weather: Some(newer::Weather { sky: "blue".into() }) }.encode_to_vec();
    assert_eq!(FromWorker::decode(&bytes).unwrap(), Read { message: FromWorker::Heartbeat, skipped: 0 });
    assert_eq!(ToWorker::decode(&bytes).unwrap(), Read { message: ToWorker::Ping, skipped: 0 });
}

#[test]
fn an_older_hello_without_the_newer_fields_is_accepted() {
    let old = wire::Hello { node: "envoy-1".into(), instance: 5, ..wire::Hello::default() };
    let bytes = wire::FilterMessage { kind: Some(wire::filter_message::Kind::Hello(old)) }.encode_to_vec();
    let hello = Hello { node: "envoy-1".into(), instance: 5, ..Hello::default() };
    assert_eq!(FromWorker::decode(&bytes).unwrap().message, FromWorker::Hello(hello));
}

#[test]
fn values_of_a_table_that_are_not_known_are_skipped_and_the_rest_is_read() {
    let channel = |breaker, barred| wire::Channel { channel: 1, breaker, barred, ..wire::Channel::default() };
    let table = wire::RoutingTable {
        version: 1,
        names: vec!["ethereum/a/http".into()],
        channels: vec![channel(0, 0), channel(9, 0), channel(1, 9)],
        leases: vec![wire::Lease { left_ms: 5, right: None }],
        cells: vec![wire::Cell { profile: 1, chain: 1, channel: 1, class: 1, ..wire::Cell::default() }],
        ..wire::RoutingTable::default()
    };
    let Read { message, skipped } = decode_table(table);
    assert_eq!((message.channels.len(), message.leases.len(), message.cells.len(), skipped), (1, 0, 0, 4));
}
