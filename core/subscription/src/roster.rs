//! The channels of a scope: how they are, and how feeds fared on them.
//!
//! Duty: say which channel a feed goes to, in an order that is the same for every feed, so that feeds stay together.
//! Invariant: a channel that refused a kind is not asked of it for [`REFUSED_FOR`]; memory is bounded by the channels there are.
//!
//! The order: usable, not lagging, not left for a fault within [`SHUNNED_FOR`], fewer losses within [`REMEMBERED_FOR`], rank, id.

use std::collections::{BTreeMap, VecDeque};

use lasso_jsonrpc::RpcError;
use lasso_routing::time::{Millis, Timestamp};

use crate::event::{ChannelId, Standing};
use crate::key::Kind;

/// A kind that a channel does not have is not asked of it again before.
pub(crate) const REFUSED_FOR: Millis = Millis::from_secs(300);
/// A channel that was left for a fault is chosen before then only if there is nobody else.
pub(crate) const SHUNNED_FOR: Millis = Millis::from_secs(60);
/// Losses count for this long.
const REMEMBERED_FOR: Millis = Millis::from_secs(60);
/// Losses of a channel that are remembered, and how close together they are one: a socket takes all its feeds along.
const MOST_LOSSES: usize = 16;
const SAME_LOSS: Millis = Millis(100);

#[derive(Debug)]
struct Account {
    standing: Standing,
    losses: VecDeque<Timestamp>,
    shunned_until: Timestamp,
    refused: BTreeMap<Kind, (Timestamp, RpcError)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    accounts: BTreeMap<ChannelId, Account>,
}

/// Why nobody can be asked for a kind.
#[derive(Debug)]
pub(crate) enum Nobody {
    /// Nobody is connected, or not all who are lack it.
    Now,
    /// All who are connected lack it; the words of one of them, if it was asked.
    Has(Option<RpcError>),
}

impl Roster {
    /// Takes the channels as they are; says which have a new socket.
    pub(crate) fn replace(&mut self, standings: Vec<Standing>) -> Vec<ChannelId> {
        let mut fresh = Vec::new();
        let mut before = std::mem::take(&mut self.accounts);
        for standing in standings {
            let old = before.remove(&standing.channel);
            let was = old.as_ref().is_some_and(|account| account.standing.connected);
            if standing.connected && !was {
                fresh.push(standing.channel);
            }
            let account = match old {
                Some(account) => Account { standing, ..account },
                None => Account {
                    standing,
                    losses: VecDeque::new(),
                    shunned_until: Timestamp::default(),
                    refused: BTreeMap::new(),
                },
            };
            self.accounts.insert(account.standing.channel, account);
        }
        fresh
    }

    pub(crate) fn connected(&self, channel: ChannelId) -> bool {
        self.accounts.get(&channel).is_some_and(|account| account.standing.connected)
    }

    /// Whether there is such a channel, connected or not.
    pub(crate) fn knows(&self, channel: ChannelId) -> bool {
        self.accounts.contains_key(&channel)
    }

    /// The newest block that any channel is believed to have.
    pub(crate) fn best(&self) -> Option<u64> {
        self.accounts.values().filter_map(|account| account.standing.head).max()
    }

    /// Whether someone else than this channel could tell of a block after this one, and says that there is none.
    pub(crate) fn quiet_after(&self, number: u64, channel: ChannelId) -> bool {
        let others =
            || self.accounts.values().filter(|other| other.standing.channel != channel && other.standing.connected);
        others().any(|other| other.standing.head.is_some()) && self.best().is_some_and(|best| best <= number)
    }

    /// The channel on which a feed of this kind is best, but for those that it may not go to.
    pub(crate) fn choose(
        &self,
        kind: Kind,
        max_lag: u64,
        now: Timestamp,
        allowed: impl Fn(ChannelId) -> bool,
    ) -> Option<Choice> {
        let best = self.best().unwrap_or_default();
        self.accounts
            .values()
            .filter(|account| account.standing.connected && account.has(kind, now) && allowed(account.standing.channel))
            .map(|account| Choice {
                unusable: !account.standing.usable,
                lagging: account.standing.head.is_some_and(|head| head.saturating_add(max_lag) < best),
                shunned: account.shunned_until > now,
                losses: account.losses.iter().filter(|&&at| now.since(at) < REMEMBERED_FOR).count(),
                // Between two that were left, the one that was left earlier.
                since: account.shunned_until.max(now),
                rank: account.standing.rank,
                channel: account.standing.channel,
            })
            .min()
    }

    /// Whether a channel has this kind, connected or not, as far as is known.
    pub(crate) fn anyone_has(&self, kind: Kind, now: Timestamp) -> bool {
        self.accounts.values().any(|account| account.has(kind, now))
    }

    /// Whether nobody will ever take this kind, as far as is known.
    pub(crate) fn nobody_for(&self, kind: Kind, now: Timestamp) -> Nobody {
        let mut connected = self.accounts.values().filter(|account| account.standing.connected).peekable();
        if connected.peek().is_none() || connected.any(|account| account.has(kind, now)) {
            return Nobody::Now;
        }
        Nobody::Has(
            self.accounts.values().find_map(|account| account.refused.get(&kind).map(|(_, error)| error.clone())),
        )
    }

    pub(crate) fn refused(&mut self, channel: ChannelId, kind: Kind, error: RpcError, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(&channel) {
            account.refused.insert(kind, (now.plus(REFUSED_FOR), error));
        }
    }

    /// A feed was lost there.
    pub(crate) fn lost(&mut self, channel: ChannelId, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(&channel) else { return };
        if account.losses.back().is_some_and(|&last| now.since(last) < SAME_LOSS) {
            return;
        }
        if account.losses.len() >= MOST_LOSSES {
            account.losses.pop_front();
        }
        account.losses.push_back(now);
    }

    /// A feed left it for a fault.
    pub(crate) fn shun(&mut self, channel: ChannelId, now: Timestamp) {
        self.lost(channel, now);
        if let Some(account) = self.accounts.get_mut(&channel) {
            account.shunned_until = now.plus(SHUNNED_FOR);
        }
    }
}

impl Account {
    fn has(&self, kind: Kind, now: Timestamp) -> bool {
        !self.standing.lacks.contains(&kind) && self.refused.get(&kind).is_none_or(|(until, _)| *until <= now)
    }
}

/// A channel and how good it is; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Choice {
    unusable: bool,
    pub(crate) lagging: bool,
    pub(crate) shunned: bool,
    since: Timestamp,
    losses: usize,
    rank: u32,
    pub(crate) channel: ChannelId,
}
