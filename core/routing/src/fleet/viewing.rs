//! All that a fleet shows, put together.
//!
//! Invariant: looks only; what costs (standings) is linear in the cells that have evidence.

use super::Fleet;
use super::account::Account;
use super::book::{Book, standing};
use super::cell::Cell;
use super::crowd::HeadsView;
use super::health::availability_of;
use super::leaderboard::{ranks, score};
use super::roster::{Node, NodeId, PROBER};
use super::view::{ChainView, ChannelStatus, NodeStatus, StandingRow, View};
use crate::catalog::Transport;
use crate::evidence::UNKNOWN_MEAN;
use crate::report::{Ending, Limit};
use crate::time::Timestamp;

impl Fleet {
    /// The fleet at one instant.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> View {
        View {
            generation: self.generation.clone(),
            chains: self.books.iter().map(|book| self.view_chain(book, now)).collect(),
            channels: self.view_channels(now),
            standings: self.view_standings(now),
            nodes: self.view_nodes(now),
            totals: self.totals,
        }
    }

    fn view_chain(&self, book: &Book, now: Timestamp) -> ChainView {
        let channels = book.seats.iter().map(|seat| seat.channel);
        let seen =
            self.heads_of_channels(usize::from(book.network), channels, book.block_time, book.max_lag_blocks, now);
        ChainView {
            profile: book.profile.clone(),
            chain: book.chain.clone(),
            chain_id: book.chain_id,
            strategy: book.strategy.name(),
            best_head: seen.best,
            block_time: seen.block_time,
            block_time_measured: self.heads.measured(book.network).is_some(),
            max_lag: seen.max_lag,
            selections: book.counts.selections,
            requests: book.counts.requests,
            members: book.seats.iter().map(|seat| (seat.channel, seat.provider.clone())).collect(),
        }
    }

    fn view_channels(&self, now: Timestamp) -> Vec<ChannelStatus> {
        let seen: Vec<HeadsView> =
            (0..self.networks.len()).map(|network| self.heads_of_network(network, now)).collect();
        let of = |account: &Account| seen.get(account.network?);
        self.accounts.iter().map(|account| self.view_channel(account, of(account), now)).collect()
    }

    fn view_channel(&self, account: &Account, seen: Option<&HeadsView>, now: Timestamp) -> ChannelStatus {
        let head = seen.map(|seen| self.head_of(account, seen.block_time, now)).unwrap_or_default();
        let best = seen.and_then(|seen| seen.best);
        let unproved = seen.is_some_and(|seen| seen.is_unproved(&head));
        let lag = head.number.zip(best).map(|(number, best)| (best as i64).saturating_sub(number as i64));
        let lags = seen.zip(lag).is_some_and(|(seen, lag)| lag > seen.max_lag as i64);
        ChannelStatus {
            channel: account.id.clone(),
            transport: account.transport,
            breaker: account.breaker_view(now),
            waits_for_probe: account.waits_for_probe(now),
            openings: account.breaker.openings().wrapping_sub(account.numbered_from),
            manual: account.manual,
            limited: account.limited(now),
            barred: account.barred,
            connected: (account.transport == Transport::Ws).then_some(account.connected),
            health: account.health,
            availability: availability_of(account, lags, now),
            head: head.number,
            head_age: self.heads.shown(account.index, now).map(|shown| shown.last),
            unproved,
            lag,
            in_flight: account.in_flight,
            endings: account.endings,
            limits: account
                .lessons
                .iter()
                .filter(|taught| now < taught.until)
                .map(|taught| text_of(&taught.limit))
                .collect(),
        }
    }

    fn view_standings(&self, now: Timestamp) -> Vec<StandingRow> {
        let mut rows = Vec::with_capacity(self.cells.len());
        for (chain, book) in self.books.iter().enumerate() {
            let means = book.class_means(&self.cells, now);
            let speeds = book.speeds(&self.cells, &means, now);
            for (_, board) in book.boards() {
                let cells = || board.cells.iter().flatten().filter_map(|&cell| self.cells.get(cell));
                let lately: f32 = cells().map(|cell| cell.share_weight(now)).sum();
                let from = rows.len();
                for cell in cells().filter(|cell| cell.endings.iter().any(|&count| count > 0) || cell.has_evidence()) {
                    let Some(seat) = book.seats.get(cell.place) else { continue };
                    let standing = standing(cell, &means, &speeds, now);
                    let share = if lately > 1e-6 { cell.share_weight(now) / lately } else { 0.0 };
                    rows.push(StandingRow {
                        chain,
                        channel: seat.channel,
                        provider: seat.provider.clone(),
                        expected: standing.expected,
                        index: standing.index,
                        share,
                        ..row_of(cell, now)
                    });
                }
                rank(rows.get_mut(from..).unwrap_or_default());
            }
        }
        rows
    }

    fn view_nodes(&self, now: Timestamp) -> Vec<NodeStatus> {
        let envoys = self.roster.nodes.iter().filter(|(id, _)| **id != PROBER);
        envoys.map(|(&id, node)| self.view_node(id, node, now)).collect()
    }

    fn view_node(&self, id: NodeId, node: &Node, now: Timestamp) -> NodeStatus {
        let workers = || self.roster.workers.values().filter(|worker| worker.node == id);
        let distinct = |names: &mut dyn Iterator<Item = &Box<str>>| {
            let mut distinct: Vec<Box<str>> = Vec::new();
            names.for_each(|name| {
                if !distinct.contains(name) {
                    distinct.push(name.clone());
                }
            });
            distinct
        };
        NodeStatus {
            node: node.name.clone(),
            region: node.region.clone(),
            streams: node.streams,
            active: workers().map(|worker| u32::from(worker.is_active(now))).sum(),
            generations: distinct(&mut workers().map(|worker| &worker.hello.generation)),
            versions: distinct(&mut workers().map(|worker| &worker.hello.version)),
            set_aside: node.set_aside,
            attempts: node.attempts,
            reports: node.reports,
            last_report: node.last_report.map(|last| now.since(last)),
            dropped: node.dropped,
        }
    }
}

