//! One scope: its machine, and the task that carries out what the machine wants.
//!
//! Duty: clock, sockets, questions and outlets for one [`Hub`]; and to tell what it notices.
//! Invariant: nobody but the task touches the machine. Members outlive it: after a panic the next machine starts empty, and those who listened to the one
//! before are told that they lost continuity.
//! Bounds: [`SIGNALS`] events of providers wait; a socket with more waits. Questions under way are bounded by the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lasso_routing::time::{Millis, Timestamp};
use lasso_subscription::{
    Action, ChannelId, Event, FetchFailure, FetchId, Hub, Key, Kind, Settings, Standing, SubscriptionId,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::Wanted;
use super::dispatch::{Means, Place, found};
use super::gateway::fetch;
use super::members::{Member, Members};
use crate::notice::FeedNotice;
use crate::outlet::Outgoing;
use crate::upstream::{BindingId, Happened, Signal};
use crate::{FeedRow, Notice};

/// Events of providers that wait.
const SIGNALS: usize = 4_096;
/// Bindings of one machine before its number would run into the next one's.
const BINDINGS: u64 = 1 << 40;
/// Among channels of equal priority, the nearer one; further than this is all the same.
const FURTHEST_MS: u64 = 99_999;
/// Codes, and words in lower case, by which providers say that they do not have a kind.
const UNSUPPORTED: [i64; 2] = [-32601, -32602];
const UNSUPPORTED_WORDS: [&str; 3] = ["not implemented", "not supported", "unsupported"];

/// What a scope is told.
pub(super) enum Word {
    Subscribe(Box<Wanted>),
    Leave(SubscriptionId),
    /// The configuration is another. Who is of a profile that does not stay is ended.
    Channels {
        channels: Vec<Channel>,
        settings: Settings,
        staying: Vec<Box<str>>,
    },
    View(oneshot::Sender<Vec<FeedRow>>),
}

/// A channel of the scope.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: Arc<str>,
    pub(super) priority: u32,
    /// What can be subscribed to, where the configuration says so.
    pub(super) kinds: Option<Vec<Kind>>,
}

/// How a question ended.
type Answer = (FetchId, Result<Vec<Arc<str>>, FetchFailure>);

/// The task of one scope, in one of its lives.
pub(super) struct Scope {
    means: Means,
    place: Place,
    members: Arc<Members>,
    known: Arc<Mutex<(Vec<Channel>, Settings)>>,
    hub: Hub,
    /// By [`ChannelId`]. A name that is gone keeps its place.
    channels: Vec<Arc<str>>,
    /// What the machine was told of them last.
    standings: Vec<Standing>,
    /// Requests that were not answered yet.
    requests: BTreeMap<SubscriptionId, Arc<str>>,
    /// The number of this life's first binding, before it.
    number: u64,
    bound: BTreeMap<u64, Arc<str>>,
    signals: mpsc::Sender<Signal>,
    happened: mpsc::Receiver<Signal>,
    questions: JoinSet<Answer>,
    started: Instant,
}

impl Scope {
    pub(super) fn new(
        means: Means,
        place: Place,
        known: Arc<Mutex<(Vec<Channel>, Settings)>>,
        members: Arc<Members>,
        number: u64,
    ) -> Self {
        let settings = known.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
        let (signals, happened) = mpsc::channel(SIGNALS);
        Self {
            means,
            place,
            members,
            known,
            hub: Hub::new(settings),
            channels: Vec::new(),
            standings: Vec::new(),
            requests: BTreeMap::new(),
            number: number.wrapping_mul(BINDINGS),
            bound: BTreeMap::new(),
            signals,
            happened,
            questions: JoinSet::new(),
            started: Instant::now(),
        }
    }

