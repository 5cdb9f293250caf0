//! What an exchange is made of and what it says.

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{FilterOp, MethodClass};
use lasso_routing::catalog::ChannelIdx;
use lasso_routing::ledger::Begun;
use lasso_routing::outcome::Verdict;
use lasso_routing::target::Target;
use lasso_routing::time::Micros;

use crate::host::Moment;

/// What the client asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where, as the client named it.
    pub target: Target,
    /// Method name.
    pub method: String,
    /// Its class for evidence.
    pub class: MethodClass,
    /// Blocks it is about.
    pub blocks: Blocks,
    /// Raw JSON of the id: what the client gets, and what a provider must answer with.
    pub id: String,
    /// The client wants no answer.
    pub notification: bool,
    /// It makes or uses a filter.
    pub filter: Option<FilterOp>,
    /// Whether it had params.
    pub params_present: bool,
    /// Their digest, when the request log has one.
    pub params_digest: Option<String>,
    /// Raw params of a call that is sent once; the hash of a transaction that a node already knows is made from them.
    pub params: Option<String>,
    /// Body as it goes to a provider; empty when too much is kept already.
    pub body: Vec<u8>,
}

impl Ask {
    /// Keeps the client's body, unless another is sent.
    pub fn keep(&mut self, body: &[u8]) {
        if self.body.is_empty() {
            self.body = body.to_vec();
        }
    }
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    /// Where it went.
    pub channel: ChannelIdx,
    /// When it started.
    pub started: Moment,
    /// How long it took; zero while it runs.
    pub latency: Micros,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// As the ledger entered it; `None` for a probe, of which it does not hear.
    pub(super) begun: Option<Begun>,
    /// Its blame waits for the end of the request: a timeout counts only when another channel answered.
    pub(super) unsettled: bool,
}

impl Attempt {
    /// How it ended, by the name of its row.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        self.verdict.map_or("unanswered", |verdict| verdict.row.name())
    }
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// The provider's response as it is.
    Passed,
    /// The provider's body with HTTP 200: its status is not the client's business.
    PassedAsOk,
    /// This body with HTTP 200.
    Replaced(Vec<u8>),
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The response is the answer.
    Release,
    /// The next candidate is asked.
    Retry,
    /// It failed and none follows.
    GiveUp,
}

/// What the client is told when no attempt gave an answer.
#[derive(Debug)]
pub struct Failed {
    /// The JSON-RPC reply.
    pub body: Vec<u8>,
    /// A write that may or may not have happened.
    pub indeterminate: bool,
    /// It is a result after all: a `null` that nobody bettered.
    pub is_result: bool,
}
