//! Reports, to and from the wire.
//!
//! Invariant: an attempt is not lost on the way: one of a class that is not known counts as `other`, one that ended in a way that is not
//! known counts as neutral.

use lasso_routing::breaker::Category;
use lasso_routing::evidence::BUCKETS;
use lasso_routing::report::{
    ChainCounts, ChainTally, ChannelTally, Decision, Dropped, Ending, MOST_DECISIONS, MOST_LESSONS, MOST_TALLIES,
    Report, RunTally, Stage, Sums, Tally, Trials,
};
use lasso_routing::time::{Micros, Millis};

use super::names::{Reader, Writer};
use super::shared::{decode_category, decode_head, decode_lesson, encode_category, encode_head, encode_lesson};
use super::{Read, wire};

/// A newer peer may have wider bounds than we; beyond these it costs too much.
const ROOM: usize = 4;
/// Most attempts of one decision.
const MOST_ATTEMPTS: usize = 64;

/// A report, for the wire.
#[must_use]
pub fn encode_report(report: &Report) -> wire::Report {
    let mut names = Writer::default();
    let tallies = report.tallies.iter().map(|tally| encode_tally(tally, &mut names)).collect();
    let channels = report.channels.iter().map(|channel| encode_channel(channel, &mut names)).collect();
    let chains = report.chains.iter().map(|chain| encode_chain(chain, &mut names)).collect();
    let heads = report.heads.iter().map(|head| encode_head(head, &mut names)).collect();
    let lessons = report.lessons.iter().map(|lesson| encode_lesson(lesson, &mut names)).collect();
    let decisions = report.decisions.iter().map(|decision| encode_decision(decision, &mut names)).collect();
    let Dropped { coarsened, decisions: unsampled, lessons: forgotten, lost } = report.dropped;
    let dropped = (report.dropped != Dropped::default()).then_some(wire::Dropped {
        coarsened,
        decisions: unsampled,
        lessons: forgotten,
        lost,
    });
    wire::Report {
        seq: report.seq,
        names: names.into_names(),
        tallies,
        channels,
        chains,
        heads,
        lessons,
        decisions,
        dropped,
    }
}

/// A report, off the wire.
#[must_use]
pub fn decode_report(report: wire::Report) -> Read<Report> {
    let mut names = Reader::new(report.names);
    let dropped = report.dropped.unwrap_or_default();
    let message = Report {
        seq: report.seq,
        tallies: names.each(report.tallies, ROOM * MOST_TALLIES, decode_tally),
        channels: names.each(report.channels, ROOM * MOST_TALLIES, decode_channel),
        chains: names.each(report.chains, ROOM * MOST_TALLIES, decode_chain),
        heads: names.each(report.heads, ROOM * MOST_TALLIES, decode_head),
        lessons: names.each(report.lessons, ROOM * MOST_LESSONS, decode_lesson),
        decisions: names.each(report.decisions, ROOM * MOST_DECISIONS, decode_decision),
        dropped: Dropped {
            coarsened: dropped.coarsened,
            decisions: dropped.decisions,
            lessons: dropped.lessons,
            lost: dropped.lost,
        },
    };
    Read { message, skipped: names.skipped }
}

fn encode_tally<'a>(tally: &'a Tally, names: &mut Writer<'a>) -> wire::Tally {
    let Sums { endings, trailing_failures, latency, fastest, slowest, latencies } = &tally.sums;
    wire::Tally {
        profile: names.place(&tally.profile),
        chain: names.place(&tally.chain),
        channel: names.place(&tally.channel),
        class: names.class(tally.class),
        endings: encode_counts(endings),
        trailing_failures: *trailing_failures,
        latency_sum_us: latency.0,
        fastest_us: fastest.0,
        slowest_us: slowest.0,
        buckets: latencies.iter().map(|&(bucket, _)| bucket).collect(),
        counts: latencies.iter().map(|&(_, count)| count).collect(),
    }
}

fn decode_tally(names: &mut Reader, tally: wire::Tally) -> Option<Tally> {
    let (profile, chain, channel) = (names.name(tally.profile)?, names.name(tally.chain)?, names.name(tally.channel)?);
    let sums = Sums {
        endings: decode_counts(&tally.endings, Some(Ending::Neutral as usize)),
        trailing_failures: tally.trailing_failures,
        latency: Micros(tally.latency_sum_us),
        fastest: Micros(tally.fastest_us),
        slowest: Micros(tally.slowest_us),
        latencies: latencies(names, &tally.buckets, &tally.counts),
    };
    Some(Tally { profile, chain, channel, class: names.class_or_other(tally.class), sums })
}

/// Without the zeros at the end.
fn encode_counts(counts: &[u32]) -> Vec<u32> {
    let length = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    counts.iter().copied().take(length).collect()
}

/// What is not known counts at the index `other`, or not at all.
fn decode_counts<const COUNT: usize>(counts: &[u32], other: Option<usize>) -> [u32; COUNT] {
    let mut known = [0_u32; COUNT];
    for (index, &count) in counts.iter().enumerate() {
        let index = if index < COUNT { Some(index) } else { other };
        if let Some(sum) = index.and_then(|index| known.get_mut(index)) {
            *sum = sum.saturating_add(count);
        }
    }
    known
}

fn encode_chain<'a>(tally: &'a ChainTally, names: &mut Writer<'a>) -> wire::ChainTally {
    let ChainCounts { selections, requests } = &tally.counts;
    wire::ChainTally {
        profile: names.place(&tally.profile),
        chain: names.place(&tally.chain),
        selections: encode_counts(selections),
        requests: encode_counts(requests),
    }
}

