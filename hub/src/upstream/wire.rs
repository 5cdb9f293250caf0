//! One open socket: what is written, what comes, and whether it lives.
//!
//! Duty: write jobs in order, ping every [`BEAT`], hand over each message, end when the provider does, or does not live, or does not read.
//! Invariant: writing and reading do not wait for each other: a provider that reads only while we read cannot block us. [`Wire::next`] can be dropped and
//! called again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::cause::Cause;
use super::lane::{Job, MOST_PENDING};
use super::meter::{Meter, Metered};
use super::pulse::{BEAT, PATIENCE, Proof, Pulse};

/// A number that no job has.
pub(super) const OURS: u64 = 0;
/// What we ask ourselves: which chain is it, and, where pings are not answered, is anybody there.
const QUESTION: Utf8Bytes = Utf8Bytes::from_static(r#"{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}"#);
/// Pings and questions that wait while something large is written.
const MOST_WORDS: usize = 8;

type Socket = WebSocketStream<Metered>;
type Admit = Box<dyn Fn(&Job) -> bool + Send>;

/// An open socket.
pub(super) struct Wire {
    stream: SplitStream<Socket>,
    writer: Pin<Box<dyn Future<Output = Cause> + Send>>,
    words: mpsc::Sender<Message>,
    pulse: Pulse,
    meter: Meter,
    beat: Interval,
    /// Why nothing can be written any more. What came before that is still read.
    failed: Option<Cause>,
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    Text(Utf8Bytes),
    /// The answer to a ping.
    Pong,
}

impl Wire {
    /// A wire, and the queue of what it writes: what `admit` lets through when it is its turn.
    pub(super) fn new(
        (socket, meter): (Socket, Meter),
        proof: Proof,
        admit: impl Fn(&Job) -> bool + Send + 'static,
    ) -> (Self, mpsc::Sender<Job>) {
        let (sink, stream) = socket.split();
        let (words, spoken) = mpsc::channel(MOST_WORDS);
        let (jobs, queued) = mpsc::channel(MOST_PENDING);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let writer = Box::pin(write(sink, spoken, queued, Box::new(admit)));
        let pulse = Pulse::new(proof, Instant::now());
        (Self { stream, writer, words, pulse, meter, beat, failed: None }, jobs)
    }

    /// Asks for the chain's id. The answer comes as that to [`OURS`].
    pub(super) fn ask_chain_id(&self) {
        // Where there is no room the provider does not read, and that is noticed.
        let _ = self.words.try_send(Message::Text(QUESTION));
    }

    /// The next thing that comes.
    pub(super) async fn next(&mut self) -> Result<Heard, Cause> {
        loop {
            if let Some(cause) = self.failed {
                // A close that was already here is more telling than the write that failed upon it.
                let message = self.stream.next().now_or_never().ok_or(cause)?;
                match self.hear(message)? {
                    Some(heard) => return Ok(heard),
                    None => continue,
                }
            }
            let dead = self.pulse.dead_at(self.meter.heard());
            tokio::select! {
                biased;
                cause = &mut self.writer => self.failed = Some(cause),
                message = self.stream.next() => if let Some(heard) = self.hear(message)? {
                    return Ok(heard);
                },
                _ = self.beat.tick() => self.ping(),
                // Since then bytes may have come that are no message yet.
                () = sleep_until(dead) => if self.pulse.dead_at(self.meter.heard()) <= Instant::now() {
                    return Err(Cause::NoPong);
                }
            }
        }
    }

    /// Nobody asked for the next thing for a while; that is not the provider's fault.
    pub(super) fn resume(&mut self) {
        self.pulse.resume(Instant::now());
    }

    /// A ping's way there and back, smoothed.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.pulse.round_trip()
    }

    fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<Option<Heard>, Cause> {
        match message {
            None => Err(Cause::Ended),
            Some(Err(error)) => Err(Cause::of(&error)),
            Some(Ok(Message::Close(frame))) => Err(Cause::of_close(frame.as_ref())),
            Some(Ok(Message::Text(text))) => Ok(Some(Heard::Text(text))),
            // Some send their JSON so.
            Some(Ok(Message::Binary(bytes))) => {
                Utf8Bytes::try_from(bytes).map(|text| Some(Heard::Text(text))).map_err(|_| Cause::Protocol)
            }
            Some(Ok(Message::Pong(stamp))) => {
                self.pulse.pong(&stamp, Instant::now());
                Ok(Some(Heard::Pong))
            }
            // It is answered below; raw frames are not read.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => Ok(None),
        }
    }

    fn ping(&mut self) {
        let now = Instant::now();
        let stamp = Bytes::copy_from_slice(&self.pulse.stamp(now));
        let _ = self.words.try_send(Message::Ping(stamp));
        if self.pulse.never_ponged(now) {
            self.ask_chain_id();
        }
    }
}

/// Writes what there is, our own words first, until that fails.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut words: mpsc::Receiver<Message>,
    mut jobs: mpsc::Receiver<Job>,
    admit: Admit,
) -> Cause {
    loop {
        let message = tokio::select! {
            biased;
            Some(word) = words.recv() => word,
            Some(job) = jobs.recv() => {
                if !admit(&job) {
                    continue;
                }
                Message::Text(job.text)
            }
            else => return Cause::Ended,
        };
        match timeout(PATIENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Cause::of(&error),
            Err(_) => return Cause::Stuck,
        }
    }
}

#[cfg(test)]
mod tests;