    /// Works until nobody can tell it anything any more.
    pub(super) async fn run(mut self, inbox: &mut mpsc::UnboundedReceiver<Word>) {
        // A life before this one may have panicked.
        self.members.leave_those(|_| true);
        let mut status = self.means.upstream.status();
        let mut fleet = self.means.standings.clone();
        self.stand();
        loop {
            let timeout = self.hub.poll_timeout();
            tokio::select! {
                word = inbox.recv() => match word {
                    Some(word) => self.hear(word),
                    None => break,
                },
                Some(signal) = self.happened.recv() => self.signal(signal),
                Some(Ok((fetch, answer))) = self.questions.join_next() => {
                    self.hub.handle_event(Event::Fetched { fetch, answer }, self.now());
                }
                Ok(()) = status.changed() => self.stand(),
                Ok(()) = fleet.changed() => self.stand(),
                () = until(self.started, timeout) => self.hub.handle_timeout(self.now()),
            }
            self.act().await;
        }
    }

    fn now(&self) -> Timestamp {
        // Not from zero: ages are told by differences, and an age may be older than the start.
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(since.saturating_add(EPOCH_MS))
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Subscribe(wanted) => self.subscribe(*wanted),
            Word::Leave(subscription) => {
                self.requests.remove(&subscription);
                self.members.all().remove(&subscription);
                self.hub.handle_event(Event::Unsubscribe { subscription }, self.now());
            }
            Word::Channels { channels, settings, staying } => {
                for subscription in self.members.leave_those(|profile| !staying.iter().any(|stays| **stays == *profile))
                {
                    self.requests.remove(&subscription);
                    self.hub.handle_event(Event::Unsubscribe { subscription }, self.now());
                }
                self.hub.handle_event(Event::Settings(settings.clone()), self.now());
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = (channels, settings);
                self.stand();
            }
            Word::View(reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.rows());
            }
        }
    }

    fn subscribe(&mut self, wanted: Wanted) {
        let key = match Key::parse(wanted.params.as_deref()) {
            Ok(key) => key,
            Err(error) => {
                wanted.outlet.put(Outgoing::Refused { request: wanted.request, error });
                return;
            }
        };
        let profile = wanted
            .catalog
            .profile(wanted.profile)
            .map_or_else(|| self.place.profile.to_string(), |profile| profile.id().to_owned());
        let member = Member { name: wanted.name, profile: profile.into(), outlet: wanted.outlet };
        self.members.all().insert(wanted.subscription, Arc::new(member));
        self.requests.insert(wanted.subscription, wanted.request);
        self.hub.handle_event(Event::Subscribe { subscription: wanted.subscription, key }, self.now());
    }

    fn signal(&mut self, signal: Signal) {
        let now = self.now();
        let Some(own) = signal.binding.0.checked_sub(self.number) else { return };
        let binding = lasso_subscription::BindingId(own);
        let event = match signal.happened {
            Happened::Accepted => Event::Accepted { binding },
            Happened::Refused { code, message } => {
                self.bound.remove(&signal.binding.0);
                let words = message.to_ascii_lowercase();
                let unsupported =
                    UNSUPPORTED.contains(&code) || UNSUPPORTED_WORDS.into_iter().any(|said| words.contains(said));
                Event::Refused { binding, error: lasso_jsonrpc::RpcError { code, message, data: None }, unsupported }
            }
            Happened::Arrived(payload) => Event::Arrived { binding, payload },
            Happened::Lost(because) => {
                let channel = self.bound.remove(&signal.binding.0);
                debug!(?channel, because, "a binding is lost");
                Event::Lost { binding }
            }
        };
        self.hub.handle_event(event, now);
    }

    /// Tells the machine how the channels are, if that changed.
    fn stand(&mut self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        let status = self.means.upstream.status().borrow().clone();
        let fleet = Arc::clone(&self.means.standings.borrow());
        let standing = |channel: &Channel| {
            let sockets = status.get(&channel.id).copied().unwrap_or_default();
            // A channel that the fleet does not know yet is as good as any.
            let seen = fleet.get(&channel.id).copied();
            let near = sockets
                .round_trip
                .map_or(FURTHEST_MS, |trip| u64::try_from(trip.as_millis()).unwrap_or(FURTHEST_MS).min(FURTHEST_MS));
            let rank = u64::from(channel.priority).saturating_mul(FURTHEST_MS + 1).saturating_add(near);
            Standing {
                channel: ChannelId(0),
                connected: sockets.feeds,
                usable: seen.is_none_or(|seen| seen.usable),
                head: seen.and_then(|seen| seen.head),
                rank: u32::try_from(rank).unwrap_or(u32::MAX),
                lacks: channel
                    .kinds
                    .as_ref()
                    .map_or_else(Vec::new, |has| Kind::ALL.into_iter().filter(|kind| !has.contains(kind)).collect()),
            }
        };
        let mut standings = Vec::with_capacity(known.len());
        for channel in &known {
            standings.push(Standing { channel: self.number_of(&channel.id), ..standing(channel) });
        }
        if standings != self.standings {
            self.standings.clone_from(&standings);
            self.hub.handle_event(Event::Channels(standings), self.now());
        }
    }

    /// Where what was missed is asked for: where the subscriptions' own calls would go.
    fn path(&self) -> Arc<str> {
        let Place { profile, chain, provider, exclude } = &self.place;
        let mut path = match provider {
            Some(provider) => format!("/rpc/profile/{profile}/provider/{provider}/{chain}"),
            None => format!("/rpc/profile/{profile}/{chain}"),
        };
        // A provider that is gone is excluded anyway, and its name would be refused.
        let site = self.means.site.borrow();
        let there = found(&site.catalog, &self.place).and_then(|(_, index)| site.catalog.chain(index));
        let known = |name: &&Arc<str>| there.is_some_and(|chain| chain.provider_named(name).is_some());
        let exclude: Vec<&str> = exclude.iter().filter(known).map(|name| &**name).collect();
        if !exclude.is_empty() {
            path.push_str("?exclude=");
            path.push_str(&exclude.join(","));
        }
        path.into()
    }

    fn number_of(&mut self, id: &Arc<str>) -> ChannelId {
        let place = self.channels.iter().position(|known| known == id).unwrap_or_else(|| {
            self.channels.push(Arc::clone(id));
            self.channels.len() - 1
        });
        ChannelId(u32::try_from(place).unwrap_or(u32::MAX))
    }

    fn name_of(&self, channel: ChannelId) -> Arc<str> {
        let place = usize::try_from(channel.0).unwrap_or(usize::MAX);
        self.channels.get(place).cloned().unwrap_or_else(|| Arc::from("?"))
    }

    async fn act(&mut self) {
        while let Some(action) = self.hub.poll_action() {
            match action {
                Action::Open { binding, channel, key } => {
                    let (binding, channel) = (self.number.wrapping_add(binding.0), self.name_of(channel));
                    self.bound.insert(binding, Arc::clone(&channel));
                    self.means.upstream.open(&channel, BindingId(binding), key.params().into(), self.signals.clone());
                }
                Action::Close { binding } => {
                    let binding = self.number.wrapping_add(binding.0);
                    if let Some(channel) = self.bound.remove(&binding) {
                        self.means.upstream.close(&channel, BindingId(binding));
                    }
                }
                Action::Fetch { fetch: number, ask } => {
                    let (gateway, path) = (Arc::clone(&self.means.gateway), self.path());
                    let most = self.means.site.borrow().limits.batch;
                    self.questions.spawn(async move { (number, fetch(gateway, path, ask, most).await) });
                }
                Action::Confirm { subscription } => {
                    let request = self.requests.remove(&subscription);
                    if let (Some(request), Some(member)) = (request, self.members.all().get(&subscription)) {
                        member.outlet.put(Outgoing::Subscribed { request, subscription: Arc::clone(&member.name) });
                    }
                }
                Action::Refuse { subscription, because } => {
                    let request = self.requests.remove(&subscription);
                    let member = self.members.all().remove(&subscription);
                    if let (Some(request), Some(member)) = (request, member) {
                        member.outlet.put(Outgoing::Refused { request, error: because.error() });
                    }
                }
                Action::Deliver { to, payload } => self.members.tell(to, payload).await,
                Action::End { subscriptions, because } => {
                    let because = because.to_string();
                    for subscription in subscriptions.iter() {
                        self.requests.remove(subscription);
                        if let Some(member) = self.members.all().remove(subscription) {
                            member.end(&because);
                        }
                    }
                }
                Action::Tell(notice) => self.tell(notice),
            }
        }
    }

    fn tell(&self, notice: lasso_subscription::Notice) {
        use lasso_subscription::Notice as Its;
        let told = match notice {
            Its::HeadSeen { channel, number } => {
                // Nobody may be listening.
                let _ = self.means.notices.send(Notice::Head { channel: self.name_of(channel), number });
                return;
            }
            Its::FeedUp { kind, channel } => FeedNotice::Up { kind, channel: self.name_of(channel) },
            Its::FeedDown { kind } => FeedNotice::Down { kind },
            Its::FeedLost { kind, channel, because } => {
                FeedNotice::Lost { kind, channel: self.name_of(channel), because }
            }
            Its::FailedOver { kind, from, to, because, took } => FeedNotice::FailedOver {
                kind,
                from: self.name_of(from),
                to: self.name_of(to),
                because,
                took_ms: took.0,
            },
            Its::Filled { kind, events, took } => FeedNotice::Filled { kind, events, took_ms: took.0 },
            Its::Reorg { number, depth } => FeedNotice::Reorg { number, depth },
            Its::ContinuityLost { kind, because, subscriptions } => {
                FeedNotice::ContinuityLost { kind, because, subscriptions }
            }
            Its::EventsMissed { channel, kind } => FeedNotice::EventsMissed { kind, channel: self.name_of(channel) },
            Its::KindRefused { channel, kind } => FeedNotice::KindRefused { kind, channel: self.name_of(channel) },
            Its::Malformed { channel, kind } => FeedNotice::Malformed { kind, channel: self.name_of(channel) },
        };
        let (profile, chain) = (Arc::clone(&self.place.profile), Arc::clone(&self.place.chain));
        let _ = self.means.notices.send(Notice::Feed { profile, chain, told });
    }

    fn rows(&self) -> Vec<FeedRow> {
        let now = self.now();
        let age = |at: Option<Timestamp>| at.map(|at| now.since(at)).map(|Millis(age)| age);
        let row = |feed: lasso_subscription::FeedView| FeedRow {
            profile: Arc::clone(&self.place.profile),
            chain: Arc::clone(&self.place.chain),
            provider: self.place.provider.clone(),
            kind: feed.key.kind().name(),
            params: feed.key.params(),
            state: feed.state,
            channel: feed.channel.map(|channel| self.name_of(channel)),
            subscribers: feed.subscribers,
            bound_for_ms: age(feed.since),
            last_event_age_ms: age(feed.last_event),
            head: feed.head,
            buffered: feed.buffered,
            fills: feed.fills,
            filled: feed.filled,
            failovers: feed.failovers,
            duplicates: feed.duplicates,
            ignored: feed.ignored,
            delivered: feed.delivered,
        };
        self.hub.view().into_iter().map(row).collect()
    }
}

impl Drop for Scope {
    /// However it ended: what it had opened is of no use to a life after it.
    fn drop(&mut self) {
        for (binding, channel) in std::mem::take(&mut self.bound) {
            self.means.upstream.close(&channel, BindingId(binding));
        }
    }
}

/// Where a machine's clock starts.
const EPOCH_MS: u64 = 1_000_000_000;

async fn until(started: Instant, at: Option<Timestamp>) {
    match at {
        Some(at) => {
            sleep_until(started + Duration::from_millis(at.as_millis().saturating_sub(EPOCH_MS))).await;
        }
        None => std::future::pending().await,
    }
}
