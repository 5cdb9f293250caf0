//! Instants and lengths of time, with their units in their types.
//!
//! Duty: let time be an argument. Our own [`Timestamp`] instead of `Instant`, because what we learn crosses VMs and machines.
//! Invariant: arithmetic saturates; a clock that steps back makes lengths zero, never a panic.
//! Leaves to others: reading a clock (the shells).

use std::fmt;

/// An instant: milliseconds since an epoch that the caller chooses and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `millis` after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// The instant `earlier` before this one; the epoch when there is none.
    #[must_use]
    pub const fn before(self, earlier: Millis) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// The instant `later` from this one.
    #[must_use]
    pub const fn plus(self, later: Millis) -> Self {
        Self(self.0.saturating_add(later.0))
    }
}

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A length given in whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// The same length in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> Micros {
        Micros(self.0.saturating_mul(1_000))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A length of time in microseconds: latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// The same length in milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> Millis {
        Millis(self.0 / 1_000)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_gives_no_time() {
        let (early, late) = (Timestamp::from_millis(10), Timestamp::from_millis(25));
        assert_eq!(late.since(early), Millis(15));
        assert_eq!(early.since(late), Millis::ZERO);
    }

    #[test]
    fn sums_stop_at_the_end_of_time() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.plus(Millis(1)), end);
        assert_eq!(Millis(u64::MAX).as_micros(), Micros(u64::MAX));
        assert_eq!(Millis::from_secs(2), Millis(2_000));
    }

    #[test]
    fn units_convert_and_show() {
        assert_eq!(Micros(2_999).as_millis(), Millis(2));
        assert_eq!(format!("{} {}", Millis(5), Micros(7)), "5ms 7us");
    }
}
