//! What a client believes, going by what it was told.

use crate::hex;

/// A client of heads or of logs.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) logs: bool,
    pub(super) confirmed: bool,
    pub(super) gone: bool,
    /// The head when it was confirmed.
    pub(super) from: u64,
    /// The chain, as heads have it: number, hash.
    pub(super) chain: Vec<(u64, [u8; 32])>,
    /// Logs that hold: number, index, block.
    pub(super) held: Vec<(u64, u64, [u8; 32])>,
}

impl Client {
    pub(super) fn new(logs: bool) -> Self {
        Self { logs, confirmed: false, gone: false, from: 0, chain: Vec::new(), held: Vec::new() }
    }

    pub(super) fn hear(&mut self, payload: &str) {
        assert!(self.confirmed && !self.gone, "told without a confirmation, or after the end: {payload}");
        let value: serde_json::Value = serde_json::from_str(payload).unwrap();
        let number = |name: &str| value[name].as_str().and_then(hex::quantity).unwrap();
        let hash = |name: &str| value[name].as_str().and_then(hex::bytes::<32>).unwrap();
        if self.logs {
            let log = (number("blockNumber"), number("logIndex"), hash("blockHash"));
            self.hear_log(log, value["removed"] == true);
        } else {
            self.hear_head(number("number"), hash("hash"), hash("parentHash"));
        }
    }

    fn hear_head(&mut self, number: u64, hash: [u8; 32], parent: [u8; 32]) {
        assert!(!self.chain.iter().any(|(_, known)| *known == hash), "head {number} twice");
        let first = self.chain.first().map(|(number, _)| *number);
        while self.chain.last().is_some_and(|(_, last)| *last != parent) {
            self.chain.pop();
        }
        assert!(
            !self.chain.is_empty() || first.is_none_or(|first| number <= first),
            "the parent of head {number} was not told"
        );
        self.chain.push((number, hash));
    }

    fn hear_log(&mut self, log: (u64, u64, [u8; 32]), removed: bool) {
        let at = self.held.iter().position(|held| *held == log);
        if removed {
            // A log that others were told before this client came is taken back for everybody.
            assert!(at.is_some() || log.0 <= self.from, "log {}.{} taken back, and never told", log.0, log.1);
            at.map(|at| self.held.remove(at));
            return;
        }
        assert!(at.is_none(), "log {}.{} twice", log.0, log.1);
        if let Some(last) = self.held.last() {
            assert!((last.0, last.1) < (log.0, log.1), "log {}.{} after {}.{}", log.0, log.1, last.0, last.1);
        }
        self.held.push(log);
    }
}
