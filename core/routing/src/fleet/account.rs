//! One channel, as the fleet knows it.

use lasso_jsonrpc::method::MethodClass;

use super::event::{Health, Manual, WorkerId};
use super::probing::Watch;
use crate::breaker::{Breaker, State};
use crate::catalog::{ChannelIdx, Transport};
use crate::mark::RateLimitMark;
use crate::report::{Ending, Lesson, Limit};
use crate::table::{Barred, BreakerView, ChannelView};
use crate::time::{Millis, Timestamp};

/// Lessons kept of one channel; the one that ends first goes first.
pub(super) const MOST_LESSONS: usize = 256;
/// A lesson is not kept for longer than this.
const LONGEST_LESSON: Millis = Millis::from_secs(3_600);
/// What workers are told of an opening that waits for a probe: so much longer, again and again. Without news they go on by themselves.
pub(super) const HELD: Millis = Millis::from_secs(3);
/// And that this often.
const TELL_HELD_AGAIN: Millis = Millis(1_000);

/// One channel.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: Box<str>,
    pub(super) index: ChannelIdx,
    /// See [`crate::catalog::Channel::way_in`].
    pub(super) way_in: u64,
    /// It has another key, and until then some workers may not have it.
    pub(super) rekeyed_until: Timestamp,
    pub(super) transport: Transport,
    /// Index into the networks; `None` for a channel that no chain has.
    pub(super) network: Option<usize>,
    /// Where it sits: book and place.
    pub(super) seats: Vec<(usize, usize)>,
    pub(super) breaker: Breaker,
    /// The number of the first opening of this life, less one.
    pub(super) numbered_from: u32,
    pub(super) manual: Manual,
    /// As was last told.
    pub(super) stance: Stance,
    pub(super) mark: RateLimitMark,
    /// The mark's beginning was told.
    pub(super) marked: bool,
    pub(super) barred: Option<Barred>,
    /// A ws channel has a live socket.
    pub(super) connected: bool,
    /// Channels of the same provider over the other transport.
    pub(super) siblings: Vec<usize>,
    pub(super) health: Health,
    pub(super) lessons: Vec<Taught>,
    /// Trials that were given out, and when they run out.
    pub(super) trials: Vec<(WorkerId, Timestamp)>,
    /// A class that failed for the key or the bill.
    pub(super) refused: Option<MethodClass>,
    pub(super) in_flight: u64,
    pub(super) endings: [u64; Ending::COUNT],
    /// When workers were last told of it.
    pub(super) told: Timestamp,
    /// The head that they were told, and when.
    pub(super) told_head: (u64, Timestamp),
    pub(super) watch: Watch,
}

/// Where a channel stands, whoever decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stance {
    Closed,
    /// With the number of the opening.
    Open(u32),
    OpenByHand,
    HalfOpen(u32),
}

/// A lesson and its end.
#[derive(Debug, Clone)]
pub(super) struct Taught {
    pub(super) limit: Limit,
    pub(super) until: Timestamp,
}

impl Account {
    pub(super) fn stance(&self, now: Timestamp) -> Stance {
        match (self.manual, self.breaker.state(now)) {
            (Manual::Open, _) => Stance::OpenByHand,
            (Manual::Close, _) | (Manual::Auto, State::Closed) => Stance::Closed,
            (Manual::Auto, State::Open { .. }) => Stance::Open(self.breaker.openings()),
            (Manual::Auto, State::HalfOpen) => Stance::HalfOpen(self.breaker.openings()),
        }
    }

    /// Whether traffic is to flow.
    pub(super) fn is_admitted(&self, now: Timestamp) -> bool {
        self.barred.is_none() && self.is_reachable() && self.stance(now) == Stance::Closed
    }

    /// Whether there is a way to it: over HTTP always, over WebSocket by a live socket.
    pub(super) const fn is_reachable(&self) -> bool {
        match self.transport {
            Transport::Http => true,
            Transport::Ws => self.connected,
        }
    }

