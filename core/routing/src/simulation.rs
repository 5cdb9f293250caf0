//! What `fastest` promises, with providers that are only numbers and a clock that only the test moves.
//!
//! Each provider answers after a log-normal time around its mean and fails with a probability of its own. Calls arrive as a Poisson
//! stream; answers come back when they are due, so choices are made on what was known at the time. Several workers and their control plane,
//! with messages under way between them, are in [`fleet`].

mod calls;
mod fleet;
mod mesh;
mod provider;
mod queue;
mod rules;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lasso_jsonrpc::method::Method;

use crate::chance::Chance;
use crate::fixture::{DONE, LATEST, World, failed};
use crate::ledger::{Begun, End};
use crate::outcome::Category;
use crate::time::{Micros, Timestamp};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A provider that is only numbers.
#[derive(Debug, Clone, Copy)]
struct Simulated {
    mean_ms: f64,
    failing: f64,
    /// How many calls it works on at once; more wait.
    at_once: usize,
}

const fn fast_as(mean_ms: f64) -> Simulated {
    Simulated { mean_ms, failing: 0.0, at_once: usize::MAX }
}

struct Simulation {
    world: World,
    providers: Vec<Simulated>,
    /// Ends of what each works on.
    busy: Vec<Vec<f64>>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    running: Vec<Option<(Begun, usize, u64)>>,
    chance: Chance,
    clock: f64,
    /// Whom each call asked first, and how long it took there.
    log: Vec<(usize, f64)>,
}

impl Simulation {
    fn of(providers: &[Simulated]) -> Self {
        let world = World::with(&NAMES[..providers.len()], |chain| chain.strategy = "fastest".into());
        let clock = world.now.as_millis() as f64;
        Self {
            world,
            providers: providers.to_vec(),
            busy: vec![Vec::new(); providers.len()],
            due: BinaryHeap::new(),
            running: Vec::new(),
            chance: Chance::new(42),
            clock,
            log: Vec::new(),
        }
    }

    /// So many calls, at this rate; whom they asked.
    fn run(&mut self, calls: usize, per_second: f64) -> &[(usize, f64)] {
        let from = self.log.len();
        for _ in 0..calls {
            self.clock -= self.chance.unit().ln() * 1_000.0 / per_second;
            self.answer_until(self.clock);
            self.ask();
        }
        &self.log[from..]
    }

    /// The share of the calls that asked each.
    fn shares(&mut self, calls: usize, per_second: f64) -> Vec<f64> {
        let mut hits = vec![0; self.providers.len()];
        self.run(calls, per_second).iter().for_each(|&(who, _)| hits[who] += 1);
        hits.into_iter().map(|hits| f64::from(hits) / calls as f64).collect()
    }

    fn answer_until(&mut self, clock: f64) {
        while let Some(&Reverse((when, call))) = self.due.peek()
            && (when as f64) <= clock * 1_000.0
        {
            self.due.pop();
            let Some((begun, who, micros)) = self.running[call].take() else { continue };
            let now = Timestamp::from_millis(when / 1_000);
            let verdict =
                if self.chance.unit() <= self.providers[who].failing { failed(Category::Server) } else { DONE };
            let method = Method::of("eth_call");
            self.world.now = now;
            let end = End { latency: Micros(micros), ..self.world.end(begun, &method, &LATEST, &verdict) };
            self.world.ledger.settle(&end);
        }
    }

    fn ask(&mut self) {
        self.world.now = Timestamp::from_millis(self.clock as u64);
        let Ok(plan) = self.world.plan("eth_call", LATEST) else { return };
        let begun = self.world.begin(&plan, 0);
        let who = NAMES.iter().position(|name| *name == self.world.provider(begun.channel)).unwrap();
        let took = self.time_at(who);
        let micros = (took * 1_000.0) as u64;
        self.due.push(Reverse(((self.clock * 1_000.0) as u64 + micros, self.running.len())));
        self.running.push(Some((begun, who, micros)));
        self.log.push((who, took));
    }

    /// Waiting and service, in milliseconds.
    fn time_at(&mut self, who: usize) -> f64 {
        const SIGMA: f64 = 0.3;
        let Simulated { mean_ms, at_once, .. } = self.providers[who];
        let (u, v) = (self.chance.unit(), self.chance.unit());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let service = mean_ms * (SIGMA * normal - SIGMA * SIGMA / 2.0).exp();
        let busy = &mut self.busy[who];
        busy.retain(|end| *end > self.clock);
        busy.sort_by(f64::total_cmp);
        let start = if busy.len() < at_once { self.clock } else { busy[busy.len() - at_once] };
        busy.push(start + service);
        start + service - self.clock
    }
}

