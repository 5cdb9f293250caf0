//! Chance as an argument: a small generator over a seed that the caller brings.
//!
//! Invariant: the same seed gives the same numbers everywhere (splitmix64), so a decision can be replayed.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number under `bound`; 0 when `bound` is 0.
    pub(crate) const fn below(&mut self, bound: usize) -> usize {
        // Multiply and shift: no division, and no bias that a handful of channels could show.
        ((self.bits() as u128 * bound as u128) >> 64) as usize
    }

    /// A number in (0, 1]: never zero, so its logarithm is finite.
    pub(crate) fn unit(&mut self) -> f64 {
        (((self.bits() >> 11) + 1) as f64) / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_reach_every_value_evenly() {
        let mut chance = Chance::new(7);
        let mut hits = [0_u32; 5];
        (0..50_000).for_each(|_| hits[chance.below(5)] += 1);
        assert!(hits.iter().all(|&hit| (9_500..10_500).contains(&hit)), "{hits:?}");
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn unit_is_never_zero_and_averages_a_half() {
        let mut chance = Chance::new(11);
        let sum: f64 = (0..10_000)
            .map(|_| {
                let unit = chance.unit();
                assert!(unit > 0.0 && unit <= 1.0);
                unit
            })
            .sum();
        assert!((sum / 10_000.0 - 0.5).abs() < 0.02);
    }
}
