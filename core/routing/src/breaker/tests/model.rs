//! The breaker against a model that keeps every event and recounts from the beginning each time.

use proptest::prelude::*;

use super::super::*;
use super::POLICY;

/// What happens in one step.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pass(u64),
    Begin {
        method: u16,
    },
    /// The attempt under way at this position (modulo) ends.
    End {
        position: usize,
        signal: Signal,
        company: Company,
    },
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Tripped { at: u64, until: u64, successes: u32 },
}

/// Everything that was recorded since it last became closed.
#[derive(Debug)]
struct Model {
    phase: Phase,
    ends: Vec<(Signal, Attempt, u64)>,
    opens: u32,
    closed_at: Option<u64>,
    /// When permits were taken and not given back.
    permits: Vec<u64>,
    last_permit: u64,
    /// When a last resort failed, and none has succeeded since.
    failed_last_resort: Option<u64>,
}

impl Model {
    fn state(&self, now: u64) -> &'static str {
        match self.phase {
            Phase::Closed => "closed",
            Phase::Tripped { until, .. } if now < until => "open",
            Phase::Tripped { .. } => "half-open",
        }
    }

    /// The failures of the current run, without those that are one with the first.
    fn run(&self) -> Vec<(Category, u16, u64)> {
        let success = self.ends.iter().rposition(|(signal, ..)| *signal == Signal::Success);
        let succeeded = success.map_or(self.closed_at.unwrap_or(0), |at| self.ends[at].2);
        let begin = success.map_or(0, |at| at + 1);
        let mut run = Vec::new();
        let mut began = None;
        for (signal, attempt, now) in &self.ends[begin..] {
            let Signal::Failure(category) = signal else {
                continue;
            };
            let started = attempt.started.as_millis();
            if began.is_some_and(|began| started < began) {
                continue;
            }
            let silence = if *category == Category::Timeout { started.max(succeeded) } else { *now };
            run.push((*category, attempt.method, *began.get_or_insert(silence)));
        }
        run
    }

    fn two_auth_methods(run: &[(Category, u16, u64)]) -> bool {
        let mut methods: Vec<u16> =
            run.iter().filter(|(category, ..)| *category == Category::Auth).map(|(_, method, _)| *method).collect();
        methods.sort_unstable();
        methods.dedup();
        methods.len() >= 2
    }

    /// Whether the last ten seconds are bad, and have had failures for half a second.
    fn ratio(&self, now: u64) -> bool {
        let mut counted: Vec<(u64, bool)> = Vec::new();
        let mut failing_since = None;
        for end in 0..self.ends.len() {
            let past = Self { ends: self.ends[..=end].to_vec(), ..Self::new() };
            let (signal, _, when) = self.ends[end];
            let failed = match signal {
                Signal::Ignore => continue,
                Signal::Success => false,
                Signal::Failure(Category::Auth) => Self::two_auth_methods(&past.run()),
                Signal::Failure(_) => true,
            };
            if failed && !counted.iter().any(|(at, failed)| *failed && at / 1_000 + 10 > when / 1_000) {
                failing_since = Some(when);
            }
            counted.push((when, failed));
        }
        counted.retain(|(at, _)| at / 1_000 + 10 > now / 1_000);
        let failures = counted.iter().filter(|(_, failed)| *failed).count();
        counted.len() >= 20 && failures * 2 >= counted.len() && failing_since.is_some_and(|since| now - since >= 500)
    }

    fn should_open(&self, last: Category, company: Company, now: u64) -> bool {
        let run = self.run();
        let count = |wanted: &[Category]| run.iter().filter(|(category, ..)| wanted.contains(category)).count();
        let lasted = run.first().is_some_and(|(.., first)| now - first >= 500);
        let silent = lasted && count(&[Category::Network, Category::Timeout]) >= 3;
        let others = last == Category::Billing
            || (lasted && count(&[Category::Network, Category::Timeout, Category::Server]) >= 5)
            || (lasted && count(&[Category::Auth]) >= 3 && Self::two_auth_methods(&run))
            || self.ratio(now);
        silent || (company == Company::Others && others)
    }

    /// The length before jitter, if it opens now.
    fn length(&mut self, because: Category, now: u64) -> u64 {
        if self.closed_at.is_some_and(|closed| now - closed >= 600_000) {
            self.opens = 0;
        }
        let doubling = 1_u64 << self.opens.min(30);
        self.opens += 1;
        self.closed_at = None;
        self.permits.clear();
        match because {
            Category::Network | Category::Timeout | Category::Server => (1_000 * doubling).min(60_000),
            Category::Auth => (10_000 * doubling).min(600_000),
            Category::Billing => 600_000,
        }
    }

    /// Records, and says how long it opens before jitter, if it does.
    fn record(&mut self, signal: Signal, attempt: Attempt, now: u64) -> Option<(u64, Category)> {
        match signal {
            Signal::Success if attempt.kind == Kind::LastResort => self.failed_last_resort = None,
            Signal::Failure(_) if attempt.kind == Kind::LastResort => self.failed_last_resort = Some(now),
            Signal::Success | Signal::Failure(_) | Signal::Ignore => {}
        }
        match self.phase {
            Phase::Closed if attempt.kind == Kind::LastResort && matches!(signal, Signal::Failure(_)) => None,
            Phase::Closed => {
                self.ends.push((signal, attempt, now));
                let Signal::Failure(category) = signal else {
                    return None;
                };
                let opens = self.should_open(category, attempt.company, now);
                opens.then(|| (self.length(category, now), category))
            }
            Phase::Tripped { at, .. } if attempt.kind == Kind::Ordinary || attempt.started.as_millis() < at => None,
            Phase::Tripped { at, until, successes } => match (signal, attempt.kind) {
                (Signal::Success, Kind::LastResort) => {
                    self.succeed(at, until.min(now), if now < until { 0 } else { successes }, now);
                    None
                }
                (Signal::Success, _) if now >= until => {
                    self.succeed(at, until, successes, now);
                    None
                }
                (Signal::Failure(category), Kind::Trial) if now >= until => {
                    Some((self.length(category, now), category))
                }
                _ => None,
            },
        }
    }

    fn succeed(&mut self, at: u64, until: u64, successes: u32, now: u64) {
        self.phase = Phase::Tripped { at, until, successes: successes + 1 };
        if successes + 1 >= 2 {
            *self = Self { opens: self.opens, closed_at: Some(now), ..Self::new() };
        }
    }

    fn may_try(&self, now: u64) -> bool {
        self.permits.is_empty() || now - self.last_permit >= 2_000
    }

    const fn new() -> Self {
        Self {
            phase: Phase::Closed,
            ends: Vec::new(),
            opens: 0,
            closed_at: None,
            permits: Vec::new(),
            last_permit: 0,
            failed_last_resort: None,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let category = prop_oneof![
        3 => Just(Category::Network),
        2 => Just(Category::Timeout),
        4 => Just(Category::Server),
        3 => Just(Category::Auth),
        1 => Just(Category::Billing),
    ];
    let signal = prop_oneof![
        3 => Just(Signal::Success),
        6 => category.prop_map(Signal::Failure),
        1 => Just(Signal::Ignore),
    ];
    let company = prop_oneof![5 => Just(Company::Others), 1 => Just(Company::Alone)];
    let end = (any::<usize>(), signal, company);
    prop_oneof![
        4 => (0_u64..300).prop_map(Step::Pass),
        1 => (300_u64..20_000).prop_map(Step::Pass),
        8 => (0_u16..3).prop_map(|method| Step::Begin { method }),
        8 => end.prop_map(|(position, signal, company)| Step::End { position, signal, company }),
    ]
}

fn begin(breaker: &mut Breaker, model: &mut Model, method: u16, now: u64) -> Option<Attempt> {
    let time = Timestamp::from_millis(now);
    let kind = match breaker.admit(time) {
        Admission::Admitted => Kind::Ordinary,
        Admission::Trial => {
            assert!(model.may_try(now));
            assert!(breaker.take_trial(time));
            if now - model.last_permit >= 2_000 {
                model.permits.clear();
            }
            model.permits.push(now);
            model.last_permit = now;
            Kind::Trial
        }
        Admission::Rejected { until } => {
            assert!(until > time);
            let rested = model.failed_last_resort.is_none_or(|failed| now - failed >= 250);
            assert_eq!(breaker.may_come_last(time), rested);
            // With a slot where nobody else is left, without one where all others have failed the call.
            if !rested && !breaker.take_last_resort(time) {
                return None;
            }
            Kind::LastResort
        }
    };
    Some(Attempt { started: time, method, kind, company: Company::Others })
}

fn follow(model: &mut Model, opened: Option<(u64, Category)>, transition: Option<Transition>, now: u64) {
    match (opened, transition) {
        (Some((length, category)), Some(Transition::Opened { until, because })) => {
            let found = until.as_millis() - now;
            assert!((length..=length + length / 20).contains(&found), "{found} for {length}");
            assert_eq!(because, category);
            model.phase = Phase::Tripped { at: now, until: until.as_millis(), successes: 0 };
        }
        (None, Some(Transition::HalfOpened | Transition::Closed) | None) => {}
        (opened, transition) => panic!("the model says {opened:?}, the breaker {transition:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..250), seed in any::<u64>()) {
        let mut breaker = Breaker::new(POLICY, seed);
        let mut model = Model::new();
        let mut under_way: Vec<Attempt> = Vec::new();
        let mut now = 10_000;
        for step in steps {
            match step {
                Step::Pass(millis) => now += millis,
                Step::Begin { method } => under_way.extend(begin(&mut breaker, &mut model, method, now)),
                Step::End { position, signal, company } => {
                    if under_way.is_empty() {
                        continue;
                    }
                    let attempt = Attempt { company, ..under_way.remove(position % under_way.len()) };
                    if attempt.kind == Kind::Trial {
                        breaker.return_trial();
                        model.permits.pop();
                    }
                    let before = model.state(now);
                    let opened = model.record(signal, attempt, now);
                    let transition = breaker.record(signal, &attempt, Timestamp::from_millis(now));
                    follow(&mut model, opened, transition, now);
                    let closed = before != "closed" && model.state(now) == "closed";
                    prop_assert_eq!(transition == Some(Transition::Closed), closed);
                }
            }
            prop_assert_eq!(breaker.state(Timestamp::from_millis(now)).name(), model.state(now));
        }
    }
}
