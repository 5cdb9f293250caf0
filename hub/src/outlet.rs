//! What waits to be sent to one client.
//!
//! Duty: a queue that anybody may put something into without waiting, and one task takes from; and a way past it for events, the door: while the queue is
//! empty and the session has nothing to write, who tells an event writes it to the socket itself, and nobody is woken.
//! Invariant: bounded by [`MOST_WAITING`] messages and [`MOST_BYTES`]; what does not fit makes the client a slow one, for good: its socket is closed
//! (1013), nothing is left out.
//! Order: what is put in first is sent first. So a subscription is confirmed before its first event. The door is opened by the session alone, only when
//! nothing waits, and shut by it before it writes, and by whatever is put in. Nothing goes through it for a subscription that the session does not name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lasso_jsonrpc::RpcError;
use lasso_subscription::SubscriptionId;
use tokio::sync::{mpsc, watch};

use crate::frame::Telling;
use crate::stream::Writing;
use crate::tally::Tally;

/// Messages. A block may have many hundred logs and a fill many blocks, and they come at once: that the session had no turn to write them is not its
/// client's slowness.
pub(crate) const MOST_WAITING: usize = 8_192;
/// Of them together.
pub(crate) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Something for a client.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// Its request, by the id as it was written, made this subscription.
    Subscribed { request: Arc<str>, subscription: Arc<str> },
    /// Its request, by the id as it was written, made none.
    Refused { request: Arc<str>, error: RpcError },
    /// An event: `params.result`, as JSON.
    Event { subscription: Arc<str>, payload: Arc<str> },
    /// The socket took only a part of an event that went through the door; the rest lies there.
    Begun,
    /// A subscription lost its continuity. The client is told, then the socket is closed (1012).
    Ended { subscription: Arc<str>, because: Box<str> },
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Subscribed { .. } | Self::Refused { .. } | Self::Ended { .. } => 256,
            Self::Event { payload, .. } => payload.len() + 128,
            Self::Begun => 0,
        }
    }
}

/// Where things for one client are put. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
    slow: Arc<watch::Sender<bool>>,
    door: Arc<Mutex<Door>>,
    tally: Arc<Tally>,
}

/// Where they are taken from.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
    slow: watch::Receiver<bool>,
    door: Arc<Mutex<Door>>,
}

/// The way past the queue.
#[derive(Debug, Default)]
struct Door {
    /// The socket, while it is open.
    open: Option<Arc<Writing>>,
    /// Whose events may go through.
    known: Vec<SubscriptionId>,
    /// What the socket did not take of a frame that was begun.
    rest: Option<Bytes>,
}

impl Door {
    fn of(door: &Mutex<Self>) -> MutexGuard<'_, Self> {
        door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the socket takes of a frame at once. `None`: nothing of it, and it must wait.
    fn write<'a>(&self, subscription: SubscriptionId, frame: impl FnOnce() -> &'a [u8]) -> Option<Through<'a>> {
        let socket = self.open.as_ref().filter(|_| self.known.contains(&subscription))?;
        let frame = frame();
        // What is wrong with the socket the session finds for itself.
        match frame.get(socket.try_write(frame).ok().filter(|written| *written > 0)?..) {
            None | Some([]) => Some(Through::Whole),
            Some(rest) => Some(Through::Begun(rest)),
        }
    }
}

/// How far a frame went through the door.
enum Through<'a> {
    Whole,
    /// All but this.
    Begun(&'a [u8]),
}

/// Why nothing comes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The client does not read.
    Slow,
    /// Nobody can put anything in.
    Done,
}

/// A queue, and a door that is shut. What goes through it is counted.
pub(crate) fn outlet(tally: Arc<Tally>) -> (Outlet, Waiting) {
    let (queue, taken) = mpsc::channel(MOST_WAITING);
    let (slow, seen) = watch::channel(false);
    let bytes = Arc::new(AtomicUsize::new(0));
    let door = Arc::<Mutex<Door>>::default();
    let waiting = Waiting { queue: taken, bytes: Arc::clone(&bytes), slow: seen, door: Arc::clone(&door) };
    (Outlet { queue, bytes, slow: Arc::new(slow), door, tally }, waiting)
}

impl Outlet {
    /// Whether nobody takes anything any more. A wish can come later than the word that its client left.
    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }

    /// Puts something in. What does not fit is the client's end.
    pub(crate) fn put(&self, outgoing: Outgoing) {
        self.put_behind(&mut Door::of(&self.door), outgoing);
    }

    /// Tells a subscription an event: through the door, else as [`Outlet::put`] does.
    pub(crate) fn tell(&self, subscription: SubscriptionId, name: &Arc<str>, telling: &mut Telling) {
        let mut door = Door::of(&self.door);
        match door.write(subscription, || telling.named(name)) {
            Some(through) => {
                self.tally.say();
                self.tally.tell();
                if let Through::Begun(rest) = through {
                    door.rest = Some(Bytes::copy_from_slice(rest));
                    self.put_behind(&mut door, Outgoing::Begun);
                }
            }
            None => {
                let (subscription, payload) = (Arc::clone(name), Arc::clone(telling.payload()));
                self.put_behind(&mut door, Outgoing::Event { subscription, payload });
            }
        }
    }

    /// Shuts the door, and puts something in.
    fn put_behind(&self, door: &mut Door, outgoing: Outgoing) {
        door.open = None;
        let bytes = outgoing.bytes();
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is larger than all together is let in alone.
        let fits = waiting == 0 || waiting + bytes <= MOST_BYTES;
        if !fits || self.queue.try_send(outgoing).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.slow.send_replace(true);
        }
    }
}

