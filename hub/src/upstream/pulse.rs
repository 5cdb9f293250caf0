//! Whether a socket is alive.
//!
//! Invariant: a provider that answers pings is dead [`PATIENCE`] after its last sign. Pongs are the only sign on a socket where they count and came before;
//! else anything that arrives is: some providers never send a pong.

use std::time::Duration;

use tokio::time::Instant;

/// Between pings.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// Without a sign of life.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What shows that the provider lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Pongs, once there were any: a socket that brings old events and no pongs is stuck somewhere.
    Pongs,
    /// Any byte: a pong may wait behind a large answer.
    Anything,
}

/// One socket's signs of life.
#[derive(Debug)]
pub(super) struct Pulse {
    proof: Proof,
    opened: Instant,
    ponged: Option<Instant>,
    /// When it was last not looked at: that time does not count.
    resumed: Instant,
    round_trip: Option<Duration>,
}

impl Pulse {
    pub(super) fn new(proof: Proof, now: Instant) -> Self {
        Self { proof, opened: now, ponged: None, resumed: now, round_trip: None }
    }

    /// What to send with a ping: when that is.
    pub(super) fn stamp(&self, now: Instant) -> [u8; 8] {
        micros(now - self.opened).to_be_bytes()
    }

    /// A pong came with this stamp.
    pub(super) fn pong(&mut self, stamp: &[u8], now: Instant) {
        self.ponged = Some(now);
        let Ok(stamp) = <[u8; 8]>::try_from(stamp) else { return };
        // One that lies gains nothing but a number that nobody decides upon alone.
        let Some(took) = micros(now - self.opened).checked_sub(u64::from_be_bytes(stamp)) else { return };
        let took = Duration::from_micros(took);
        self.round_trip = Some(self.round_trip.map_or(took, |smoothed| (smoothed * 7 + took) / 8));
    }

    /// The socket is looked at again, after a time in which it was not.
    pub(super) fn resume(&mut self, now: Instant) {
        self.resumed = now;
    }

    /// Whether no pong has come, though one was asked for.
    pub(super) fn never_ponged(&self, now: Instant) -> bool {
        self.ponged.is_none() && now - self.opened >= BEAT
    }

    /// When it is dead, if the last byte came then and nothing more comes.
    pub(super) fn dead_at(&self, heard: Instant) -> Instant {
        let sign = match (self.proof, self.ponged) {
            (Proof::Pongs, Some(ponged)) => ponged,
            (Proof::Pongs, None) | (Proof::Anything, _) => heard,
        };
        sign.max(self.resumed) + PATIENCE
    }

    /// A ping's way there and back, smoothed.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[track_caller]
    fn check(proof: Proof, pongs: &[u64], heard: u64, dead: u64) {
        let opened = Instant::now();
        let mut pulse = Pulse::new(proof, opened);
        for pong in pongs {
            let stamp = pulse.stamp(opened + at(*pong));
            pulse.pong(&stamp, opened + at(*pong));
        }
        assert_eq!(pulse.dead_at(opened + at(heard)) - opened, at(dead));
    }

    #[test]
    fn where_pongs_count_only_they_do_once_there_were_any() {
        check(Proof::Pongs, &[], 0, 5_000);
        check(Proof::Pongs, &[], 9_000, 14_000);
        check(Proof::Pongs, &[10], 9_000, 5_010);
        check(Proof::Pongs, &[10, 2_010], 2_010, 7_010);
    }

    #[test]
    fn else_any_byte_counts() {
        check(Proof::Anything, &[], 0, 5_000);
        check(Proof::Anything, &[10], 9_000, 14_000);
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let opened = Instant::now();
        let mut pulse = Pulse::new(Proof::Pongs, opened);
        pulse.pong(&pulse.stamp(opened), opened);
        pulse.resume(opened + at(60_000));
        assert_eq!(pulse.dead_at(opened) - opened, at(65_000));
    }

    #[test]
    fn the_round_trip_is_smoothed_and_a_lying_stamp_is_not_taken() {
        let opened = Instant::now();
        let mut pulse = Pulse::new(Proof::Pongs, opened);
        let stamp = pulse.stamp(opened + at(1_000));
        pulse.pong(&stamp, opened + at(1_008));
        assert_eq!(pulse.round_trip(), Some(at(8)));
        pulse.pong(&stamp, opened + at(1_016));
        assert_eq!(pulse.round_trip(), Some(at(9)));
        pulse.pong(&u64::MAX.to_be_bytes(), opened + at(1_020));
        pulse.pong(b"hello", opened + at(1_020));
        assert_eq!(pulse.round_trip(), Some(at(9)));
    }
}
