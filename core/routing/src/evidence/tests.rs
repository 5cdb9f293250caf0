//! Evidence: what is learned, how it fades, what it says.

use super::*;

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const fn ms(millis: u64) -> Micros {
    Millis(millis).as_micros()
}

const PRIOR: Prior = Prior { mean: 100_000.0, per_try: Millis(500) };

/// Evidence of that many answers of `millis` each, one in `apart`, and the time of the last.
fn answers(count: u64, millis: u64, apart: u64) -> (Evidence, Timestamp) {
    let mut evidence = Evidence::default();
    (1..=count).for_each(|step| evidence.succeeded(ms(millis), at(step * apart)));
    (evidence, at(count * apart))
}

#[track_caller]
fn near(found: f32, expected: f32) {
    assert!((found - expected).abs() <= expected.abs() * 0.01 + 1e-3, "{found} for {expected}");
}

#[test]
fn without_evidence_the_prior_stands_and_gets_half_off() {
    let standing = Evidence::default().standing(PRIOR, at(0));
    assert_eq!(standing, Standing { n: 0.0, p: 1.0, mean: 100_000.0, expected: 100_000.0, index: 50_000.0 });
}

#[test]
fn the_formulas_are_the_published_ones() {
    // n = 5, s = 3, f = 2, mean of the three answers 30 ms, all at one instant so that nothing fades.
    let mut evidence = Evidence::default();
    [20, 30, 40].into_iter().for_each(|latency| evidence.succeeded(ms(latency), at(1)));
    evidence.failed(at(1));
    evidence.failed(at(1));
    let standing = evidence.standing(PRIOR, at(1));
    near(standing.n, 5.0);
    near(standing.p, 6.0 / 8.0);
    let mean = (5.0 * 30_000.0 + 3.0 * 100_000.0) / 8.0;
    near(standing.mean, mean);
    let expected = mean + (0.25 / 0.75) * 500_000.0;
    near(standing.expected, expected);
    near(standing.index, expected * (1.0 - 0.5 / 6.0_f32.sqrt()));
}

#[test]
fn a_failure_costs_a_second_at_most() {
    let mut evidence = Evidence::default();
    evidence.failed(at(1));
    let cost = |per_try| evidence.standing(Prior { mean: 1_000.0, per_try }, at(1)).expected - 1_000.0;
    near(cost(Millis(500)), 500_000.0 / 3.0);
    near(cost(Millis(30_000)), 1_000_000.0 / 3.0);
}

#[test]
fn failures_before_the_first_answer_say_nothing_about_speed() {
    let mut evidence = Evidence::default();
    (0..5).for_each(|_| evidence.failed(at(1)));
    near(evidence.standing(PRIOR, at(1)).mean, 100_000.0);
    evidence.succeeded(ms(10), at(1));
    assert_eq!(evidence.mean(), Some(10_000.0));
}

#[test]
fn successes_halve_in_a_minute_and_failures_in_five_seconds() {
    let mut evidence = Evidence::default();
    (0..8).for_each(|_| evidence.succeeded(ms(10), at(0)));
    (0..8).for_each(|_| evidence.failed(at(0)));
    for (after, successes, failures) in [(0, 8.0, 8.0), (5_000, 7.55, 4.0), (60_000, 4.0, 8.0 / 4_096.0)] {
        let expected = (successes + 3.0) / (successes + failures + 3.0);
        near(evidence.standing(PRIOR, at(after)).p, expected);
    }
    near(evidence.weight(at(60_000)), 8.0);
    near(evidence.weight(at(180_000)), 2.0);
}

#[test]
fn the_weight_of_the_latency_is_capped() {
    let (evidence, now) = answers(1_000, 10, 1);
    near(evidence.weight(now), 64.0);
}

#[test]
fn the_mean_follows_a_slow_drift() {
    let mut evidence = Evidence::default();
    (0..300_u64).for_each(|step| evidence.succeeded(Micros(10_000 + step * 30), at(step * 10)));
    // An average over the last 64 lags behind by as many steps.
    near(evidence.mean().unwrap(), (10_000 + 300 * 30 - 64 * 30) as f32);
}

#[test]
fn five_slow_answers_running_replace_the_mean() {
    let (mut evidence, now) = answers(64, 10, 1);
    (0..4).for_each(|_| evidence.succeeded(ms(600), now));
    assert!(evidence.mean().unwrap() < 60_000.0);
    evidence.succeeded(ms(600), now);
    assert_eq!(evidence.mean(), Some(600_000.0));
    near(evidence.weight(now), 5.0);
}

#[test]
fn three_fast_answers_running_replace_the_mean() {
    let (mut evidence, now) = answers(64, 120, 1);
    (0..2).for_each(|_| evidence.succeeded(ms(5), now));
    assert!(evidence.mean().unwrap() > 100_000.0);
    evidence.succeeded(ms(5), now);
    assert_eq!(evidence.mean(), Some(5_000.0));
    near(evidence.weight(now), 3.0);
}

