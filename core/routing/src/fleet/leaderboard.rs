//! Who does best.
//!
//! Invariant: pure and total: whatever the figures, each row has a finite score and a rank, and of equal ones the first in the list leads.

/// `success x 1000/(1000 + mean_ms) x log10(max(calls, 10))`: how well, how fast, and how sure. 0 without an answer.
#[must_use]
pub fn score(success: f32, mean_us: Option<f32>, calls: u64) -> f32 {
    let Some(mean) = mean_us else { return 0.0 };
    let fast = 1_000.0 / (1_000.0 + mean.max(0.0) / 1_000.0);
    success.clamp(0.0, 1.0) * fast * (calls.max(10) as f32).log10()
}

/// The rank of each score, from 1.
pub(super) fn ranks(scores: &[f32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let score = |place: usize| scores.get(place).copied().unwrap_or(0.0);
    order.sort_by(|&one, &other| score(other).total_cmp(&score(one)));
    let mut ranks = vec![0; scores.len()];
    for (rank, place) in (1..).zip(order) {
        if let Some(slot) = ranks.get_mut(place) {
            *slot = rank;
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(success: f32, mean_ms: Option<f32>, calls: u64, expected: f32) {
        let found = score(success, mean_ms.map(|mean| mean * 1_000.0), calls);
        assert!((found - expected).abs() < 1e-3, "{found} for {expected}");
    }

    #[test]
    fn the_formula_is_the_published_one() {
        check(1.0, Some(0.0), 10, 1.0);
        check(1.0, Some(1_000.0), 10, 0.5);
        check(0.9, Some(250.0), 1_000, 0.9 * 0.8 * 3.0);
        check(0.5, Some(20.0), 1_000_000, 0.5 * (1_000.0 / 1_020.0) * 6.0);
    }

    #[test]
    fn few_calls_count_as_ten_and_no_answer_as_nothing() {
        check(1.0, Some(0.0), 0, 1.0);
        check(1.0, None, 1_000, 0.0);
    }

    #[test]
    fn the_best_score_ranks_first_and_equals_stay_in_order() {
        for (scores, expected) in [
            (vec![0.5, 0.9, 0.1], vec![2, 1, 3]),
            (vec![0.5, 0.5, 0.7], vec![2, 3, 1]),
            (vec![f32::NAN, 0.5], vec![1, 2]),
            (vec![], vec![]),
        ] {
            assert_eq!(ranks(&scores), expected, "{scores:?}");
        }
    }
}
