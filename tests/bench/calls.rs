//! What is asked, and what a healthy provider says.
//!
//! Invariant: a call is written once and sent many times; only its id, of a fixed width, changes.

use crate::message::{digits, find};

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// `eth_blockNumber` only.
    Small,
    /// 80 % `eth_blockNumber`, 15 % `eth_call` with 2 KiB of data, 5 % `eth_getLogs` with a reply of 32 KiB.
    Mix,
}

/// The ids count up from here, so that all have as many digits.
const FIRST_ID: u64 = 1_000_000_000;
const ID_DIGITS: usize = 10;
/// Everything that is looked for in a body stands in its first bytes.
const NEAR: usize = 128;
const CALL_DATA: usize = 2 * 1024;
const LOGS_REPLY: usize = 32 * 1024;

/// The calls of one connection, as bytes.
#[derive(Debug)]
pub(crate) struct Calls {
    load: Load,
    small: Template,
    call: Template,
    logs: Template,
    asked: u64,
    slot: u64,
}

#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    id_at: usize,
}

impl Calls {
    /// For a connection: `number` makes it differ from the others.
    pub(crate) fn new(load: Load, path: &str, number: u64) -> Self {
        let data = "5".repeat(CALL_DATA);
        let to = "0x00000000000000000000000000000000000000aa";
        let params = format!(r#"[{{"to":"{to}","data":"0x{data}"}},"latest"]"#);
        let logs = format!(r#"[{{"fromBlock":"0x112a880","toBlock":"0x112a884","address":"{to}"}}]"#);
        Self {
            load,
            small: Template::new(path, "eth_blockNumber", "[]"),
            call: Template::new(path, "eth_call", &params),
            logs: Template::new(path, "eth_getLogs", &logs),
            asked: 0,
            slot: number,
        }
    }

    /// The next one: the whole HTTP request, and the id in it.
    pub(crate) fn next(&mut self) -> (&[u8], [u8; ID_DIGITS], u64) {
        let number = FIRST_ID + self.asked;
        self.asked += 1;
        // A step without a common factor with 20 spreads the large calls evenly.
        self.slot = (self.slot + 7) % 20;
        let template = match (self.load, self.slot) {
            (Load::Small, _) | (Load::Mix, ..16) => &mut self.small,
            (Load::Mix, 16..19) => &mut self.call,
            (Load::Mix, _) => &mut self.logs,
        };
        let mut id = [b'0'; ID_DIGITS];
        let mut rest = number;
        for digit in id.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        template.bytes[template.id_at..template.id_at + ID_DIGITS].copy_from_slice(&id);
        (&template.bytes, id, number)
    }
}

impl Template {
    fn new(path: &str, method: &str, params: &str) -> Self {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"{method}","params":{params}}}"#);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let id_at = head.len() + r#"{"jsonrpc":"2.0","id":"#.len();
        Self { bytes: [head, body].concat().into_bytes(), id_at }
    }
}

/// Whether a body answers this id with a result.
pub(crate) fn is_result(body: &[u8], id: &[u8]) -> bool {
    find(body, id, NEAR).is_some() && find(body, b"\"result\"", NEAR).is_some()
}

/// What follows the id in a provider's answers.
#[derive(Debug)]
pub(crate) struct Answers {
    number: String,
    word: String,
    logs: String,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let word = "7".repeat(64);
        let log = format!(
            r#"{{"address":"0x00000000000000000000000000000000000000aa","topics":["0x{word}"],"data":"0x{word}","blockNumber":"0x112a880","transactionHash":"0x{word}","transactionIndex":"0x1","blockHash":"0x{word}","logIndex":"0x1","removed":false}}"#
        );
        let logs = vec![log.as_str(); LOGS_REPLY / (log.len() + 1)].join(",");
        Self {
            number: r#","result":"0x112a880"}"#.to_owned(),
            word: format!(r#","result":"0x{word}"}}"#),
            logs: format!(r#","result":[{logs}]}}"#),
        }
    }

    /// Writes the whole HTTP answer to a call. `fails` looks at the id and says whether the provider has a bad moment.
    pub(crate) fn write(&self, call: &[u8], fails: impl Fn(usize) -> bool, out: &mut Vec<u8>) {
        let id = find(call, b"\"id\":", NEAR).map_or(&b"null"[..], |at| &call[at + 5..]);
        let id = &id[..id.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(id.len())];
        let rest = if fails(digits(id)) {
            r#","error":{"code":-32603,"message":"internal error"}}"#
        } else if find(call, b"\"eth_getLogs\"", NEAR).is_some() {
            &self.logs
        } else if find(call, b"\"eth_call\"", NEAR).is_some() {
            &self.word
        } else {
            &self.number
        };
        const START: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
        let length = START.len() + id.len() + rest.len();
        out.clear();
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ");
        out.extend_from_slice(length.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(START);
        out.extend_from_slice(id);
        out.extend_from_slice(rest.as_bytes());
    }
}
