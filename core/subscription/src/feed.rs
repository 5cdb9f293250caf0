//! One stream shared by many: a line to a channel, those who hear, and what it carries.
//!
//! Duty: hand what happens to the right content.
//! Leaves to others: when feeds come and go, and what they have to say to each other (`hub`).

use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::branch::Change;
use crate::desk::{Desk, FeedId};
use crate::event::{ChannelId, FetchFailure, FetchId};
use crate::fanout::Fanout;
use crate::heads::Heads;
use crate::key::Key;
use crate::line::{Accepted, Line};
use crate::logs::Logs;
use crate::passing::Passing;
use crate::plain::Plain;
use crate::side::{News, Side, Tally};
use crate::view::{FeedView, State};

/// What a feed carries.
#[derive(Debug)]
pub(crate) enum Content {
    Heads(Box<Heads>),
    Logs(Box<Logs>),
    Plain(Plain),
    Passing(Passing),
}

/// One for each key.
#[derive(Debug)]
pub(crate) struct Feed {
    id: FeedId,
    pub(crate) key: Arc<Key>,
    pub(crate) line: Line,
    pub(crate) fanout: Fanout,
    tally: Tally,
    /// Since when nobody listens.
    pub(crate) idle_since: Option<Timestamp>,
    pub(crate) content: Content,
}

impl Feed {
    pub(crate) fn new(id: FeedId, key: Arc<Key>, now: Timestamp) -> Self {
        let content = match &*key {
            Key::NewHeads => Content::Heads(Box::default()),
            Key::Logs(_) => Content::Logs(Box::new(Logs::new(Arc::clone(&key)))),
            Key::NewPendingTransactions { .. } => Content::Passing(Passing::Pending(Default::default())),
            Key::Syncing => Content::Passing(Passing::Syncing(None)),
        };
        let line = Line::new(id, Arc::clone(&key));
        Self { id, key, line, fanout: Fanout::default(), tally: Tally::default(), idle_since: Some(now), content }
    }

    /// The content and all it works with.
    pub(crate) fn open<'a>(
        &'a mut self,
        desk: &'a mut Desk,
        news: &'a mut News,
        now: Timestamp,
    ) -> (&'a mut Content, Side<'a>) {
        let Self { id, line, fanout, tally, content, .. } = self;
        (content, Side { feed: *id, line, fanout, tally, desk, news, now })
    }

    pub(crate) fn heads(&self) -> Option<&Heads> {
        match &self.content {
            Content::Heads(heads) => Some(heads),
            Content::Logs(_) | Content::Plain(_) | Content::Passing(_) => None,
        }
    }

    /// Whether it goes by the feed of heads.
    pub(crate) fn needs_heads(&self) -> bool {
        matches!(self.content, Content::Logs(_))
    }

    /// When something of it is due.
    pub(crate) fn poll_timeout(&self, desk: &Desk) -> Option<Timestamp> {
        let content = match &self.content {
            Content::Heads(heads) => heads.poll_timeout(&self.line, desk),
            Content::Logs(logs) => logs.poll_timeout(&self.line, desk),
            Content::Plain(plain) => plain.poll_timeout(&self.line, desk),
            Content::Passing(_) => Passing::poll_timeout(&self.line, desk),
        };
        let waiting = self.fanout.waiting_since().map(|since| since.plus(desk.settings.subscribe_timeout));
        content.into_iter().chain(self.line.poll_timeout()).chain(waiting).min()
    }

    /// For people; `closing`: it is kept only until its linger is over.
    pub(crate) fn view(&self, closing: bool) -> FeedView {
        let (filling, head, buffered) = match &self.content {
            Content::Heads(heads) => (heads.is_filling(), heads.branch().number(), heads.buffered()),
            Content::Logs(logs) => (logs.is_filling(), logs.number(), logs.buffered()),
            Content::Plain(plain) => (plain.is_filling(), plain.number(), plain.buffered()),
            Content::Passing(_) => (false, None, 0),
        };
        let bound = self.line.bound();
        let state = match bound {
            None if self.line.has_lived() => State::Lost,
            None => State::Opening,
            Some(_) if closing => State::Lingering,
            Some(_) if filling => State::Filling,
            Some(_) => State::Live,
        };
        FeedView {
            key: Key::clone(&self.key),
            state,
            channel: self.line.channel(),
            subscribers: self.fanout.len(),
            since: bound.map(|bound| bound.since),
            last_event: bound.and_then(|bound| bound.last_event),
            head,
            buffered,
            fills: self.tally.fills,
            filled: self.tally.filled,
            failovers: self.line.failovers,
            duplicates: self.tally.duplicates,
            ignored: self.tally.ignored,
            delivered: self.tally.delivered,
        }
    }
}

