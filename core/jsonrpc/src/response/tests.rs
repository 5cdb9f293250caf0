use super::*;

#[track_caller]
fn check_result(body: &str, id: Option<&str>, result: &str) {
    let expected = Reply::Result { id, null: result == "null", raw: Some(result) };
    assert_eq!(read(body.as_bytes(), true), expected, "{body}");
}

#[track_caller]
fn check_malformed(body: &str, expected: Malformed) {
    assert_eq!(read(body.as_bytes(), true), Reply::Malformed(expected), "{body}");
}

#[track_caller]
fn error_in(body: &[u8], complete: bool) -> ErrorObject<'_> {
    match read(body, complete) {
        Reply::Error { error, .. } => error,
        other @ (Reply::Result { .. } | Reply::Malformed(_)) => panic!("{other:?}"),
    }
}

#[test]
fn results_in_any_order_of_keys() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#,
        r#"{"result":"0x1","id":1,"jsonrpc":"2.0"}"#,
        r#"{"id":1,"result":"0x1"}"#,
        "\n { \"result\" : \"0x1\" , \"id\" : 1 } \r\n",
        r#"{"id":1,"res\u0075lt":"0x1"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":"0x1","error":null}"#,
        r#"{"jsonrpc":"2.\u0030","id":1,"result":"0x1","x":{"error":{"code":1}}}"#,
        r#"{"id":2,"id":1,"result":"0x1"}"#,
    ] {
        check_result(body, Some("1"), "\"0x1\"");
    }
    check_result(r#"{"id":null,"result":null}"#, Some("null"), "null");
    check_result(r#"{"result":[ ]}"#, None, "[ ]");
    check_result(r#"{"result":null,"error":null,"id":"a"}"#, Some("\"a\""), "null");
    check_result(r#"{"result":{"error":{"code":1}},"id":1}"#, Some("1"), r#"{"error":{"code":1}}"#);
}

#[test]
fn each_kind_of_malformed_body() {
    for (body, expected) in [
        ("", Malformed::Empty),
        (" \n", Malformed::Empty),
        ("<html>busy</html>", Malformed::Html),
        ("\n<!DOCTYPE html>", Malformed::Html),
        ("Bad Gateway", Malformed::NotJson),
        ("null and void", Malformed::NotJson),
        (r#"{"id":1 "result":1}"#, Malformed::NotJson),
        (r#"{"id":1,"result":1,}"#, Malformed::NotJson),
        (r#"{"id":1,"result":"0x"#, Malformed::Truncated),
        (r#"{"id":1,"result":"0x1""#, Malformed::Truncated),
        ("[1,", Malformed::Truncated),
        (r#"{"id":1,"result":1}{"id":1,"result":1}"#, Malformed::Trailing),
        (r#"{"id":1,"result":1}x"#, Malformed::Trailing),
        ("\"0x1\"", Malformed::NotObject),
        ("[]", Malformed::NotObject),
        ("null", Malformed::NotObject),
        (r#"[{"id":1,"result":1}]"#, Malformed::NotObject),
        ("{}", Malformed::Neither),
        (r#"{"id":1}"#, Malformed::Neither),
        (r#"{"id":1,"error":null}"#, Malformed::Neither),
        (r#"{"id":1,"error":"rate limit"}"#, Malformed::Neither),
        (r#"{"id":1,"error":{}}"#, Malformed::Neither),
        (r#"{"id":1,"error":[1]}"#, Malformed::Neither),
        (r#"{"id":1,"result":1,"error":{"code":1,"message":"m"}}"#, Malformed::Both),
        (r#"{"id":1,"result":1,"error":"m"}"#, Malformed::Both),
        (r#"{"jsonrpc":"1.0","id":1,"result":1}"#, Malformed::Version),
        (r#"{"jsonrpc":2,"id":1,"result":1}"#, Malformed::Version),
    ] {
        check_malformed(body, expected);
        assert!(!expected.to_string().is_empty());
    }
    assert_eq!(read(b"{\"id\":1,\"result\":\"\xff\"}", true), Reply::Malformed(Malformed::NotJson));
    assert_eq!(read(b"\xff", true), Reply::Malformed(Malformed::NotJson));
}

#[test]
fn errors_are_read_with_tolerance() {
    #[track_caller]
    fn check(object: &str, code: i64, message: &str, data: Option<&str>) {
        for body in [
            format!(r#"{{"jsonrpc":"2.0","id":1,"error":{object}}}"#),
            format!(r#"{{"error":{object},"result":null,"id":1}}"#),
        ] {
            let expected = ErrorObject { code, message: Cow::Borrowed(message), data, raw: object };
            assert_eq!(read(body.as_bytes(), true), Reply::Error { id: Some("1"), error: expected }, "{body}");
        }
    }
    check(r#"{"code":-32000,"message":"header not found"}"#, -32000, "header not found", None);
    check(
        r#"{"code":3,"message":"execution reverted","data":"0x08c379a0"}"#,
        3,
        "execution reverted",
        Some("\"0x08c379a0\""),
    );
    check(r#"{ "data" : {"a":[1]} , "message":"m", "code":1 }"#, 1, "m", Some(r#"{"a":[1]}"#));
    check(r#"{"message":"no code","data":null}"#, 0, "no code", None);
    check(r#"{"code":-32005}"#, -32005, "", None);
    check(r#"{"code":"-32005","message":"quoted"}"#, -32005, "quoted", None);
    check(r#"{"code":-3.2e4,"message":"float"}"#, -32000, "float", None);
    check(r#"{"code":null,"message":"null code"}"#, 0, "null code", None);
    check(r#"{"code":1,"message":{"why":"object"}}"#, 1, r#"{"why":"object"}"#, None);
    check(r#"{"code":1,"message":"caf\u00e9 \"x\""}"#, 1, "café \"x\"", None);
    check(r#"{"code":99999999999999999999,"message":"big"}"#, i64::MAX, "big", None);
}

#[test]
fn replies_are_matched_to_ids() {
    #[track_caller]
    fn check(body: &str, expected: bool) {
        let asked = Id::of_raw("1").unwrap();
        assert_eq!(read(body.as_bytes(), true).answers(&asked), expected, "{body}");
    }
    check(r#"{"id":1,"result":0}"#, true);
    check(r#"{"id":1.0,"result":0}"#, true);
    check(r#"{"id":2,"result":0}"#, false);
    check(r#"{"id":"1","result":0}"#, false);
    check(r#"{"id":null,"result":0}"#, false);
    check(r#"{"result":0}"#, false);
    check(r#"{"id":1,"error":{"code":1}}"#, true);
    check(r#"{"id":null,"error":{"code":1}}"#, true);
    check(r#"{"error":{"code":1}}"#, true);
    check(r#"{"id":2,"error":{"code":1}}"#, false);
    check("{}", false);
    assert_eq!(read(br#"{"id":5,"result":0}"#, true).id(), Some("5"));
    assert_eq!(read(b"{}", true).id(), None);
}

/// A string of so many bytes, quotes included, with traps for who reads it backwards.
fn long_string(bytes: usize) -> String {
    let trap = r#"\",\"id\":\"9\",\"result\":\"\\"#;
    format!("\"{}{trap}\"", "0".repeat(bytes - 2 - trap.len()))
}

#[track_caller]
fn check_long(body: &str, complete: bool, id: Option<&str>) {
    assert!(body.len() > WHOLE_BYTES);
    let expected = Reply::Result { id, null: false, raw: None };
    assert_eq!(read(body.as_bytes(), complete), expected, "{} ... {}", &body[..60], &body[body.len() - 60..]);
}

#[test]
fn long_results_are_read_from_both_ends() {
    let block = format!(r#"{{"number":"0x1","x":{}}}"#, long_string(10_000));
    for result in [long_string(9_000), block, format!("[{},1]", long_string(9_000))] {
        check_long(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#), true, Some("1"));
        check_long(&format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#), true, Some("1"));
        check_long(
            &format!("{{\"result\":{result} , \"id\" : \"a\\\\\" , \"jsonrpc\" : \"2.0\" }} \n"),
            true,
            Some(r#""a\\""#),
        );
        check_long(&format!(r#"{{"result":{result},"error":null,"id":-1.5e3}}"#), true, Some("-1.5e3"));
        check_long(&format!(r#"{{"result":{result}}}"#), true, None);
        check_long(&format!(r#"{{"result":{result},"id":1,"x":[]}}"#), true, None);
        check_long(&format!(r#"{{"id":1,"result":{result}"#), false, Some("1"));
        check_long(&format!(r#"{{"result":{result},"id":1}}"#), false, None);
    }
}

#[test]
fn an_id_beyond_the_tail_is_not_found() {
    let far = format!(r#"{{"result":{},"id":"{}"}}"#, long_string(9_000), "i".repeat(2_000));
    check_long(&far, true, None);
}

#[test]
fn long_bodies_must_end_like_an_object() {
    let result = long_string(9_000);
    let cut = |text: String, expected| check_malformed(&text, expected);
    cut(format!(r#"{{"id":1,"result":{result}"#), Malformed::Truncated);
    cut(format!(r#"{{"id":1,"result":[{result}]"#), Malformed::Truncated);
    cut(format!(r#"{{"id":1,"result":0}} {}"#, " ".repeat(9_000) + "{}"), Malformed::Trailing);
    cut(format!(r#"{{"id":1,"x":{result}}}"#), Malformed::Neither);
    cut(format!(r#"{{"id":1 "x":{result}}}"#), Malformed::NotJson);
    cut(format!(r#"{{"jsonrpc":"1.0","result":{result}}}"#), Malformed::Version);
    cut(format!(r#"{{"result":{result},"jsonrpc":"1.0"}}"#), Malformed::Version);
    cut(format!(r#"{{"error":{{"code":1}},"result":{result}}}"#), Malformed::Both);
    cut(format!(r#"{{"x":{{"y":{result}}}"#), Malformed::Truncated);
}

#[test]
fn short_results_in_long_bodies_are_whole() {
    let padding = " ".repeat(9_000);
    check_result(&format!(r#"{{"id":1,"result":"0x1"}}{padding}"#), Some("1"), "\"0x1\"");
    let other = long_string(9_000);
    check_result(&format!(r#"{{"x":{other},"result":null,"id":1}}"#), Some("1"), "null");
}

#[test]
fn long_errors_are_read_whole() {
    let data = long_string(50_000);
    let object = format!(r#"{{"code":3,"data":{data},"message":"execution reverted"}}"#);
    for body in [format!(r#"{{"id":1,"error":{object}}}"#), format!(r#"{{"error":{object},"id":1}}"#)] {
        for complete in [true, false] {
            let error = error_in(body.as_bytes(), complete);
            assert_eq!(
                (error.code, error.message.as_ref(), error.data, error.raw),
                (3, "execution reverted", Some(data.as_str()), object.as_str())
            );
        }
        assert_eq!(read(body.as_bytes(), true).id(), Some("1"));
    }
}

#[test]
fn of_an_error_that_goes_on_the_beginning_is_read() {
    let body = format!(r#"{{"id":1,"error":{{"code":3,"message":"reverted","data":"0x{}é"#, "0".repeat(70_000));
    let cut = &body.as_bytes()[..body.len() - 1];
    let error = error_in(cut, false);
    assert_eq!((error.code, error.message.as_ref(), error.data, error.raw), (3, "reverted", None, ""));
    assert_eq!(read(cut, true), Reply::Malformed(Malformed::Truncated));
}

#[test]
fn a_beginning_without_result_or_error_is_no_reply() {
    let body = format!(r#"{{"data":{}"#, long_string(70_000));
    assert_eq!(read(body.as_bytes(), false), Reply::Malformed(Malformed::Neither));
    assert_eq!(read(body.trim_end_matches('"').as_bytes(), false), Reply::Malformed(Malformed::Neither));
    let list = format!("[{}", long_string(70_000));
    assert_eq!(read(list.as_bytes(), false), Reply::Malformed(Malformed::NotObject));
}

#[test]
fn batches_keep_their_order_and_their_malformed_items() {
    let body = br#" [ {"id":2,"result":"b"} , 7 , {"id":0,"error":{"code":1,"message":"m"}}, {} ] "#;
    let replies = read_batch(body).unwrap();
    assert_eq!(replies.iter().map(Reply::id).collect::<Vec<_>>(), [Some("2"), None, Some("0"), None]);
    assert_eq!(replies[0], Reply::Result { id: Some("2"), null: false, raw: Some("\"b\"") });
    assert_eq!(replies[1], Reply::Malformed(Malformed::NotObject));
    assert_eq!(replies[3], Reply::Malformed(Malformed::Neither));
    assert_eq!(read_batch(b"[]"), Ok(vec![]));
}

#[test]
fn a_long_batch_is_read_whole() {
    let result = long_string(20_000);
    let body = format!(r#"[{{"id":0,"result":{result}}},{{"id":1,"result":{result}}}]"#);
    let replies = read_batch(body.as_bytes()).unwrap();
    assert_eq!(replies[1], Reply::Result { id: Some("1"), null: false, raw: Some(&result) });
}

#[test]
fn what_is_no_batch_says_why() {
    for (body, expected) in [
        ("", Malformed::Empty),
        ("<html>", Malformed::Html),
        ("oops", Malformed::NotJson),
        ("[1", Malformed::Truncated),
        ("[1 2]", Malformed::NotJson),
        ("[1,]", Malformed::NotJson),
        ("[] x", Malformed::Trailing),
        ("7", Malformed::NotArray),
        (r#"{"error":{"code":-32005}}"#, Malformed::NotArray),
    ] {
        assert_eq!(read_batch(body.as_bytes()), Err(expected), "{body}");
    }
    assert_eq!(read_batch(b"[\"\xff\"]"), Err(Malformed::NotJson));
}

#[test]
fn block_numbers_are_found_in_answers() {
    #[track_caller]
    fn check(method: &str, result: &str, expected: Option<u64>) {
        assert_eq!(block_number_in(&Method::of(method), result), expected, "{method} {result}");
    }
    check("eth_blockNumber", "\"0x10\"", Some(16));
    check("eth_blockNumber", "\"ten\"", None);
    check("eth_blockNumber", "16", None);
    check("eth_blockNumber", "null", None);
    check("eth_getBlockByNumber", r#"{"hash":"0x2","transactions":[{"number":"0x9"}],"number":"0xff"}"#, Some(255));
    check("eth_getBlockByHash", r#"{"number":"0x1"}"#, Some(1));
    check("eth_getHeaderByNumber", r#"{"number":"0x1"}"#, Some(1));
    check("eth_getBlockByNumber", r#"{"number":null}"#, None);
    check("eth_getBlockByNumber", "{}", None);
    check("eth_getBlockByNumber", "null", None);
    check("eth_getBlockByNumber", "{\"number\":", None);
    check("eth_call", "\"0x10\"", None);
    check("eth_getTransactionByHash", r#"{"number":"0x1"}"#, None);
}
