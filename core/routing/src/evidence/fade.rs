//! Half-lives without `exp`.

use crate::time::Millis;

/// What is left of 1 after `age`: 2^(-age / half_life), within 0.4 %. Zero after 100 half-lives.
pub(crate) fn halved(age: Millis, half_life: Millis) -> f32 {
    if age == Millis::ZERO {
        return 1.0;
    }
    let halvings = age.0 as f32 / half_life.0 as f32;
    if halvings >= 100.0 {
        return 0.0;
    }
    let whole = halvings as u32;
    let part = halvings - whole as f32;
    // 2^-x on [0, 1): the parabola through x = 0, 1/2 and 1.
    let fraction = 1.0 - part * (0.671_572_9 - 0.171_572_9 * part);
    fraction * f32::from_bits((127 - whole) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_each_half_life() {
        for (age, left) in [(0, 1.0), (1_000, 0.5), (2_000, 0.25), (10_000, 1.0 / 1_024.0), (100_000, 0.0)] {
            assert_eq!(halved(Millis(age), Millis(1_000)), left, "after {age}");
        }
    }

    #[test]
    fn between_half_lives_it_is_within_four_per_mille() {
        for age in 0..10_000_u64 {
            let exact = (-(age as f32) / 1_000.0).exp2();
            assert!((halved(Millis(age), Millis(1_000)) / exact - 1.0).abs() < 0.004, "after {age}");
        }
    }

    #[test]
    fn it_never_grows() {
        let all: Vec<_> = (0..5_000).map(|age| halved(Millis(age), Millis(700))).collect();
        assert!(all.windows(2).all(|pair| pair[1] <= pair[0]));
    }
}