impl Waiting {
    /// Opens the door to the socket for events of these, unless something waits.
    pub(crate) fn open(&self, socket: &Arc<Writing>, known: impl Iterator<Item = SubscriptionId>) {
        let mut door = Door::of(&self.door);
        // What made the client a slow one was left out: nothing may come after it.
        if self.queue.is_empty() && !*self.slow.borrow() {
            door.open = Some(Arc::clone(socket));
            door.known.clear();
            door.known.extend(known);
        }
    }

    /// Shuts the door. What is given back is to be written before anything else.
    pub(crate) fn shut(&self) -> Option<Bytes> {
        let mut door = Door::of(&self.door);
        door.open = None;
        door.rest.take()
    }

    /// The next one, if it is there.
    pub(crate) fn ready(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.try_recv().ok()?;
        self.bytes.fetch_sub(outgoing.bytes(), Ordering::Relaxed);
        Some(outgoing)
    }

    /// Waits until there is too much of it.
    pub(crate) async fn slow(&mut self) {
        if self.slow.wait_for(|slow| *slow).await.is_err() {
            // Nobody puts anything in any more.
            std::future::pending::<()>().await;
        }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Result<Outgoing, Over> {
        if *self.slow.borrow() {
            return Err(Over::Slow);
        }
        tokio::select! {
            biased;
            _ = self.slow.wait_for(|slow| *slow) => Err(Over::Slow),
            next = self.queue.recv() => match next {
                Some(outgoing) => {
                    self.bytes.fetch_sub(outgoing.bytes(), Ordering::Relaxed);
                    Ok(outgoing)
                }
                None => Err(Over::Done),
            },
        }
    }
}

impl Drop for Waiting {
    /// The session is over, and its socket with it.
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const ID: SubscriptionId = SubscriptionId(7);

    /// An outlet, a socket of ours, and its other end.
    async fn world() -> (Outlet, Waiting, Arc<Writing>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, half) = crate::stream::own(listener.accept().await.unwrap().0);
        let (outlet, waiting) = outlet(Arc::default());
        (outlet, waiting, Arc::new(half), client)
    }

    fn tell(outlet: &Outlet, subscription: SubscriptionId, payload: &str) {
        outlet.tell(subscription, &"0xa".into(), &mut Telling::new(payload.into()));
    }

    async fn heard(client: &mut TcpStream, payload: &str) {
        let expected = Telling::new(payload.into()).named("0xa").to_vec();
        let mut heard = vec![0; expected.len()];
        client.read_exact(&mut heard).await.unwrap();
        assert!(heard == expected, "{}", String::from_utf8_lossy(&heard));
    }

    #[track_caller]
    fn waits(waiting: &mut Waiting, expected: &str) {
        match waiting.ready() {
            Some(Outgoing::Event { payload, .. }) => assert_eq!(&*payload, expected),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_event_goes_through_an_open_door_and_waits_at_a_shut_one() {
        let (outlet, mut waiting, socket, mut client) = world().await;
        tell(&outlet, ID, "1");
        waiting.open(&socket, [ID].into_iter());
        tell(&outlet, ID, "2");
        waits(&mut waiting, "1");
        waits(&mut waiting, "2");

        waiting.open(&socket, [ID].into_iter());
        tell(&outlet, ID, "3");
        heard(&mut client, "3").await;
        assert!(waiting.shut().is_none());
        tell(&outlet, ID, "4");
        waits(&mut waiting, "4");
        assert!(waiting.ready().is_none());
    }

    #[tokio::test]
    async fn what_is_put_in_is_not_overtaken() {
        let (outlet, mut waiting, socket, _client) = world().await;
        waiting.open(&socket, [ID].into_iter());
        tell(&outlet, SubscriptionId(8), "not known");
        tell(&outlet, ID, "after it");
        waits(&mut waiting, "not known");
        waits(&mut waiting, "after it");
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_given_to_the_session() {
        let (outlet, mut waiting, socket, mut client) = world().await;
        waiting.open(&socket, [ID].into_iter());
        let long = "x".repeat(16 * 1024 * 1024);
        tell(&outlet, ID, &long);
        tell(&outlet, ID, "2");
        let rest = waiting.shut().unwrap();
        assert!(matches!(waiting.ready(), Some(Outgoing::Begun)));
        waits(&mut waiting, "2");
        let writer = async {
            let mut rest = &*rest;
            while !rest.is_empty() {
                socket.writable().await.unwrap();
                rest = &rest[socket.try_write(rest).unwrap_or_default()..];
            }
        };
        tokio::join!(writer, heard(&mut client, &long));
    }

    #[tokio::test]
    async fn the_door_stays_shut_for_a_slow_client() {
        let (outlet, mut waiting, socket, _client) = world().await;
        for _ in 0..=MOST_WAITING {
            tell(&outlet, ID, "1");
        }
        while waiting.ready().is_some() {}
        waiting.open(&socket, [ID].into_iter());
        tell(&outlet, ID, "2");
        waits(&mut waiting, "2");
        assert_eq!(waiting.next().await.unwrap_err(), Over::Slow);
    }

    #[tokio::test]
    async fn a_socket_does_not_outlive_its_session() {
        let (outlet, waiting, socket, mut client) = world().await;
        waiting.open(&socket, [ID].into_iter());
        drop((waiting, socket));
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop(outlet);
    }
}