#[test]
fn an_ordinary_answer_ends_a_streak() {
    let (mut evidence, now) = answers(64, 10, 1);
    for _ in 0..5 {
        (0..4).for_each(|_| evidence.succeeded(ms(100), now));
        evidence.succeeded(ms(12), now);
    }
    near(evidence.weight(now), 64.0);
}

#[test]
fn a_channel_sixty_times_slower_loses_the_lead_within_five_answers() {
    let (mut leader, now) = answers(64, 5, 10);
    let (second, _) = answers(64, 20, 10);
    let prior = Prior { mean: 12_000.0, per_try: Millis(500) };
    let index = |evidence: &Evidence| evidence.standing(prior, now).index;
    assert!(index(&leader) < index(&second));
    (0..5).for_each(|_| leader.succeeded(ms(300), now));
    assert!(index(&leader) > 2.0 * index(&second));
}

#[test]
fn what_is_less_known_may_look_better() {
    let (known, now) = answers(64, 50, 1);
    let prior = Prior { mean: 90_000.0, per_try: Millis(500) };
    let unknown = Evidence::default().standing(prior, now);
    assert!(unknown.index < known.standing(prior, now).index && unknown.expected > known.standing(prior, now).expected);
}

#[test]
fn closing_a_breaker_forgets_failures() {
    let (mut evidence, now) = answers(10, 10, 1);
    (0..5).for_each(|_| evidence.failed(now));
    evidence.forget_failures();
    near(evidence.standing(PRIOR, now).p, 1.0);
    assert!(evidence.is_qualified(now));
}

#[test]
fn qualified_is_enough_fresh_and_good() {
    let (good, now) = answers(4, 10, 1);
    assert!(good.is_qualified(now));
    assert!(!answers(3, 10, 1).0.is_qualified(now), "too little");
    let (many, then) = answers(1_000, 10, 1);
    assert!(many.is_qualified(then.plus(Millis(200_000))));
    assert!(!many.is_qualified(then.plus(Millis(300_000))), "too old");
    let (mut failing, now) = answers(100, 10, 1);
    (0..2).for_each(|_| failing.failed(now));
    assert!(failing.is_qualified(now));
    failing.failed(now);
    assert!(!failing.is_qualified(now), "three failures in a row");
    let (mut bad, now) = answers(6, 10, 1);
    for _ in 0..6 {
        bad.failed(now);
        bad.succeeded(ms(10), now);
    }
    assert!(!bad.is_qualified(now), "one in three fails");
}

#[test]
fn percentiles_count_from_fifty_answers_on() {
    let (few, now) = answers(49, 10, 1);
    assert_eq!((few.p95(now), few.p99(now)), (None, None));
    let (enough, now) = answers(52, 10, 1);
    let p99 = enough.p99(now).unwrap();
    assert!((10_000..=11_250).contains(&p99.0), "{p99}");
    // And no longer when they have faded.
    assert_eq!(enough.p99(now.plus(Millis(60_000))), None);
}

#[test]
fn a_timeout_is_in_the_percentiles_at_its_own_length_and_in_nothing_else() {
    let (mut evidence, now) = answers(60, 10, 1);
    let before = evidence.standing(PRIOR, now);
    (0..2).for_each(|_| evidence.timed_out(ms(1_500), now));
    assert_eq!(evidence.standing(PRIOR, now), before);
    assert!(evidence.p99(now).unwrap() >= ms(1_500));
    assert!(evidence.p95(now).unwrap() < ms(12));
}

#[test]
fn a_class_mean_weighs_channels_by_what_is_known_of_them() {
    let (fast, now) = answers(30, 10, 1);
    let (slow, _) = answers(10, 50, 1);
    near(class_mean([&fast, &slow], now).unwrap(), 20_000.0);
    assert_eq!(class_mean([&Evidence::default()], now), None);
    assert_eq!(class_mean([], now), None);
}

#[test]
fn a_channels_speed_is_its_means_over_its_classes_means() {
    let (one, now) = answers(30, 20, 1);
    let (other, _) = answers(10, 30, 1);
    near(speed([(&one, 10_000.0), (&other, 30_000.0)], now), (30.0 * 2.0 + 10.0) / 40.0);
    near(speed([(&Evidence::default(), 10_000.0), (&one, 0.0)], now), 1.0);
}

#[test]
fn nothing_is_ever_infinite() {
    let mut evidence = Evidence::default();
    for step in 0..2_000_u64 {
        evidence.succeeded(Micros(if step % 7 == 0 { u64::MAX } else { 0 }), at(step * step * step));
        evidence.failed(at(u64::MAX));
        evidence.failed(at(0));
        for now in [0, step, u64::MAX] {
            let Standing { n, p, mean, expected, index } = evidence.standing(PRIOR, at(now));
            assert!([n, p, mean, expected, index].iter().all(|value| value.is_finite()));
            assert!(index > 0.0 && p > 0.0 && p <= 1.0);
        }
    }
}

#[test]
fn it_is_small() {
    assert!(size_of::<Evidence>() <= 64);
    assert!(size_of::<Histogram>() <= 384);
}
