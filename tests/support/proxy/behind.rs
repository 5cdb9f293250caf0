//! The past, as a provider tells it that is some blocks behind.
//!
//! Duty: head, blocks by number and logs as they were so many blocks ago.
//! Leaves to others: everything else is told as it is now; events are held back by `events`.

use serde_json::{Value, json};

use super::{
    Shared,
    answer::{Said, json_with, present},
};

/// What a body brings from a provider that is so many blocks behind.
pub(super) async fn past(shared: &Shared, body: &[u8], blocks: u64) -> Said {
    let Ok(asked) = serde_json::from_slice::<Value>(body) else { return present(shared, body).await };
    let head = number(&ask(shared, &json!({"id": 1, "method": "eth_blockNumber", "params": []})).await["result"]);
    let seen = head.unwrap_or_default().saturating_sub(blocks);
    let reply = match asked.as_array() {
        Some(calls) => {
            let mut replies = Vec::new();
            for call in calls.iter().filter(|call| call.get("id").is_some()) {
                replies.push(one(shared, call, seen).await);
            }
            Value::Array(replies)
        }
        None => one(shared, &asked, seen).await,
    };
    json_with(200, reply.to_string())
}

async fn one(shared: &Shared, call: &Value, seen: u64) -> Value {
    let told = |result: Value| json!({"jsonrpc": "2.0", "id": call["id"], "result": result});
    let mut call = call.clone();
    match call["method"].as_str().unwrap_or_default() {
        "eth_blockNumber" => return told(json!(hex(seen))),
        "eth_getBlockByNumber" => {
            let wanted = number(&call["params"][0]);
            if wanted.is_some_and(|wanted| wanted > seen) {
                return told(Value::Null);
            }
            if matches!(call["params"][0].as_str(), Some("latest" | "pending")) {
                call["params"][0] = json!(hex(seen));
            }
        }
        "eth_getLogs" if call["params"][0]["blockHash"].is_null() => {
            let filter = &mut call["params"][0];
            if number(&filter["fromBlock"]).is_some_and(|from| from > seen) {
                return told(json!([]));
            }
            if number(&filter["toBlock"]).is_none_or(|to| to > seen) {
                filter["toBlock"] = json!(hex(seen));
            }
        }
        _ => {}
    }
    let reply = ask(shared, &call).await;
    let newer = number(&reply["result"]["number"]).is_some_and(|number| number > seen);
    if call["method"] == "eth_getBlockByHash" && newer { told(Value::Null) } else { reply }
}

async fn ask(shared: &Shared, call: &Value) -> Value {
    match present(shared, call.to_string().as_bytes()).await {
        Said::Whole { body, .. } => serde_json::from_slice(&body).unwrap_or_default(),
        Said::Large { .. } | Said::Nothing | Said::Reset => Value::Null,
    }
}

fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
