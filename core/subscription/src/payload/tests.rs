use super::bloom::{Bloom, Matcher};
use super::*;
use crate::key::Key;

#[test]
fn a_block_and_its_header_become_the_same_head() {
    let header = format!(
        r#"{{"number":"0x10","hash":"0x{0}","parentHash":"0x{1}","extraData":"0x\u0041"}}"#,
        "ab".repeat(32),
        "cd".repeat(32)
    );
    let block = header.replace(r#""extraData""#, r#""transactions":["0x1",{"a":[]}],"uncles":[],"size":"0x2","withdrawals":[],"totalDifficulty":"0x0","extraData""#);
    let [header, block] = [&header, &block].map(|raw| Head::read(raw).unwrap());
    assert_eq!((header.number, header.hash, header.parent), (16, [0xab; 32], [0xcd; 32]));
    assert_eq!(header.payload, block.payload);
    assert!(header.payload.ends_with(r#","extraData":"0x\u0041"}"#), "{}", header.payload);
}

#[test]
fn what_is_not_a_head_is_not_read() {
    for raw in [
        "",
        "null",
        "{}",
        "[]",
        "\"0x\"",
        r#"{"number":"0x1"}"#,
        r#"{"number":1,"hash":"0x","parentHash":"0x"}"#,
        "{\"number\":\"0x1\"",
        "{\"\\ud800\":1}",
    ] {
        assert!(Head::read(raw).is_none(), "{raw}");
        assert!(Log::read(raw).is_none(), "{raw}");
    }
}

#[test]
fn a_log_is_told_again_as_removed() {
    #[track_caller]
    fn check(raw: &str, removed: &str) {
        assert_eq!(&*as_removed(raw), removed);
    }
    check(r#"{"data":"0x","removed":false}"#, r#"{"data":"0x","removed":true}"#);
    check(r#"{"removed": false, "data": "0x"}"#, r#"{"data":"0x","removed":true}"#);
    check(r#"{"data":"0x"}"#, r#"{"data":"0x","removed":true}"#);
}

#[test]
fn a_pending_transaction_is_known_by_its_hash() {
    let hash = "ef".repeat(32);
    assert_eq!(transaction_hash(&format!("\"0x{hash}\"")), Some([0xef; 32]));
    assert_eq!(transaction_hash(&format!("{{\"from\":\"0x\",\"hash\":\"0x{hash}\"}}")), Some([0xef; 32]));
    assert_eq!(transaction_hash("17"), None);
}

#[test]
fn a_bloom_rules_blocks_out() {
    #[track_caller]
    fn check(filter: &str, expected: bool) {
        let Key::Logs(filter) = Key::parse(Some(&format!(r#"["logs",{}]"#, filter.replace('\'', "\"")))).unwrap()
        else {
            panic!("logs")
        };
        let bloom = Bloom::of([&[0xaa_u8; 20][..], &[0xbb; 32]]);
        assert_eq!(Matcher::new(&filter).may_match(&bloom), expected);
        assert!(!Matcher::new(&filter).may_match(&Bloom::of([])));
    }
    let (a, b, c) =
        ("0x".to_owned() + &"aa".repeat(20), "0x".to_owned() + &"bb".repeat(32), "0x".to_owned() + &"cc".repeat(32));
    check("{}", true);
    check(&format!("{{'address':'{a}'}}"), true);
    check(&format!("{{'address':'0x{}'}}", "ab".repeat(20)), false);
    check(&format!("{{'address':'{a}','topics':[null,['{c}','{b}']]}}"), true);
    check(&format!("{{'address':'{a}','topics':['{c}']}}"), false);
}

#[test]
fn the_bits_are_those_of_the_yellow_paper() {
    // A real log: WETH's address in go-ethereum's own test of the bloom.
    let bloom = Bloom::of([&b"testtest"[..]]);
    let lit: Vec<usize> =
        bloom.shown()[2..].char_indices().filter(|(_, digit)| *digit != '0').map(|(at, _)| at).collect();
    assert_eq!(lit.len(), 3);
}