#[test]
fn a_leader_that_turns_slow_is_left_within_25_calls() {
    let mut simulation = Simulation::of(&[5.0, 20.0, 30.0, 40.0].map(fast_as));
    assert!(simulation.shares(3_000, 30.0)[0] > 0.8);
    simulation.providers[0].mean_ms = 300.0;
    let log = simulation.run(300, 30.0);
    // Left: of the next ten calls at most one goes there.
    let left = log.windows(10).position(|ten| ten.iter().filter(|(who, _)| *who == 0).count() <= 1).unwrap();
    assert!(left <= 25, "left after {left} calls");
}

#[test]
fn a_healed_leader_leads_again_within_seconds() {
    let mut simulation = Simulation::of(&[5.0, 20.0, 30.0, 40.0].map(fast_as));
    simulation.run(3_000, 30.0);
    simulation.providers[0].failing = 1.0;
    simulation.run(300, 30.0);
    assert!(simulation.shares(100, 30.0)[0] < 0.05);
    simulation.providers[0].failing = 0.0;
    simulation.run(300, 30.0);
    assert!(simulation.shares(300, 30.0)[0] > 0.8, "{:?}", simulation.shares(300, 30.0));
}

#[test]
fn who_fails_three_times_in_ten_keeps_less_than_five_percent() {
    let mut simulation = Simulation::of(&[10.0, 12.0, 30.0, 40.0].map(fast_as));
    simulation.providers[0].failing = 0.3;
    simulation.run(500, 60.0);
    let share = simulation.shares(6_000, 60.0)[0];
    assert!(share < 0.05, "{share}");
}

#[test]
fn of_two_that_differ_by_half_the_faster_keeps_nine_in_ten() {
    for rate in [6.0, 60.0] {
        let mut simulation = Simulation::of(&[20.0, 30.0].map(fast_as));
        simulation.run(500, rate);
        let share = simulation.shares(5_000, rate)[0];
        assert!(share > 0.9, "{share} at {rate}/s");
    }
}

#[test]
fn a_swap_is_followed() {
    for (rate, seconds) in [(60.0, 2.0), (6.0, 9.0)] {
        let mut simulation = Simulation::of(&[5.0, 120.0].map(fast_as));
        simulation.run(2_000, rate);
        simulation.providers.reverse();
        simulation.run((rate * seconds) as usize, rate);
        let share = simulation.shares(200, rate)[1];
        assert!(share > 0.8, "{share} at {rate}/s");
    }
}

#[test]
fn four_equal_ones_share_evenly_at_half_of_their_joint_capacity() {
    let equal = Simulated { mean_ms: 20.0, failing: 0.0, at_once: 4 };
    let mut simulation = Simulation::of(&[equal; 4]);
    // 4 x 4 at once x 50 a second = 800 a second.
    simulation.run(2_000, 400.0);
    let shares = simulation.shares(20_000, 400.0);
    assert!(shares.iter().all(|share| (0.18..0.32).contains(share)), "{shares:?}");
    let log = &simulation.log[simulation.log.len() - 20_000..];
    let mean = log.iter().map(|(_, took)| took).sum::<f64>() / log.len() as f64;
    assert!(mean < 30.0, "mean {mean} ms: queues form where all follow one leader");
}

#[test]
fn a_dead_provider_is_left_when_its_run_has_lasted_half_a_second() {
    let mut simulation = Simulation::of(&[5.0, 20.0, 30.0, 40.0].map(fast_as));
    simulation.run(3_000, 100.0);
    simulation.providers[0] = Simulated { failing: 1.0, ..fast_as(2.0) };
    let lost = simulation.run(1_000, 100.0).iter().filter(|(who, _)| *who == 0).count();
    // 100 a second x 0.5 s, and a trial now and then.
    assert!(lost <= 60, "{lost} of 1,000 first attempts");
}

#[test]
fn a_leader_that_was_slow_for_long_leads_again_within_ten_seconds() {
    let mut simulation = Simulation::of(&[5.0, 40.0].map(fast_as));
    simulation.run(1_000, 60.0);
    simulation.providers[0].mean_ms = 300.0;
    simulation.run(600, 60.0);
    simulation.providers[0].mean_ms = 5.0;
    simulation.run(600, 60.0);
    let share = simulation.shares(200, 60.0)[0];
    assert!(share > 0.8, "{share}");
}

#[test]
fn who_did_well_for_long_is_left_as_soon_when_it_fails_three_times_in_ten() {
    let mut simulation = Simulation::of(&[5.0, 30.0].map(fast_as));
    simulation.run(10_000, 60.0);
    simulation.providers[0].failing = 0.3;
    simulation.run(300, 60.0);
    let share = simulation.shares(3_000, 60.0)[0];
    assert!(share < 0.05, "{share}");
}
