//! Routing tables, to and from the wire.
//!
//! Invariant: numbers that are read are finite and not negative. A table that would be too long loses evidence, never a breaker: workers
//! have evidence of their own.

use lasso_routing::table::{Barred, BreakerView, Cell, ChannelView, Lease, Right, Summary, Table};
use lasso_routing::time::{Micros, Millis};
use prost::Message;

use super::names::{Reader, Writer};
use super::shared::{decode_head, decode_lesson, encode_head, encode_lesson};
use super::{MOST_BYTES, Read, wire};

/// Most items of one kind that are read; a message of [`MOST_BYTES`] has fewer that say something.
const MOST_ITEMS: usize = 1 << 17;
/// What the message around a table takes, at most.
const ENVELOPE: usize = 16;

/// A table for the wire, and how many cells it had no room for.
#[must_use]
pub fn encode_table(table: &Table) -> (wire::RoutingTable, usize) {
    let mut names = Writer::default();
    let channels = table.channels.iter().map(|view| encode_channel(view, &mut names)).collect();
    let heads = table.heads.iter().map(|head| encode_head(head, &mut names)).collect();
    let lessons = table.lessons.iter().map(|lesson| encode_lesson(lesson, &mut names)).collect();
    let leases = table.leases.iter().map(|lease| encode_lease(lease, &mut names)).collect();
    let cells = table.cells.iter().map(|cell| encode_cell(cell, &mut names)).collect();
    let block_times =
        table.block_times.iter().map(|&(chain_id, length)| wire::BlockTime { chain_id, length_ms: length.0 });
    let mut message = wire::RoutingTable {
        version: table.version,
        full: table.full,
        covers: table.covers,
        set_aside: table.set_aside,
        share: table.share,
        block_times: block_times.collect(),
        names: names.into_names(),
        cells,
        channels,
        heads,
        lessons,
        leases,
    };
    let left_out = shorten(&mut message);
    (message, left_out)
}

fn shorten(message: &mut wire::RoutingTable) -> usize {
    let all = message.cells.len();
    while !message.cells.is_empty() && message.encoded_len() > MOST_BYTES - ENVELOPE {
        let kept = message.cells.len() / 4 * 3;
        message.cells.truncate(kept);
    }
    all - message.cells.len()
}

/// A table, off the wire.
#[must_use]
pub fn decode_table(table: wire::RoutingTable) -> Read<Table> {
    let mut names = Reader::new(table.names);
    let message = Table {
        version: table.version,
        full: table.full,
        covers: table.covers,
        set_aside: table.set_aside,
        share: amount(table.share).min(1.0),
        cells: names.each(table.cells, MOST_ITEMS, decode_cell),
        channels: names.each(table.channels, MOST_ITEMS, decode_channel),
        heads: names.each(table.heads, MOST_ITEMS, decode_head),
        block_times: table.block_times.iter().map(|time| (time.chain_id, Millis(time.length_ms))).collect(),
        lessons: names.each(table.lessons, MOST_ITEMS, decode_lesson),
        leases: names.each(table.leases, MOST_ITEMS, decode_lease),
    };
    Read { message, skipped: names.skipped }
}

fn encode_cell<'a>(cell: &'a Cell, names: &mut Writer<'a>) -> wire::Cell {
    let Summary { mean, weight, successes, failures, failures_in_a_row, p95, p99, age } = cell.summary;
    wire::Cell {
        profile: names.place(&cell.profile),
        chain: names.place(&cell.chain),
        channel: names.place(&cell.channel),
        class: names.class(cell.class),
        mean_us: mean,
        weight,
        successes,
        failures,
        failures_in_a_row: failures_in_a_row.into(),
        p95_us: p95.map(|latency| latency.0),
        p99_us: p99.map(|latency| latency.0),
        age_ms: age.0,
    }
}

fn decode_cell(names: &mut Reader, cell: wire::Cell) -> Option<Cell> {
    let summary = Summary {
        mean: amount(cell.mean_us),
        weight: amount(cell.weight),
        successes: amount(cell.successes),
        failures: amount(cell.failures),
        failures_in_a_row: u8::try_from(cell.failures_in_a_row).unwrap_or(u8::MAX),
        p95: cell.p95_us.map(Micros),
        p99: cell.p99_us.map(Micros),
        age: Millis(cell.age_ms),
    };
    Some(Cell {
        profile: names.name(cell.profile)?,
        chain: names.name(cell.chain)?,
        channel: names.name(cell.channel)?,
        class: names.class(cell.class)?,
        summary,
    })
}

fn amount(number: f32) -> f32 {
    if number.is_finite() { number.max(0.0) } else { 0.0 }
}

fn encode_channel<'a>(view: &'a ChannelView, names: &mut Writer<'a>) -> wire::Channel {
    let (breaker, open_left_ms) = match view.breaker {
        BreakerView::Closed => (wire::BreakerState::Closed, None),
        BreakerView::Open { left } => (wire::BreakerState::Open, left.map(|left| left.0)),
        BreakerView::HalfOpen => (wire::BreakerState::HalfOpen, None),
    };
    let barred = match view.barred {
        None => wire::Barred::Unspecified,
        Some(Barred::WrongChain) => wire::Barred::WrongChain,
    };
    wire::Channel {
        channel: names.place(&view.channel),
        breaker: breaker.into(),
        open_left_ms,
        opening: view.opening,
        limited_ms: view.limited.map(|left| left.0),
        barred: barred.into(),
        connected: view.connected,
    }
}

fn decode_channel(names: &mut Reader, view: wire::Channel) -> Option<ChannelView> {
    let breaker = match wire::BreakerState::try_from(view.breaker).ok()? {
        wire::BreakerState::Closed => BreakerView::Closed,
        wire::BreakerState::Open => BreakerView::Open { left: view.open_left_ms.map(Millis) },
        wire::BreakerState::HalfOpen => BreakerView::HalfOpen,
    };
    let barred = match wire::Barred::try_from(view.barred).ok()? {
        wire::Barred::Unspecified => None,
        wire::Barred::WrongChain => Some(Barred::WrongChain),
    };
    let channel = names.name(view.channel)?;
    let (limited, connected) = (view.limited_ms.map(Millis), view.connected);
    Some(ChannelView { channel, breaker, opening: view.opening, limited, barred, connected })
}

fn encode_lease<'a>(lease: &'a Lease, names: &mut Writer<'a>) -> wire::Lease {
    use wire::lease::Right as Wire;
    let right = match &lease.right {
        Right::Trial { channel, opening } => {
            Wire::Trial(wire::Trial { channel: names.place(channel), opening: *opening })
        }
        Right::Explore { profile, chain, channel, class } => Wire::Explore(wire::Explore {
            profile: names.place(profile),
            chain: names.place(chain),
            channel: names.place(channel),
            class: names.class(*class),
        }),
    };
    wire::Lease { left_ms: lease.left.0, right: Some(right) }
}

fn decode_lease(names: &mut Reader, lease: wire::Lease) -> Option<Lease> {
    use wire::lease::Right as Wire;
    let right = match lease.right? {
        Wire::Trial(trial) => Right::Trial { channel: names.name(trial.channel)?, opening: trial.opening },
        Wire::Explore(explore) => Right::Explore {
            profile: names.name(explore.profile)?,
            chain: names.name(explore.chain)?,
            channel: names.name(explore.channel)?,
            class: names.class(explore.class)?,
        },
    };
    Some(Lease { left: Millis(lease.left_ms), right })
}