/// What a cell says by itself.
fn row_of(cell: &Cell, now: Timestamp) -> StandingRow {
    let evidence = &cell.evidence;
    let (success, mean) = (evidence.success(now), evidence.mean());
    let calls = Ending::ALL.iter().zip(&cell.endings);
    let counted = calls.filter(|(ending, _)| **ending == Ending::Success || ending.is_blamed()).map(|(_, count)| count);
    StandingRow {
        chain: 0,
        channel: 0,
        provider: Box::default(),
        class: cell.class,
        weight: evidence.weight(now),
        success,
        mean,
        expected: UNKNOWN_MEAN,
        index: UNKNOWN_MEAN,
        p50: evidence.p50(now),
        p95: evidence.p95(now),
        p99: evidence.p99(now),
        unqualified: evidence.unqualified(now),
        endings: cell.endings,
        share: 0.0,
        rank: 0,
        score: score(success, mean, counted.sum()),
        age: now.since(evidence.updated().max(cell.asked)),
        latency_total: cell.latency_total,
        latencies: cell.latencies.all(),
    }
}

fn rank(rows: &mut [StandingRow]) {
    let scores: Vec<f32> = rows.iter().map(|row| row.score).collect();
    for (row, rank) in rows.iter_mut().zip(ranks(&scores)) {
        row.rank = rank;
    }
}

fn text_of(limit: &Limit) -> String {
    match limit {
        Limit::Range(blocks) => format!("at most {blocks} blocks at once"),
        Limit::StateAge(blocks) => format!("no state more than {blocks} blocks behind the head"),
        Limit::Age(blocks) => format!("nothing more than {blocks} blocks behind the head"),
        Limit::Class(class) => format!("not {}", class.name()),
        Limit::Name(name) => format!("not {name}"),
        Limit::Tag(tag) => format!("not the block tag {}", tag.name()),
    }
}
