//! How many attempts a method may cost, and how long each.

use lasso_jsonrpc::method::{Method, Safety};

use crate::time::{Micros, Millis};

/// How many attempts a request may cost. An attempt that provably never left is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempts {
    /// Asking again changes nothing: three, five while every earlier one failed fast.
    Replay,
    /// The same, but one attempt costs so much that there are two; those that failed fast cost nothing.
    Heavy,
    /// Nobody knows what asking again would do.
    Once,
}

impl Attempts {
    /// An attempt that fails within this time cost the client next to nothing.
    pub const FAST: Millis = Millis(100);
    const MOST: u32 = 3;
    const MOST_FAST: u32 = 5;
    const MOST_HEAVY: u32 = 2;

    /// How often a method may be asked.
    #[must_use]
    pub fn of(method: &Method<'_>) -> Self {
        match method.safety() {
            Safety::Replay if method.heavy_tailed() => Self::Heavy,
            Safety::Replay => Self::Replay,
            Safety::Once | Safety::Broadcast | Safety::Filter => Self::Once,
        }
    }

    /// Whether another attempt may follow `made` that failed; `all_fast`: each of them within [`Self::FAST`].
    #[must_use]
    pub const fn may_continue(self, made: u32, all_fast: bool) -> bool {
        match self {
            Self::Replay => made < Self::MOST || (all_fast && made < Self::MOST_FAST),
            Self::Heavy => made < Self::MOST_HEAVY || (all_fast && made < Self::MOST_FAST),
            Self::Once => made < 1,
        }
    }

    /// Whether the request may be sent again although it was sent.
    #[must_use]
    pub const fn replayable(self) -> bool {
        match self {
            Self::Replay | Self::Heavy => true,
            Self::Once => false,
        }
    }

    /// How long one attempt may take, of a request with this deadline, when the slowest of the channels answers 99 of 100 within `p99`
    /// (`None`: not known).
    #[must_use]
    pub fn per_try(self, deadline: Millis, p99: Option<Micros>) -> Millis {
        const LEAST: Millis = Millis(500);
        let share = |percent: u64| Millis(deadline.0.saturating_mul(percent) / 100);
        match self {
            Self::Once => deadline,
            // Their latency says little about the next one, so it is never cut short by it.
            Self::Heavy => share(45),
            Self::Replay => {
                let cap = share(30);
                match p99 {
                    Some(p99) => Millis(p99.0.saturating_mul(3) / 1_000).max(LEAST).min(cap),
                    None => cap,
                }
            }
        }
    }

    /// How long the only channel that is admitted may take when last resorts stand behind it. These are most likely dead, so an answer that is
    /// only late is not given up for them: what is known to be slow is not cut, nor what says little about itself.
    #[must_use]
    pub fn per_try_before_last_resort(self, deadline: Millis, p99: Option<Micros>) -> Millis {
        match self {
            Self::Once | Self::Heavy => deadline,
            Self::Replay => {
                let least = Millis(deadline.0.saturating_mul(70) / 100);
                p99.map_or(least, |p99| Millis(p99.0.saturating_mul(3) / 1_000).clamp(least, deadline))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_gets_three_attempts_five_while_they_fail_fast() {
        let continues = |all_fast| (0..7).filter(|&made| Attempts::Replay.may_continue(made, all_fast)).count();
        assert_eq!((continues(false), continues(true)), (3, 5));
    }

    #[test]
    fn a_heavy_read_gets_two_unless_they_fail_fast_and_a_write_one() {
        assert!(Attempts::Heavy.may_continue(1, false) && !Attempts::Heavy.may_continue(2, false));
        assert!(Attempts::Heavy.may_continue(4, true) && !Attempts::Heavy.may_continue(5, true));
        assert!(Attempts::Once.may_continue(0, true) && !Attempts::Once.may_continue(1, true));
    }

    #[test]
    fn methods_are_asked_as_often_as_they_may_be() {
        for (name, attempts) in [
            ("eth_blockNumber", Attempts::Replay),
            ("eth_call", Attempts::Replay),
            ("eth_getLogs", Attempts::Heavy),
            ("debug_traceTransaction", Attempts::Heavy),
            ("eth_sendRawTransaction", Attempts::Once),
            ("eth_newFilter", Attempts::Once),
            ("eth_getFilterChanges", Attempts::Once),
            ("foo_bar", Attempts::Once),
        ] {
            assert_eq!(Attempts::of(&Method::of(name)), attempts, "{name}");
        }
    }

    #[test]
    fn one_attempt_gets_three_times_the_p99_between_half_a_second_and_its_share() {
        #[track_caller]
        fn check(attempts: Attempts, deadline: u64, p99_ms: Option<u64>, per_try: u64) {
            let p99 = p99_ms.map(|ms| Millis(ms).as_micros());
            assert_eq!(attempts.per_try(Millis(deadline), p99), Millis(per_try));
        }
        check(Attempts::Replay, 3_000, Some(20), 500);
        check(Attempts::Replay, 3_000, Some(200), 600);
        check(Attempts::Replay, 3_000, Some(5_000), 900);
        check(Attempts::Replay, 3_000, None, 900);
        // A share under half a second still leaves room for three.
        check(Attempts::Replay, 1_000, Some(20), 300);
        check(Attempts::Heavy, 5_000, Some(20), 2_250);
        check(Attempts::Once, 5_000, Some(20), 5_000);
    }

    #[test]
    fn before_a_last_resort_only_what_is_known_to_be_quick_is_cut_short() {
        #[track_caller]
        fn check(attempts: Attempts, p99_ms: Option<u64>, per_try: u64) {
            let p99 = p99_ms.map(|ms| Millis(ms).as_micros());
            assert_eq!(attempts.per_try_before_last_resort(Millis(5_000), p99), Millis(per_try));
        }
        check(Attempts::Replay, Some(20), 3_500);
        check(Attempts::Replay, None, 3_500);
        check(Attempts::Replay, Some(1_500), 4_500);
        check(Attempts::Replay, Some(4_000), 5_000);
        check(Attempts::Heavy, Some(20), 5_000);
        check(Attempts::Once, Some(20), 5_000);
    }
}
