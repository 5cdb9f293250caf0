//! A feed's line to a channel: bound, being bound, moving, or lost.
//!
//! Duty: keep one binding alive. It moves by opening the next binding first and closing the old one when the new one is accepted.
//! Invariant: at most one binding is accepted and at most one is being opened; whatever fails is not asked again at once, and
//! somebody is asked again soon as long as the line is wanted.
//! Leaves to others: why to move (the feeds), which channel is best (`roster`).

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_jsonrpc::RpcError;
use lasso_routing::time::{Millis, Timestamp};

use crate::desk::{Desk, FeedId};
use crate::event::{BindingId, ChannelId};
use crate::key::{INVALID_PARAMS, Key};
use crate::notice::{Moved, Notice};
use crate::roster::Choice;

/// A channel that does not answer an open by then is not waited for.
pub(crate) const OPEN_TIMEOUT: Millis = Millis::from_secs(2);
/// Nobody could be asked: look again.
const LOOK_AGAIN: Millis = Millis(250);
/// A channel that failed is not asked again by this feed for so long, doubling.
const AVOIDED: (Millis, Millis) = (Millis(250), Millis(4_000));
/// Events in a row that cannot be read before the channel is left.
const MOST_MALFORMED: u32 = 3;

/// An accepted binding.
#[derive(Debug)]
pub(crate) struct Bound {
    binding: BindingId,
    pub(crate) channel: ChannelId,
    pub(crate) since: Timestamp,
    pub(crate) last_event: Option<Timestamp>,
    malformed: u32,
}

#[derive(Debug)]
struct Opening {
    binding: BindingId,
    channel: ChannelId,
    since: Timestamp,
}

/// Why there must be another binding than the one there was.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    from: ChannelId,
    because: Moved,
    since: Timestamp,
}

/// One for each feed.
#[derive(Debug)]
pub(crate) struct Line {
    feed: FeedId,
    key: Arc<Key>,
    bound: Option<Bound>,
    opening: Option<Opening>,
    leaving: Option<Leaving>,
    avoided: BTreeMap<ChannelId, (Timestamp, Millis)>,
    look_again: Option<Timestamp>,
    lost_since: Option<Timestamp>,
    pub(crate) last_error: Option<RpcError>,
    pub(crate) failovers: u64,
    ever: bool,
}

/// What an accepted binding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// The feed lives for the first time.
    First,
    /// It lives again, or elsewhere: events may have been missed.
    Again,
}

impl Line {
    pub(crate) fn new(feed: FeedId, key: Arc<Key>) -> Self {
        Self {
            feed,
            key,
            bound: None,
            opening: None,
            leaving: None,
            avoided: BTreeMap::new(),
            look_again: None,
            lost_since: None,
            last_error: None,
            failovers: 0,
            ever: false,
        }
    }

    pub(crate) fn bound(&self) -> Option<&Bound> {
        self.bound.as_ref()
    }

    pub(crate) fn channel(&self) -> Option<ChannelId> {
        self.bound.as_ref().map(|bound| bound.channel)
    }

    /// Whether it ever lived.
    pub(crate) fn has_lived(&self) -> bool {
        self.ever
    }

    pub(crate) fn lost_since(&self) -> Option<Timestamp> {
        self.lost_since
    }

    /// Whoever heard was told of the end: without a binding it is as if it had never lived, and there is no outage to end anybody for.
    pub(crate) fn start_anew(&mut self) {
        self.ever = self.bound.is_some();
    }

    /// Asks the best channel, if there must be another binding and none is being opened.
    pub(crate) fn seek(&mut self, desk: &mut Desk, now: Timestamp) {
        if self.opening.is_some() || (self.bound.is_some() && self.leaving.is_none()) {
            return;
        }
        if self.bound.is_none() && self.lost_since.is_none() {
            self.lost_since = Some(now);
        }
        let Some(choice) = self.best(desk, now) else {
            // A bound line that nobody takes over stays where it is.
            if self.bound.is_some() {
                self.leaving = None;
            } else {
                self.look_again = Some(now.plus(LOOK_AGAIN));
            }
            return;
        };
        let binding = desk.open(self.feed, choice.channel, &self.key);
        self.opening = Some(Opening { binding, channel: choice.channel, since: now });
        self.look_again = None;
    }

    /// The best channel but the one it is on.
    fn best(&self, desk: &Desk, now: Timestamp) -> Option<Choice> {
        let allowed = |channel| {
            self.channel() != Some(channel) && self.avoided.get(&channel).is_none_or(|(until, _)| *until <= now)
        };
        desk.roster.choose(self.key.kind(), desk.max_lag(), now, allowed)
    }

    /// Goes elsewhere, if there is somebody better; says whether it does.
    pub(crate) fn leave(&mut self, because: Moved, desk: &mut Desk, now: Timestamp) -> bool {
        let Some(channel) = self.channel() else { return false };
        if self.leaving.is_some() {
            return false;
        }
        let Some(choice) = self.best(desk, now) else { return false };
        // A feed that tells nothing may go back to a channel that was left; one that only misses events may not, or it would never rest.
        let silent = matches!(because, Moved::Stale | Moved::Behind);
        if choice.lagging || (choice.shunned && !silent) {
            return false;
        }
        desk.roster.shun(channel, now);
        self.leaving = Some(Leaving { from: channel, because, since: now });
        self.seek(desk, now);
        true
    }

