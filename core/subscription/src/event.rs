//! What happens to a hub and what it wants done.
//!
//! Duty: the closed sets of both, with the ids that tie answers to questions.
//! Leaves to others: sockets, calls, clocks (the shell); the reasons and what is told of them (`notice`).
//!
//! Ids of subscriptions and channels are the shell's; ids of bindings and fetches are the hub's and never come again.

use std::sync::Arc;

use lasso_jsonrpc::RpcError;

use crate::key::{Key, Kind, LogFilter};
use crate::notice::{Ended, Notice, Refusal};
use crate::settings::Settings;

/// One client's `eth_subscribe`, as the shell numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// A ws channel of the scope, as the shell numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

/// One `eth_subscribe` of ours at one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub u64);

/// One question of ours to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub channel: ChannelId,
    /// A socket that can take `eth_subscribe` is open at this moment, however young.
    pub connected: bool,
    /// Routing would send calls to it: breaker, drains and the like. A channel that is not is the last choice.
    pub usable: bool,
    /// Its believed head; `None` while nobody else confirms it, and when it was not heard of for half a minute.
    pub head: Option<u64>,
    /// The smaller the better; of equals the smaller id.
    pub rank: u32,
    /// Kinds that it is declared not to have.
    pub lacks: Vec<Kind>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client wants to hear of something. Answered by [`Action::Confirm`] or [`Action::Refuse`].
    Subscribe {
        /// Never used before.
        subscription: SubscriptionId,
        /// What of.
        key: Key,
    },
    /// A client wants no more, or is gone.
    Unsubscribe {
        /// Who. An unknown one is ignored.
        subscription: SubscriptionId,
    },
    /// How all channels of the scope are. In full, whenever something changed; a channel that is not in it does not exist.
    Channels(Vec<Standing>),
    /// The channel took an [`Action::Open`].
    Accepted {
        /// Which.
        binding: BindingId,
    },
    /// The channel answered an [`Action::Open`] with an error.
    Refused {
        /// Which.
        binding: BindingId,
        /// Its words; clients see them.
        error: RpcError,
        /// It does not have this kind at all, as opposed to not now.
        unsupported: bool,
    },
    /// An event of an accepted binding.
    Arrived {
        /// Which.
        binding: BindingId,
        /// `params.result`, raw JSON.
        payload: Arc<str>,
    },
    /// The binding is gone: its socket closed, gave no pong, or the channel ended it. Nothing more comes of it, and it needs no close.
    Lost {
        /// Which.
        binding: BindingId,
    },
    /// An [`Action::Fetch`] was answered, or could not be.
    Fetched {
        /// Which.
        fetch: FetchId,
        /// The raw JSON `result` of each call of the ask, in the order of [`Ask::calls`], `null` included.
        answer: Result<Vec<Arc<str>>, FetchFailure>,
    },
    /// Other settings hold from now on.
    Settings(Settings),
}

/// A fetch brought nothing: no answer in time, or an error for any of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailure {
    /// What is known of it, without secrets.
    pub message: String,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send `eth_subscribe` with [`Key::params`] to the channel. Answered by `Accepted`, `Refused` or `Lost`.
    Open {
        /// A new one.
        binding: BindingId,
        /// Where.
        channel: ChannelId,
        /// What.
        key: Arc<Key>,
    },
    /// Send `eth_unsubscribe`, or forget an open that was not answered yet. Nothing of this binding is wanted any more.
    Close {
        /// Which.
        binding: BindingId,
    },
    /// Ask the gateway. Answered by one `Fetched`.
    Fetch {
        /// A new one.
        fetch: FetchId,
        /// What.
        ask: Ask,
    },
    /// The reply to the client's `eth_subscribe` may go out. Always before its first [`Action::Deliver`].
    Confirm {
        /// Whose.
        subscription: SubscriptionId,
    },
    /// The client's `eth_subscribe` fails.
    Refuse {
        /// Whose; it is forgotten.
        subscription: SubscriptionId,
        /// Why; [`Refusal::error`] is what the client gets.
        because: Refusal,
    },
    /// Send an event.
    Deliver {
        /// To whom; the same list until someone comes or goes.
        to: Arc<[SubscriptionId]>,
        /// `params.result`, raw JSON.
        payload: Arc<str>,
    },
    /// Continuity is lost: tell these clients by an error notification and close their sockets with 1012.
    End {
        /// Whose; they are forgotten.
        subscriptions: Arc<[SubscriptionId]>,
        /// Why.
        because: Ended,
    },
    /// Tell whoever watches.
    Tell(Notice),
}

/// A question to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Blocks by number, both ends included, without transactions: one batch. At most [`MOST_HEADERS`] of them.
    Headers {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The newest block, without transactions.
    Latest,
    /// One block by hash, without transactions.
    Header {
        /// Which.
        hash: [u8; 32],
    },
    /// All logs of one block that match. By hash, so that who lacks the block errs instead of answering nothing.
    BlockLogs {
        /// Which block.
        hash: [u8; 32],
        /// Which logs.
        filter: Arc<Key>,
    },
    /// All logs from this block to the newest that match: only where no heads are to be had.
    LogsSince {
        /// The first.
        from: u64,
        /// Which logs.
        filter: Arc<Key>,
    },
}

/// Most blocks that one [`Ask::Headers`] asks for.
pub const MOST_HEADERS: u64 = 64;

impl Ask {
    /// Its JSON-RPC calls: method and params. More than one is a batch.
    #[must_use]
    pub fn calls(&self) -> Vec<(&'static str, String)> {
        let logs = |filter: &Key, json: &dyn Fn(&LogFilter) -> String| match filter {
            Key::Logs(filter) => vec![("eth_getLogs", format!("[{}]", json(filter)))],
            Key::NewHeads | Key::NewPendingTransactions { .. } | Key::Syncing => Vec::new(),
        };
        match self {
            Self::Headers { from, to } => {
                (*from..=*to).map(|number| ("eth_getBlockByNumber", format!(r#"["{number:#x}",false]"#))).collect()
            }
            Self::Latest => vec![("eth_getBlockByNumber", r#"["latest",false]"#.to_owned())],
            Self::Header { hash } => vec![("eth_getBlockByHash", format!(r#"["{}",false]"#, crate::hex::shown(hash)))],
            Self::BlockLogs { hash, filter } => logs(filter, &|filter| filter.json_at(hash)),
            Self::LogsSince { from, filter } => logs(filter, &|filter| filter.json_between(*from, None)),
        }
    }
}