impl Content {
    /// Forgets what it knew: it starts anew with what comes next.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        match self {
            Self::Heads(heads) => heads.restart(now),
            Self::Logs(logs) => logs.restart(),
            Self::Plain(plain) => plain.restart(),
            Self::Passing(_) => {}
        }
    }

    pub(crate) fn accepted(&mut self, accepted: Accepted, side: &mut Side<'_>) {
        match self {
            Self::Heads(heads) => heads.accepted(accepted, side),
            Self::Logs(logs) => logs.accepted(accepted, side),
            Self::Plain(plain) => plain.accepted(accepted, side),
            Self::Passing(_) => {}
        }
    }

    pub(crate) fn arrived(&mut self, payload: &Arc<str>, channel: ChannelId, side: &mut Side<'_>) {
        match self {
            Self::Heads(heads) => heads.arrived(payload, channel, side),
            Self::Logs(logs) => logs.arrived(payload, side),
            Self::Plain(plain) => plain.arrived(payload, side),
            Self::Passing(passing) => passing.arrived(payload, side),
        }
    }

    /// The binding is gone, or its channel is at fault.
    pub(crate) fn doubted(&mut self, side: &mut Side<'_>) {
        match self {
            Self::Logs(logs) => logs.doubt_recent(side),
            Self::Heads(_) | Self::Plain(_) | Self::Passing(_) => {}
        }
    }

    pub(crate) fn fetched(&mut self, fetch: FetchId, answer: Result<Vec<Arc<str>>, FetchFailure>, side: &mut Side<'_>) {
        match self {
            Self::Heads(heads) => heads.fetched(fetch, answer, side),
            Self::Logs(logs) => logs.fetched(fetch, answer, side),
            Self::Plain(plain) => plain.fetched(fetch, answer, side),
            Self::Passing(_) => {}
        }
    }

    /// The feed of heads went on.
    pub(crate) fn chain_changed(&mut self, chain: &Change<'_>, side: &mut Side<'_>) {
        if let Self::Logs(logs) = self {
            logs.chain_changed(chain, side);
        }
    }

    /// It goes on without heads: nothing needs to wait for them.
    pub(crate) fn released(&mut self, side: &mut Side<'_>) {
        if let Self::Plain(plain) = self {
            plain.release(side);
        }
    }

    pub(crate) fn hint(&mut self, number: u64, side: &mut Side<'_>) {
        if let Self::Heads(heads) = self {
            heads.hint(number, side);
        }
    }

    pub(crate) fn channels_changed(&mut self, side: &mut Side<'_>) {
        if let Self::Heads(heads) = self {
            heads.channels_changed(side);
        }
    }

    pub(crate) fn handle_timeout(&mut self, side: &mut Side<'_>) {
        match self {
            Self::Heads(heads) => heads.handle_timeout(side),
            Self::Logs(logs) => logs.handle_timeout(side),
            Self::Plain(plain) => plain.handle_timeout(side),
            Self::Passing(_) => Passing::handle_timeout(side),
        }
    }
}