    /// A channel took an open.
    pub(crate) fn accepted(&mut self, binding: BindingId, desk: &mut Desk, now: Timestamp) -> Option<Accepted> {
        let opening = self.opening.take_if(|opening| opening.binding == binding)?;
        if let Some(old) = self.bound.take() {
            desk.close(old.binding);
        }
        let channel = opening.channel;
        self.bound = Some(Bound { binding, channel, since: now, last_event: None, malformed: 0 });
        self.avoided.remove(&channel);
        self.look_again = None;
        self.lost_since = None;
        self.last_error = None;
        let kind = self.key.kind();
        match self.leaving.take() {
            Some(Leaving { from, because, since }) => {
                self.failovers += 1;
                desk.tell(Notice::FailedOver { kind, from, to: channel, because, took: now.since(since) });
            }
            None => desk.tell(Notice::FeedUp { kind, channel }),
        }
        Some(if std::mem::replace(&mut self.ever, true) { Accepted::Again } else { Accepted::First })
    }

    /// A channel refused an open.
    pub(crate) fn refused(
        &mut self,
        binding: BindingId,
        error: RpcError,
        unsupported: bool,
        desk: &mut Desk,
        now: Timestamp,
    ) {
        desk.forget(binding);
        let Some(opening) = self.opening.take_if(|opening| opening.binding == binding) else {
            self.lost(binding, desk, now);
            return;
        };
        // Of one with an argument (a filter, whole transactions) the words may be about the argument: that is no other client's trouble.
        if unsupported && (self.key.is_bare() || error.code != INVALID_PARAMS) {
            let (channel, kind) = (opening.channel, self.key.kind());
            desk.roster.refused(channel, kind, error.clone(), now);
            desk.tell(Notice::KindRefused { channel, kind });
        } else {
            self.avoid(opening.channel, now);
        }
        self.last_error = Some(error);
        self.seek(desk, now);
    }

    /// A binding is gone; says whether it was the one that events came from.
    pub(crate) fn lost(&mut self, binding: BindingId, desk: &mut Desk, now: Timestamp) -> bool {
        desk.forget(binding);
        if let Some(opening) = self.opening.take_if(|opening| opening.binding == binding) {
            self.avoid(opening.channel, now);
            self.seek(desk, now);
            return false;
        }
        let Some(bound) = self.bound.take_if(|bound| bound.binding == binding) else { return false };
        self.unbound(bound.channel, Moved::Lost, desk, now);
        true
    }

    fn unbound(&mut self, from: ChannelId, because: Moved, desk: &mut Desk, now: Timestamp) {
        desk.roster.lost(from, now);
        desk.tell(Notice::FeedLost { kind: self.key.kind(), channel: from, because });
        self.leaving.get_or_insert(Leaving { from, because, since: now });
        self.lost_since = Some(now);
        self.avoid(from, now);
        self.seek(desk, now);
    }

    /// The channels changed; says whether the binding went with its channel's socket.
    pub(crate) fn channels_changed(&mut self, fresh: &[ChannelId], desk: &mut Desk, now: Timestamp) -> bool {
        fresh.iter().for_each(|channel| {
            self.avoided.remove(channel);
        });
        if let Some(opening) = self.opening.take_if(|opening| !desk.roster.connected(opening.channel)) {
            desk.close(opening.binding);
        }
        let gone = self.bound.take_if(|bound| !desk.roster.connected(bound.channel));
        if let Some(bound) = &gone {
            desk.close(bound.binding);
            let because = if desk.roster.knows(bound.channel) { Moved::Lost } else { Moved::Removed };
            self.unbound(bound.channel, because, desk, now);
        }
        self.seek(desk, now);
        gone.is_some()
    }

    /// An event came; says whether it came by the binding that counts.
    pub(crate) fn arrived(&mut self, binding: BindingId, now: Timestamp) -> Option<ChannelId> {
        let bound = self.bound.as_mut().filter(|bound| bound.binding == binding)?;
        bound.last_event = Some(now);
        Some(bound.channel)
    }

    /// The event could, or could not, be read.
    pub(crate) fn was_read(&mut self, well: bool, desk: &mut Desk, now: Timestamp) {
        let Some(bound) = &mut self.bound else { return };
        if well {
            bound.malformed = 0;
            return;
        }
        bound.malformed += 1;
        let (channel, kind, many) = (bound.channel, self.key.kind(), bound.malformed >= MOST_MALFORMED);
        desk.tell(Notice::Malformed { channel, kind });
        if many && self.leave(Moved::Malformed, desk, now) {
            return;
        }
        if let Some(bound) = self.bound.as_mut().filter(|_| many) {
            bound.malformed = 0;
        }
    }

    fn avoid(&mut self, channel: ChannelId, now: Timestamp) {
        let wait = self.avoided.get(&channel).map_or(AVOIDED.0, |(_, wait)| Millis(wait.0 * 2).min(AVOIDED.1));
        self.avoided.insert(channel, (now.plus(wait), wait));
        // Without anybody else, this one is asked again when its time is over.
        self.look_again.get_or_insert(now.plus(LOOK_AGAIN));
    }

    pub(crate) fn handle_timeout(&mut self, desk: &mut Desk, now: Timestamp) {
        if let Some(opening) = self.opening.take_if(|opening| now >= opening.since.plus(OPEN_TIMEOUT)) {
            desk.close(opening.binding);
            desk.roster.lost(opening.channel, now);
            self.avoid(opening.channel, now);
            self.seek(desk, now);
        }
        if self.look_again.is_some_and(|at| now >= at) {
            self.look_again = None;
            self.seek(desk, now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let opening = self.opening.as_ref().map(|opening| opening.since.plus(OPEN_TIMEOUT));
        opening.into_iter().chain(self.look_again).min()
    }

    /// Nobody wants it any more.
    pub(crate) fn close(&mut self, desk: &mut Desk) {
        let open = self.opening.take().map(|opening| opening.binding);
        for binding in self.bound.take().map(|bound| bound.binding).into_iter().chain(open) {
            desk.close(binding);
        }
        self.look_again = None;
    }
}