    /// Open for its failures, so that probes may end it.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.stance(now), Stance::Open(_))
    }

    /// What was told of its opening is about to end, and the opening is not.
    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        let left = self.breaker.deadline(now).map_or(Millis::ZERO, |until| until.since(now));
        self.is_open(now)
            && self.breaker.needs_probe()
            && left < TELL_HELD_AGAIN
            && now.since(self.told) >= TELL_HELD_AGAIN
    }

    /// Nothing but a probe's success is missing.
    pub(super) fn waits_for_probe(&self, now: Timestamp) -> bool {
        self.is_open(now) && self.breaker.needs_probe() && self.breaker.deadline(now).is_none()
    }

    pub(super) fn breaker_view(&self, now: Timestamp) -> BreakerView {
        match self.stance(now) {
            Stance::Closed => BreakerView::Closed,
            Stance::HalfOpen(_) => BreakerView::HalfOpen,
            Stance::OpenByHand => BreakerView::Open { left: None },
            Stance::Open(_) => {
                let left = self.breaker.deadline(now).map_or(Millis::ZERO, |until| until.since(now));
                BreakerView::Open { left: Some(left) }
            }
        }
    }

    pub(super) fn limited(&self, now: Timestamp) -> Option<Millis> {
        self.mark.until(now).map(|until| until.since(now))
    }

    /// An opening that waits for a probe is not over when the clock says so; should we fall silent, the worker goes by what it was told.
    fn told_breaker(&self, now: Timestamp) -> BreakerView {
        let view = self.breaker_view(now);
        if let BreakerView::Open { left: Some(left) } = view
            && self.breaker.needs_probe()
        {
            return BreakerView::Open { left: Some(left.max(HELD)) };
        }
        view
    }

    /// As workers are told.
    pub(super) fn view(&self, now: Timestamp) -> ChannelView {
        ChannelView {
            channel: self.id.clone(),
            breaker: self.told_breaker(now),
            opening: self.breaker.openings(),
            limited: self.limited(now),
            barred: self.barred,
            connected: self.connected,
        }
    }

    /// Keeps a lesson; true when it is news.
    pub(super) fn learn(&mut self, lesson: &Lesson, now: Timestamp) -> bool {
        let until = now.plus(lesson.left.min(LONGEST_LESSON));
        if let Some(known) = self.lessons.iter_mut().find(|known| same_thing(&known.limit, &lesson.limit)) {
            // Told by every worker in turn: the same with a slightly different end is nothing new.
            let old = known.until.since(now).0;
            let news = known.limit != lesson.limit || lesson.left.0 > old + old / 8 + 1_000;
            if news {
                *known = Taught { limit: lesson.limit.clone(), until: until.max(known.until) };
            }
            return news;
        }
        if self.lessons.len() >= MOST_LESSONS {
            let soonest =
                self.lessons.iter().enumerate().min_by_key(|(_, taught)| taught.until).map(|(place, _)| place);
            soonest.map(|place| self.lessons.swap_remove(place));
        }
        self.lessons.push(Taught { limit: lesson.limit.clone(), until });
        true
    }

    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.lessons.retain(|taught| now < taught.until);
        self.trials.retain(|(_, until)| now < *until);
    }

    /// Whether it turned out not to serve that class.
    pub(super) fn lacks(&self, class: MethodClass, now: Timestamp) -> bool {
        self.lessons.iter().any(|taught| taught.limit == Limit::Class(class) && now < taught.until)
    }
}

/// Whether one replaces the other.
fn same_thing(known: &Limit, new: &Limit) -> bool {
    match (known, new) {
        (Limit::Range(_), Limit::Range(_))
        | (Limit::StateAge(_), Limit::StateAge(_))
        | (Limit::Age(_), Limit::Age(_)) => true,
        (Limit::Class(known), Limit::Class(new)) => known == new,
        (Limit::Name(known), Limit::Name(new)) => known == new,
        (Limit::Tag(known), Limit::Tag(new)) => known == new,
        (
            Limit::Range(_) | Limit::StateAge(_) | Limit::Age(_) | Limit::Class(_) | Limit::Name(_) | Limit::Tag(_),
            _,
        ) => false,
    }
}
