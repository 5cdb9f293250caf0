//! A fleet of workers and its control plane, through hours of faults.

use super::mesh::{Mesh, PROVIDERS};
use super::provider::Doing;
use super::rules::{FOUND_AGAIN, Rules};
use crate::chance::Chance;
use crate::time::Millis;

const MEANS_MS: [f64; PROVIDERS.len()] = [10.0, 30.0, 50.0, 80.0];
const WORKERS: usize = 3;

/// Random faults.
struct Faults {
    chance: Chance,
    /// When each ends, by provider.
    ends: [u64; PROVIDERS.len()],
    /// So many at a time; fewer than all are chosen such that one is spared that has done well for long enough to be known for it.
    most: usize,
}

impl Faults {
    /// A second of the run, the `second`th.
    fn step(&mut self, mesh: &mut Mesh, second: u64) {
        for place in 0..PROVIDERS.len() {
            if self.ends[place] == second {
                mesh.set(place, Doing::Well);
            }
        }
        let running = self.ends.iter().filter(|end| **end > second).count();
        let place = self.chance.below(PROVIDERS.len());
        let spared = |other: &usize| {
            let provider = mesh.providers[*other];
            *other != place && provider.doing == Doing::Well && mesh.now.since(provider.since) >= FOUND_AGAIN
        };
        let is_spared = self.most == PROVIDERS.len() || (0..PROVIDERS.len()).any(|other| spared(&other));
        let may_fail = running < self.most && self.ends[place] <= second && is_spared;
        // Where nobody is spared they fail most of the time.
        let one_in = if self.most == PROVIDERS.len() { 1 } else { 10 };
        if may_fail && self.chance.below(one_in) == 0 {
            let doing =
                [Doing::Dead, Doing::Silent, Doing::Failing(30), Doing::Failing(100), Doing::Slow(30), Doing::Limiting];
            mesh.set(place, doing[self.chance.below(doing.len())]);
            self.ends[place] = second + 1 + self.chance.below(30) as u64;
        }
        if self.chance.below(40) == 0 {
            mesh.reset(self.chance.below(WORKERS));
        }
        // A control plane that is gone for a while, now and then, and one that is killed and started again.
        if second % 600 == 150 {
            mesh.restart();
        }
        if second % 600 == 300 {
            mesh.cut_off = true;
            (0..WORKERS).for_each(|worker| mesh.reset(worker));
        }
        if second % 600 == 310 {
            mesh.cut_off = false;
        }
    }
}

fn hours_of_faults(strategy: &str, seconds: u64, most: usize, seed: u64) -> Mesh {
    let mut mesh = Mesh::of(WORKERS, MEANS_MS, strategy, seed);
    let mut faults = Faults { chance: Chance::new(seed ^ 0xfa17), ends: [0; PROVIDERS.len()], most };
    for second in 1..=seconds {
        // Uneven, so that streams break at any point of an exchange.
        mesh.run(Millis(900 + faults.chance.below(200) as u64));
        faults.step(&mut mesh, second);
    }
    (0..PROVIDERS.len()).filter(|place| faults.ends[*place] > seconds).for_each(|place| mesh.set(place, Doing::Well));
    mesh.cut_off = false;
    mesh
}

/// Everything has healed: who is fast is known, and is asked.
fn settle(mesh: &mut Mesh) {
    mesh.run(Millis(2 * FOUND_AGAIN.0));
    mesh.asked = [0; PROVIDERS.len()];
    mesh.run(Millis(60_000));
}

#[test]
fn through_an_hour_of_faults_nobody_asks_whom_he_knows_to_be_out() {
    let mesh = hours_of_faults("load-balanced", 3_600, 2, 11);
    let Rules { served, unserved, openings, trials, .. } = mesh.rules;
    assert!(served > 60_000 && openings > 50 && trials > 50, "{served} calls, {openings} openings, {trials} trials");
    assert_eq!(unserved, 0);
    let attempts: u64 = mesh.asked.iter().sum();
    assert!(
        attempts * 10 <= served * 12,
        "{attempts} attempts for {served} calls, {} last resorts",
        mesh.rules.last_resorts
    );
}

#[test]
fn when_everybody_may_fail_at_once_the_rules_hold_as_well() {
    let mesh = hours_of_faults("latency-weighted", 1_200, PROVIDERS.len(), 17);
    let Rules { unserved, last_resorts, .. } = mesh.rules;
    assert!(last_resorts > 20 && unserved > 0, "{last_resorts} last resorts, {unserved} calls without an answer");
}

