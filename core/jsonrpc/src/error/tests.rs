use super::*;

#[track_caller]
fn check(error: &RpcError, expected: &str) {
    let mut out = Vec::new();
    error.write("7", &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":7,"error":{expected}}}"#));
    serde_json::from_str::<Value>(&text).expect("well-formed");
}

#[test]
fn one_error_for_each_case() {
    let none: [&str; 0] = [];
    let reasons = [("eth/b/http", "open"), ("eth/a/http", "lagging by 9 blocks")];
    for (error, expected) in [
        (RpcError::parse_error(), r#"{"code":-32700,"message":"Parse error"}"#),
        (RpcError::invalid_request("empty batch"), r#"{"code":-32600,"message":"Invalid request: empty batch"}"#),
        (
            RpcError::batch_too_large(1001, 1000),
            r#"{"code":-32600,"message":"Invalid request: batch of 1001 calls, at most 1000 are allowed","data":{"max_batch":1000}}"#,
        ),
        (
            RpcError::too_large(8_000_000),
            r#"{"code":-32600,"message":"Invalid request: body too large, at most 8000000 bytes are allowed","data":{"max_body_bytes":8000000}}"#,
        ),
        (RpcError::method_blocked("eth_sign"), r#"{"code":-32601,"message":"the method eth_sign is not available"}"#),
        (
            RpcError::websocket_only("ws://h/ws/rpc/eth"),
            r#"{"code":-32601,"message":"this method is available over WebSocket only","data":{"websocket_url":"ws://h/ws/rpc/eth"}}"#,
        ),
        (
            RpcError::unknown_chain("eht", ["base", "ethereum"]),
            r#"{"code":-32602,"message":"unknown chain \"eht\"; chains: base, ethereum","data":{"chains":["base","ethereum"]}}"#,
        ),
        (
            RpcError::unknown_provider("x\ny", none),
            r#"{"code":-32602,"message":"unknown provider \"x\\ny\"; providers: none","data":{"providers":[]}}"#,
        ),
        (
            RpcError::unknown_strategy("best", ["fastest".to_owned()]),
            r#"{"code":-32602,"message":"unknown strategy \"best\"; strategies: fastest","data":{"strategies":["fastest"]}}"#,
        ),
        (
            RpcError::unknown_profile("p", ["public"]),
            r#"{"code":-32602,"message":"unknown profile \"p\"; profiles: public","data":{"profiles":["public"]}}"#,
        ),
        (
            RpcError::bad_value("max_lag_blocks", "-1", "a whole number"),
            r#"{"code":-32602,"message":"max_lag_blocks: \"-1\" is not a whole number"}"#,
        ),
        (
            RpcError::rate_limited(250),
            r#"{"code":-32005,"message":"rate limit exceeded","data":{"retry_after_ms":250}}"#,
        ),
        (
            RpcError::no_channel("eth_call", "ethereum", reasons, 1_200),
            r#"{"code":-32000,"message":"no channel can serve eth_call on ethereum","data":{"reasons":{"eth/a/http":"lagging by 9 blocks","eth/b/http":"open"},"retry_after_ms":1200}}"#,
        ),
        (
            RpcError::all_failed("eth_call", "ethereum", 3),
            r#"{"code":-32000,"message":"all 3 attempts failed for eth_call on ethereum"}"#,
        ),
        (RpcError::deadline(5_000, 3), r#"{"code":-32000,"message":"deadline exhausted after 5000ms, 3 attempts"}"#),
        (RpcError::indeterminate(), r#"{"code":-32000,"message":"dispatch outcome is indeterminate"}"#),
    ] {
        check(&error, expected);
    }
}

#[test]
fn errors_of_a_websocket_have_theirs() {
    for (error, expected) in [
        (RpcError::invalid_params("say what"), r#"{"code":-32602,"message":"say what"}"#),
        (
            RpcError::too_many_subscriptions(128),
            r#"{"code":-32005,"message":"at most 128 subscriptions are allowed on a connection","data":{"max_subscriptions":128}}"#,
        ),
        (
            RpcError::no_calls(),
            r#"{"code":-32000,"message":"calls cannot be served on this connection: the gateway has no listener for them"}"#,
        ),
        (RpcError::gateway("broke off"), r#"{"code":-32603,"message":"the gateway's own listener broke off"}"#),
    ] {
        check(&error, expected);
    }
}

#[test]
fn ids_and_results_are_written_as_they_are() {
    for id in ["null", "\"a\\u0062\"", "123456789012345678901234567890", "1.0"] {
        let mut out = Vec::new();
        RpcError::indeterminate().write(id, &mut out);
        assert!(String::from_utf8(out).unwrap().starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error""#)));
        let mut out = b"[".to_vec();
        write_result(id, "\"0x1\"", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!(r#"[{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#));
    }
}

#[test]
fn shows_message_and_code() {
    assert_eq!(RpcError::parse_error().to_string(), "Parse error (-32700)");
}
