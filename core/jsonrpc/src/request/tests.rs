use super::*;

const MAX: usize = 3;

#[track_caller]
fn call_of(body: &str) -> Call<'_> {
    match parse(body.as_bytes(), MAX) {
        Ok(Payload::Single(call)) => call,
        other => panic!("{body}: {other:?}"),
    }
}

#[track_caller]
fn check_error(body: &str, expected: PayloadError<'_>) {
    assert_eq!(parse(body.as_bytes(), MAX), Err(expected), "{body}");
}

#[track_caller]
fn check_invalid(body: &str, id: &str, reason: InvalidReason) {
    match parse(body.as_bytes(), MAX) {
        Err(PayloadError::Invalid(invalid)) => {
            assert_eq!((invalid.id.as_raw(), invalid.reason), (id, reason), "{body}")
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn reads_a_call() {
    let call = call_of(r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0xab", "latest"]}"#);
    assert_eq!(call.id.map(|id| id.as_raw()), Some("1"));
    assert!(matches!(call.method, Cow::Borrowed("eth_getBalance")));
    assert_eq!(call.params, Some(r#"["0xab", "latest"]"#));
    assert_eq!(call.version, Version::Two);
}

#[test]
fn reads_members_in_any_order_and_ignores_others() {
    let call =
        call_of(" { \"params\" : {} , \"x\" : [1,{\"id\":7}] , \"method\" : \"m\" , \"id\" : \"a\\u0062\" } \r\n");
    assert_eq!(call.id.map(|id| id.as_raw()), Some("\"a\\u0062\""));
    assert_eq!((call.method.as_ref(), call.params, call.version), ("m", Some("{}"), Version::Absent));
}

#[test]
fn a_call_without_an_id_is_a_notification_and_null_is_an_id() {
    assert_eq!(call_of(r#"{"method":"m"}"#).id, None);
    assert_eq!(call_of(r#"{"method":"m","id":null}"#).id, Some(Id::NULL));
}

#[test]
fn ids_keep_their_bytes() {
    for id in ["0", "-1", "1.0", "1e3", "123456789012345678901234567890", "\"\"", r#""\u00e9\"""#, "\"é\"", "null"] {
        let body = format!(r#"{{"id": {id} ,"method":"m"}}"#);
        assert_eq!(call_of(&body).id.map(|id| id.as_raw()), Some(id));
    }
}

#[test]
fn params_may_be_absent_or_of_any_type() {
    assert_eq!(call_of(r#"{"id":1,"method":"m"}"#).params, None);
    for params in ["[]", "{}", "null", "5", "\"x\"", r#"[{"a":[1,2]}]"#] {
        let body = format!(r#"{{"id":1,"method":"m","params":{params}}}"#);
        assert_eq!(call_of(&body).params, Some(params));
    }
}

#[test]
fn a_method_with_escapes_is_decoded() {
    assert_eq!(call_of(r#"{"id":1,"method":"eth\u005fsendTransaction"}"#).method, "eth_sendTransaction");
    assert_eq!(call_of(r#"{"id":1,"method":""}"#).method, "");
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    for body in [
        "",
        " ",
        "{",
        "hello",
        "{\"id\":1,}",
        "{'id':1}",
        "[1,]",
        "[",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "{\"a\":\"\n\"}",
        "nul",
        "[{},{]",
    ] {
        check_error(body, PayloadError::NotJson);
    }
    assert_eq!(parse(b"{\"method\":\"\xff\"}", MAX), Err(PayloadError::NotJson));
}

#[test]
fn scalars_are_no_requests() {
    for body in ["1", "\"a\"", "null", "true"] {
        check_error(body, PayloadError::NotObjectOrArray);
    }
}

#[test]
fn invalid_calls_say_why_and_keep_a_readable_id() {
    check_invalid("{}", "null", InvalidReason::Method);
    check_invalid(r#"{"id":7}"#, "7", InvalidReason::Method);
    check_invalid(r#"{"id":7,"method":null}"#, "7", InvalidReason::Method);
    check_invalid(r#"{"id":7,"method":["eth_call"]}"#, "7", InvalidReason::Method);
    check_invalid(r#"{"jsonrpc":"1.0","id":"x","method":"m"}"#, "\"x\"", InvalidReason::Version);
    check_invalid(r#"{"jsonrpc":2.0,"id":"x","method":"m"}"#, "\"x\"", InvalidReason::Version);
    check_invalid(r#"{"jsonrpc":null,"id":"x","method":"m"}"#, "\"x\"", InvalidReason::Version);
    for id in ["{}", "[1]", "true", "false"] {
        check_invalid(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#), "null", InvalidReason::Id);
    }
}

#[test]
fn what_two_decoders_could_read_differently_is_refused() {
    let ambiguous = InvalidReason::AmbiguousKey;
    check_invalid(r#"{"id":1,"method":"a","method":"b"}"#, "1", ambiguous("method"));
    check_invalid(r#"{"id":1,"method":"a","params":[],"params":[1]}"#, "1", ambiguous("params"));
    check_invalid(r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"a"}"#, "1", ambiguous("jsonrpc"));
    check_invalid(r#"{"id":1,"id":1,"method":"a"}"#, "null", ambiguous("id"));
    check_invalid(r#"{"method":"a","method":"b","id":1,"id":2}"#, "null", ambiguous("id"));
    check_invalid(r#"{"id":1,"method":"a","Method":"b"}"#, "1", ambiguous("method"));
    check_invalid(r#"{"id":1,"method":"a","meth\u006fd":"b"}"#, "1", ambiguous("method"));
    check_invalid("{\"id\":1,\"method\":\"a\",\"param\u{17f}\":[]}", "1", ambiguous("params"));
    check_invalid(r#"{"ID":1,"method":"a"}"#, "null", ambiguous("id"));
}

#[test]
fn a_batch_keeps_its_order_and_its_invalid_items() {
    let body = br#" [ {"id":2,"method":"b"} , 1 , {"id":"x"} ] "#;
    let Ok(Payload::Batch(items)) = parse(body, MAX) else { panic!("a batch") };
    assert_eq!(items.len(), 3);
    assert_eq!(items[0].as_ref().map(|call| call.method.as_ref()), Ok("b"));
    assert_eq!(items[1], Err(Invalid { id: Id::NULL, reason: InvalidReason::NotObject }));
    assert_eq!(items[2].as_ref().unwrap_err().id.as_raw(), "\"x\"");
}

#[test]
fn empty_and_oversized_batches_are_refused() {
    check_error("[]", PayloadError::EmptyBatch);
    check_error(" [ ] ", PayloadError::EmptyBatch);
    check_error("[1,2,3,4,5]", PayloadError::BatchTooLarge { len: 5, max: 3 });
    check_error("[1,2,3,4,}", PayloadError::NotJson);
    assert!(parse(b"[{},{},{}]", MAX).is_ok());
}

#[test]
fn errors_answer_with_code_status_and_id() {
    #[track_caller]
    fn check(body: &str, status: u16, code: i64, id: &str, message: &str) {
        let error = parse(body.as_bytes(), MAX).unwrap_err();
        let rpc = error.error();
        assert_eq!((error.http_status(), rpc.code, error.id().as_raw()), (status, code, id), "{body}");
        assert_eq!(rpc.message, message);
        assert_eq!(error.to_string(), message, "both texts say the same");
    }
    check("{", 400, -32700, "null", "Parse error");
    check("1", 200, -32600, "null", "Invalid request: neither an object nor an array");
    check("[]", 200, -32600, "null", "Invalid request: empty batch");
    check("[1,2,3,4]", 200, -32600, "null", "Invalid request: batch of 4 calls, at most 3 are allowed");
    check(r#"{"id":9}"#, 200, -32600, "9", "Invalid request: method must be a string");
    check(r#"{"id":9,"id":9}"#, 200, -32600, "null", "Invalid request: more than one \"id\" key");
    check(r#"{"id":{}}"#, 200, -32600, "null", "Invalid request: id must be a string, a number or null");
    check(r#"{"jsonrpc":"1"}"#, 200, -32600, "null", "Invalid request: jsonrpc must be \"2.0\"");
    assert_eq!(InvalidReason::NotObject.to_string(), "not an object");
}

#[test]
fn writes_the_canonical_form() {
    #[track_caller]
    fn check(body: &str, id: &str, expected: &str) {
        let mut out = Vec::new();
        call_of(body).write(id, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    check(
        r#"{"x":1,"params":[ 1 ],"method":"eth_call","id":99}"#,
        "0",
        r#"{"jsonrpc":"2.0","id":0,"method":"eth_call","params":[ 1 ]}"#,
    );
    check(r#"{"method":"m"}"#, "\"a\"", r#"{"jsonrpc":"2.0","id":"a","method":"m","params":[]}"#);
    check(r#"{"method":"q\"\n"}"#, "1", r#"{"jsonrpc":"2.0","id":1,"method":"q\"\n","params":[]}"#);
}
