//! How long to wait before the next dial.
//!
//! Duty: at once after a socket that was stable, then [`FIRST`], doubling to [`LONGEST`], with up to a quarter more by chance; longer where the provider
//! asked for it.
//! Invariant: no pause is longer than [`MOST_ASKED`], whatever a provider asks.

use std::time::Duration;

/// A socket that was up for so long was stable.
pub(super) const STABLE: Duration = Duration::from_secs(5);
/// The first pause that is one.
const FIRST: Duration = Duration::from_millis(250);
/// Without chance.
const LONGEST: Duration = Duration::from_secs(30);
/// What a provider can ask for.
const MOST_ASKED: Duration = Duration::from_secs(600);

/// The pauses of one socket.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Pauses since it was stable. A start counts as one: it was made at once.
    pauses: u32,
    chance: Chance,
}

/// How a socket's life ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    /// How long it was up; zero if it never was.
    pub(super) up: Duration,
    /// How long the provider asked us to stay away.
    pub(super) asked: Option<Duration>,
}

impl Backoff {
    pub(super) fn new(chance: Chance) -> Self {
        Self { pauses: 1, chance }
    }

    /// The pause before the next dial.
    pub(super) fn pause(&mut self, life: Life) -> Duration {
        if life.up >= STABLE {
            self.pauses = 0;
        }
        let pause = match self.pauses {
            0 => Duration::ZERO,
            // 2^7 quarters of a second are more than the longest pause.
            before => (FIRST * 2_u32.pow((before - 1).min(7))).min(LONGEST),
        };
        self.pauses = self.pauses.saturating_add(1);
        let pause = pause + self.chance.below(pause / 4);
        life.asked.map_or(pause, |asked| pause.max(asked.min(MOST_ASKED)))
    }
}

/// Random lengths of time.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// From the system's own. Without any, every socket has the same, which costs no more than evenness.
    pub(super) fn of_system() -> Self {
        Self(getrandom::u64().unwrap_or_default())
    }

    /// Evenly below a bound.
    pub(super) fn below(&mut self, bound: Duration) -> Duration {
        // xorshift, off zero: good enough to spread dials.
        let mut bits = self.0 | 1;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.0 = bits;
        // 2^16 steps.
        bound * u32::from((bits >> 48) as u16) / (1 << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSTABLE: Life = Life { up: Duration::from_secs(4), asked: None };
    const SOUND: Life = Life { up: Duration::from_secs(5), asked: None };

    fn backoff() -> Backoff {
        Backoff::new(Chance(7))
    }

    #[track_caller]
    fn check(pause: Duration, at_least: u64) {
        let least = Duration::from_millis(at_least);
        assert!(pause >= least && pause <= least * 5 / 4, "{pause:?} and not {least:?} with up to a quarter more");
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let mut backoff = backoff();
        for millis in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000] {
            check(backoff.pause(UNSTABLE), millis);
        }
    }

    #[test]
    fn after_a_stable_socket_the_first_dial_is_made_at_once() {
        let mut backoff = backoff();
        for _ in 0..5 {
            backoff.pause(UNSTABLE);
        }
        check(backoff.pause(SOUND), 0);
        check(backoff.pause(UNSTABLE), 250);
        check(backoff.pause(UNSTABLE), 500);
    }

    #[test]
    fn a_provider_can_ask_for_ten_minutes() {
        for (asked, least) in [(0, 250), (2, 2_000), (600, 600_000), (86_400, 600_000)] {
            let pause = backoff().pause(Life { up: Duration::ZERO, asked: Some(Duration::from_secs(asked)) });
            check(pause, least);
        }
    }

    #[test]
    fn chance_is_spread() {
        let mut chance = Chance::of_system();
        let bound = Duration::from_millis(500);
        let drawn: Vec<_> = (0..64).map(|_| chance.below(bound)).collect();
        assert!(drawn.iter().all(|length| *length < bound));
        assert!(drawn.iter().any(|length| *length < bound / 4) && drawn.iter().any(|length| *length > bound * 3 / 4));
    }
}