fn decode_chain(names: &mut Reader, tally: wire::ChainTally) -> Option<ChainTally> {
    let counts = ChainCounts {
        selections: decode_counts(&tally.selections, None),
        requests: decode_counts(&tally.requests, Some(Stage::Failed as usize)),
    };
    Some(ChainTally { profile: names.name(tally.profile)?, chain: names.name(tally.chain)?, counts })
}

/// Buckets that exist, in ascending order, each with a count.
fn latencies(names: &mut Reader, buckets: &[u8], counts: &[u32]) -> Vec<(u8, u32)> {
    let mut latencies: Vec<(u8, u32)> = Vec::with_capacity(buckets.len().min(BUCKETS));
    for (&bucket, &count) in buckets.iter().zip(counts) {
        let ascends = latencies.last().is_none_or(|&(last, _)| last < bucket);
        if ascends && usize::from(bucket) < BUCKETS && count > 0 {
            latencies.push((bucket, count));
        }
    }
    names.skip(buckets.len().max(counts.len()) - latencies.len());
    latencies
}

fn encode_channel<'a>(tally: &'a ChannelTally, names: &mut Writer<'a>) -> wire::ChannelTally {
    let Trials { opening, successes, failure } = tally.trials;
    let trials = (tally.trials != Trials::default()).then_some(wire::Trials {
        opening,
        successes,
        failure: encode_category(failure),
    });
    wire::ChannelTally {
        channel: names.place(&tally.channel),
        attempts: tally.attempts,
        failures: tally.failures,
        run: (tally.run != RunTally::default()).then(|| encode_run(&tally.run, names)),
        unbroken: tally.unbroken,
        trials,
        last_resort_successes: tally.last_resort_successes,
        in_flight: tally.in_flight,
        refusals: tally.refusals,
        told_to_wait_ms: tally.told_to_wait.map(|length| length.0),
        succeeded_ms: tally.succeeded.map(|age| age.0),
    }
}

fn decode_channel(names: &mut Reader, tally: wire::ChannelTally) -> Option<ChannelTally> {
    let trials = tally.trials.unwrap_or_default();
    Some(ChannelTally {
        channel: names.name(tally.channel)?,
        attempts: tally.attempts,
        failures: tally.failures,
        run: decode_run(names, &tally.run.unwrap_or_default()),
        unbroken: tally.unbroken,
        trials: Trials {
            opening: trials.opening,
            successes: trials.successes,
            failure: decode_category(trials.failure).or_else(|| blamed_anyhow(trials.failure)),
        },
        last_resort_successes: tally.last_resort_successes,
        in_flight: tally.in_flight,
        refusals: tally.refusals,
        told_to_wait: tally.told_to_wait_ms.map(Millis),
        succeeded: tally.succeeded_ms.map(Millis),
    })
}

/// A trial that failed in a way we do not know has failed all the same.
fn blamed_anyhow(category: i32) -> Option<Category> {
    (category != i32::from(wire::Category::Unspecified)).then_some(Category::Server)
}

fn encode_run<'a>(run: &RunTally, names: &mut Writer<'a>) -> wire::Run {
    wire::Run {
        silent: run.silent,
        server: run.server,
        auth: run.auth,
        auth_classes: run.auth_classes.iter().flatten().map(|&class| names.class(class)).collect(),
        billing: run.billing,
        last: encode_category(run.last),
        age_ms: run.age.0,
    }
}

fn decode_run(names: &mut Reader, run: &wire::Run) -> RunTally {
    let mut classes = run.auth_classes.iter().map(|&place| names.class_or_other(place));
    let auth_classes = [classes.next(), classes.next()];
    RunTally {
        silent: run.silent,
        server: run.server,
        auth: run.auth,
        auth_classes,
        billing: run.billing,
        last: decode_category(run.last),
        age: Millis(run.age_ms),
    }
}

fn encode_decision<'a>(decision: &'a Decision, names: &mut Writer<'a>) -> wire::Decision {
    let attempts = decision.attempts.iter().map(|(channel, row, took)| wire::Attempt {
        channel: names.place(channel),
        row: names.place(row),
        took_us: took.0,
    });
    wire::Decision {
        attempts: attempts.collect(),
        request_id: decision.request_id,
        profile: names.place(&decision.profile),
        chain: names.place(&decision.chain),
        class: names.class(decision.class),
        strategy: names.place(&decision.strategy),
        reason: names.place(&decision.reason),
        candidates: decision.candidates,
        answered: decision.answered,
        selection_us: decision.selection.0,
        total_us: decision.total.0,
    }
}

fn decode_decision(names: &mut Reader, decision: wire::Decision) -> Option<Decision> {
    let attempts = names.each(decision.attempts, MOST_ATTEMPTS, |names, attempt| {
        Some((names.name(attempt.channel)?, names.text(attempt.row), Micros(attempt.took_us)))
    });
    Some(Decision {
        request_id: decision.request_id,
        profile: names.name(decision.profile)?,
        chain: names.name(decision.chain)?,
        class: names.class_or_other(decision.class),
        strategy: names.text(decision.strategy),
        reason: names.text(decision.reason),
        candidates: decision.candidates,
        attempts,
        answered: decision.answered,
        selection: Micros(decision.selection_us),
        total: Micros(decision.total_us),
    })
}