#[test]
fn after_half_an_hour_of_faults_the_truth_is_found() {
    let mut mesh = hours_of_faults("fastest", 1_800, 2, 12);
    assert_eq!(mesh.rules.unserved, 0);
    settle(&mut mesh);
    let asked: u64 = mesh.asked.iter().sum();
    assert!(mesh.asked[0] * 100 > asked * 90, "the fastest leads: {:?}", mesh.asked);
    let (mean, truth) = (mesh.means()["a"], MEANS_MS[0] as f32 * 1_000.0);
    assert!((mean - truth).abs() < truth * 0.15, "{mean} for {truth}");
    let workers: Vec<f32> = (0..WORKERS).map(|worker| mesh.mean_here(worker, 0)).collect();
    assert!(workers.iter().all(|mean| (mean - truth).abs() < truth * 0.25), "{workers:?} for {truth}");
}

#[test]
fn every_attempt_is_counted_once_whatever_breaks() {
    let mut mesh = Mesh::of(WORKERS, MEANS_MS, "load-balanced", 5);
    let mut chance = Chance::new(5);
    mesh.set(1, Doing::Failing(30));
    for _ in 0..300 {
        mesh.run(Millis(1_000 + chance.below(100) as u64));
        mesh.reset(chance.below(WORKERS));
    }
    mesh.calls_per_second = 0.000_001;
    mesh.run(Millis(60_000));
    assert_eq!((mesh.in_flight(), mesh.has_unsent()), (0, false));
    let settled: u64 = mesh.workers.iter().map(|worker| worker.settled).sum();
    let totals = mesh.fleet.view(mesh.now).totals;
    assert_eq!((totals.attempts, totals.unknown), (settled, 0));
    assert!(totals.repeated > 0, "some reports were sent twice");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| hours_of_faults("fastest", 120, 2, seed).digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

#[test]
fn a_blip_that_hits_everybody_ends_when_they_are_back() {
    let mut mesh = Mesh::of(WORKERS, MEANS_MS, "load-balanced", 9);
    mesh.run(Millis(60_000));
    (0..PROVIDERS.len()).for_each(|place| mesh.set(place, Doing::Dead));
    mesh.run(Millis(4_000));
    (0..PROVIDERS.len()).for_each(|place| mesh.set(place, Doing::Well));
    mesh.run(Millis(1_000));
    let unserved = mesh.rules.unserved;
    mesh.run(Millis(10_000));
    assert_eq!(mesh.rules.unserved - unserved, 0, "everybody is back");
}

#[test]
fn who_has_healed_and_is_still_open_answers_when_all_others_die_at_once() {
    for seed in 0..8 {
        let mut mesh = Mesh::of(WORKERS, MEANS_MS, "fastest", seed);
        mesh.run(Millis(30_000));
        mesh.set(0, Doing::Dead);
        mesh.run(Millis(3_000));
        mesh.set(0, Doing::Well);
        (1..PROVIDERS.len()).for_each(|place| mesh.set(place, Doing::Dead));
        mesh.run(Millis(30_000));
        assert_eq!(mesh.rules.unserved, 0, "seed {seed}");
    }
}

#[test]
fn while_the_control_plane_is_gone_a_provider_that_heals_is_used_again() {
    let mut mesh = Mesh::of(WORKERS, MEANS_MS, "fastest", 13);
    mesh.run(Millis(30_000));
    mesh.set(0, Doing::Dead);
    mesh.run(Millis(5_000));
    mesh.cut_off = true;
    (0..WORKERS).for_each(|worker| mesh.reset(worker));
    mesh.run(Millis(5_000));
    mesh.set(0, Doing::Well);
    mesh.run(Millis(60_000));
    mesh.asked = [0; PROVIDERS.len()];
    mesh.run(Millis(10_000));
    let asked: u64 = mesh.asked.iter().sum();
    assert!(mesh.asked[0] * 100 > asked * 80, "{:?}", mesh.asked);
    assert_eq!(mesh.rules.unserved, 0);
}

#[test]
fn an_envoy_that_reaches_nobody_spoils_nothing_for_the_others_and_comes_back() {
    let mut mesh = Mesh::of(WORKERS, MEANS_MS, "load-balanced", 21);
    mesh.run(Millis(30_000));
    mesh.isolated = Some(1);
    mesh.run(Millis(60_000));
    assert_eq!(mesh.rules.openings, 0, "the fleet opened something");
    let lost = mesh.rules.unserved;
    assert!(lost > 0, "calls of the isolated one are lost");
    mesh.isolated = None;
    mesh.run(Millis(10_000));
    let unserved = mesh.rules.unserved;
    mesh.run(Millis(60_000));
    assert_eq!(mesh.rules.unserved - unserved, 0);
    assert!(mesh.fleet.view(mesh.now).nodes.iter().all(|node| !node.set_aside));
}
