//! One socket of a channel, over all its lives.
//!
//! Duty: dial; ask which chain it is; serve calls or feeds; when it is gone, tell why and dial again when it is time.
//! Invariant: one dial at a time. Nobody uses a socket before its chain is known to be the right one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, Chance, Life};
use super::cause::Cause;
use super::channel::Channel;
use super::desk::Desk;
use super::dial::{Dialler, Failed};
use super::lane::{Answer, Lane};
use super::message::{self, Said};
use super::pulse::Proof;
use super::wire::{Heard, OURS, Wire};

/// Over which the first dials are spread, but for the first socket of each kind.
const START: Duration = Duration::from_millis(500);
/// For the answer to `eth_chainId`.
const CHAIN_ID: Duration = Duration::from_secs(5);
/// After a provider served another chain: that is a mistake in a configuration, and stays for a while.
const WRONG_CHAIN: Duration = Duration::from_secs(60);

/// What a socket is for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// Calls; it is the so-manieth.
    Calls {
        place: usize,
        lane: Arc<Lane>,
    },
    Feeds(Arc<Desk>),
}

/// Keeps a socket open, until it is dropped.
pub(super) async fn keep(channel: Arc<Channel>, purpose: Purpose, dialler: Arc<Dialler>) {
    let mut chance = Chance::of_system();
    if let Purpose::Calls { place: 1.., .. } = purpose {
        sleep(chance.below(START)).await;
    }
    let mut backoff = Backoff::new(chance);
    loop {
        let mut up = None;
        let failed = live(&channel, &purpose, &dialler, &mut up).await;
        channel.down(failed.cause);
        let up = up.map_or(Duration::ZERO, |since: Instant| since.elapsed());
        let asked = if let Cause::WrongChain(_) = failed.cause { Some(WRONG_CHAIN) } else { failed.asked };
        let told_to_wait = asked.is_some();
        tokio::select! {
            () = sleep(backoff.pause(Life { up, asked })) => {}
            () = channel.steady(), if !told_to_wait => {}
        }
    }
}

/// One life; why it ended. `up` is when it became of use.
async fn live(channel: &Arc<Channel>, purpose: &Purpose, dialler: &Dialler, up: &mut Option<Instant>) -> Failed {
    let socket = match dialler.dial(&channel.spec).await {
        Ok(socket) => socket,
        Err(failed) => return failed,
    };
    let ended = match purpose {
        Purpose::Calls { lane, .. } => {
            let admitting = Arc::clone(lane);
            let (mut wire, jobs) = Wire::new(socket, Proof::Anything, move |job| admitting.admit(job));
            match verify(channel, &mut wire).await {
                Ok(()) => {
                    *up = Some(Instant::now());
                    let _open = (lane.open(jobs), channel.calls_up());
                    calls(lane, &mut wire).await
                }
                Err(cause) => cause,
            }
        }
        Purpose::Feeds(desk) => {
            let (mut wire, jobs) = Wire::new(socket, Proof::Pongs, |_| true);
            match verify(channel, &mut wire).await {
                Ok(()) => {
                    *up = Some(Instant::now());
                    let _up = channel.feeds_up();
                    desk.serve(&mut wire, &jobs, |took| channel.round_trip(took)).await
                }
                Err(cause) => cause,
            }
        }
    };
    ended.into()
}

/// Asks which chain it is.
async fn verify(channel: &Channel, wire: &mut Wire) -> Result<(), Cause> {
    wire.ask_chain_id();
    let chain_id = timeout(CHAIN_ID, chain_id(wire)).await.unwrap_or(Err(Cause::NoChainId))?;
    channel.serves(chain_id);
    if chain_id == channel.spec.chain_id { Ok(()) } else { Err(Cause::WrongChain(chain_id)) }
}

async fn chain_id(wire: &mut Wire) -> Result<u64, Cause> {
    loop {
        let text = match wire.next().await? {
            Heard::Text(text) => text,
            Heard::Pong => continue,
        };
        if let Said::Answer { number: OURS, result, .. } = message::read(&text) {
            let quantity = result.and_then(|result| result.strip_prefix("\"0x")?.strip_suffix('"'));
            return quantity.and_then(|hex| u64::from_str_radix(hex, 16).ok()).ok_or(Cause::NoChainId);
        }
    }
}

/// Brings answers to their callers.
async fn calls(lane: &Lane, wire: &mut Wire) -> Cause {
    loop {
        match wire.next().await {
            Ok(Heard::Pong) => {}
            Ok(Heard::Text(text)) => {
                if let Said::Answer { number, place, .. } = message::read(&text) {
                    lane.answered(number, Answer { text, place });
                }
            }
            Err(cause) => return cause,
        }
    }
}
