//! What a probe asks, as JSON-RPC.
//!
//! Duty: one harmless call for each class of methods. Invariant: nothing that changes a provider's state or costs it much: where a class has no such call,
//! another is made, which a provider that refuses us refuses as well.
//! Leaves to others: sending.

use lasso_routing::fleet::event::Ask;
use serde_json::{Value, json};

/// The id of every probe.
pub(super) const ID: &str = "1";

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) params: Value,
}

impl Question {
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::ChainId => Self::new("eth_chainId", json!([])),
            Ask::Head => Self::new("eth_blockNumber", json!([])),
            Ask::Block(number) => Self::new("eth_getBlockByNumber", json!([format!("{number:#x}"), false])),
            Ask::Method(class) => harmless(class.name()),
        }
    }

    fn new(method: &str, params: Value) -> Self {
        Self { method: method.to_owned(), params }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let Self { method, params } = self;
        format!(r#"{{"jsonrpc":"2.0","id":{ID},"method":{},"params":{params}}}"#, Value::from(method.as_str()))
            .into_bytes()
    }
}

/// Reads of nobody's account, and of a block and a transaction that do not exist.
fn harmless(class: &str) -> Question {
    const NOBODY: &str = "0x0000000000000000000000000000000000000000";
    const NOTHING: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";
    // Classes of eth_getLogs differ in their range only.
    let method = class.split(['<', '>']).next().unwrap_or(class);
    let params = match method {
        "eth_call" | "eth_createAccessList" | "debug_traceCall" => json!([{"to": NOBODY, "data": "0x"}, "latest"]),
        "eth_estimateGas" => json!([{"to": NOBODY, "data": "0x"}]),
        "trace_call" => json!([{"to": NOBODY, "data": "0x"}, ["trace"], "latest"]),
        "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_getAccount" => json!([NOBODY, "latest"]),
        "eth_getStorageAt" => json!([NOBODY, "0x0", "latest"]),
        "eth_getProof" => json!([NOBODY, [], "latest"]),
        "eth_feeHistory" => json!(["0x1", "latest", []]),
        "eth_getLogs" => json!([{"fromBlock": "latest", "toBlock": "latest", "address": NOBODY}]),
        "eth_getBlockByNumber" => json!(["latest", false]),
        "eth_getHeaderByNumber" | "eth_getBlockTransactionCountByNumber" | "eth_getUncleCountByBlockNumber" => {
            json!(["latest"])
        }
        "eth_getBlockByHash" => json!([NOTHING, false]),
        "eth_getTransactionByHash"
        | "eth_getTransactionReceipt"
        | "eth_getRawTransactionByHash"
        | "eth_getHeaderByHash"
        | "eth_getBlockReceipts"
        | "debug_traceTransaction"
        | "debug_getRawTransaction"
        | "trace_transaction" => json!([NOTHING]),
        "eth_gasPrice"
        | "eth_maxPriorityFeePerGas"
        | "eth_blobBaseFee"
        | "eth_chainId"
        | "eth_syncing"
        | "net_version"
        | "net_listening"
        | "net_peerCount"
        | "web3_clientVersion"
        | "txpool_status" => json!([]),
        method => return elsewhere(method),
    };
    Question::new(method, params)
}

/// For what writes, makes filters, traces whole blocks or is a whole namespace: the nearest call that does not.
fn elsewhere(method: &str) -> Question {
    let namespace = method.split_once('_').map_or("", |(namespace, _)| namespace);
    match namespace {
        "debug" => harmless("debug_traceTransaction"),
        "trace" => harmless("trace_transaction"),
        "net" => harmless("net_listening"),
        "web3" => harmless("web3_clientVersion"),
        "txpool" => harmless("txpool_status"),
        _ => Question::new("eth_blockNumber", json!([])),
    }
}

#[cfg(test)]
mod tests {
    use lasso_jsonrpc::method::{Method, MethodClass, Safety};

    use super::*;

    #[test]
    fn every_class_has_a_call_that_changes_nothing() {
        for class in MethodClass::all() {
            let question = Question::of(&Ask::Method(class));
            let method = Method::of(&question.method);
            assert!(method.is_known(), "{}: {}", class.name(), question.method);
            assert_eq!(method.safety(), Safety::Replay, "{}", class.name());
            assert!(!method.websocket_only() && !method.blocked_by_default(), "{}", class.name());
            serde_json::from_slice::<Value>(&question.body()).unwrap();
        }
    }

    #[test]
    fn a_class_is_asked_by_itself_where_that_is_harmless() {
        #[track_caller]
        fn check(class: &str, body: &str) {
            let question = Question::of(&Ask::Method(MethodClass::named(class).unwrap()));
            assert_eq!(String::from_utf8(question.body()).unwrap(), body);
        }
        check("net_version", r#"{"jsonrpc":"2.0","id":1,"method":"net_version","params":[]}"#);
        check(
            "eth_getBlockByNumber",
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}"#,
        );
        check("eth_sendRawTransaction", r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
        check("alchemy_*", r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
        let logs = Question::of(&Ask::Method(MethodClass::named("eth_getLogs>1000").unwrap()));
        assert_eq!((logs.method.as_str(), &logs.params[0]["fromBlock"]), ("eth_getLogs", &json!("latest")));
        let trace = Question::of(&Ask::Method(MethodClass::named("trace_*").unwrap()));
        assert_eq!(trace.method, "trace_transaction");
    }

    #[test]
    fn the_other_orders_are_what_they_say() {
        let bodies =
            [Ask::ChainId, Ask::Head, Ask::Block(255)].map(|ask| String::from_utf8(Question::of(&ask).body()).unwrap());
        assert!(bodies[0].contains(r#""eth_chainId""#) && bodies[1].contains(r#""eth_blockNumber""#));
        assert!(bodies[2].contains(r#""params":["0xff",false]"#), "{}", bodies[2]);
    }
}
