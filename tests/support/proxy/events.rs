//! Events on their way to one client, and what befalls them there.
//!
//! Invariant: pure; the order among events that are not told to swap is kept.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::SocketFault;

/// The events of one socket.
#[derive(Debug, Default)]
pub(super) struct Events {
    seen: u64,
    /// Highest block that an event told of.
    head: u64,
    /// Not to be known yet, with their block.
    held: VecDeque<(u64, String)>,
    /// Waits for its neighbour to go first.
    stepped_aside: Option<String>,
    due: VecDeque<(Instant, String)>,
}

#[derive(Deserialize)]
struct Notified {
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    result: Told,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    #[serde(rename_all = "camelCase")]
    Log {
        block_number: String,
    },
    Head {
        number: String,
    },
    Other(serde::de::IgnoredAny),
}

/// The block that an event tells of, and whether it is a log.
fn told(event: &str) -> Option<(u64, bool)> {
    let (text, log) = match serde_json::from_str::<Notified>(event).ok()?.params.result {
        Told::Log { block_number } => (block_number, true),
        Told::Head { number } => (number, false),
        Told::Other(_) => return None,
    };
    Some((u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?, log))
}

/// What is done to events, picked out of all that is in force.
#[derive(Debug, Default)]
struct Orders {
    lose_all: bool,
    lose_logs: bool,
    lose_every: Option<u64>,
    twice: bool,
    swap: bool,
    late: Duration,
    garbage: Option<String>,
}

impl Orders {
    fn of(faults: &[SocketFault]) -> Self {
        let mut orders = Self::default();
        for fault in faults {
            match fault {
                SocketFault::Stall => orders.lose_all = true,
                SocketFault::LoseLogs => orders.lose_logs = true,
                SocketFault::LoseEvery(nth) => orders.lose_every = Some(*nth),
                SocketFault::Twice => orders.twice = true,
                SocketFault::Swap => orders.swap = true,
                SocketFault::LateMs(late) => orders.late = Duration::from_millis(*late),
                SocketFault::Garbage(text) => orders.garbage = Some(text.clone()),
                SocketFault::Refuse { .. } | SocketFault::Freeze | SocketFault::BreakAfter(_) => {}
            }
        }
        orders
    }
}

impl Events {
    /// Takes an event from the node.
    pub(super) fn take(&mut self, event: String, faults: &[SocketFault], behind: u64, now: Instant) {
        self.seen += 1;
        let orders = Orders::of(faults);
        let (block, log) = told(&event).unwrap_or((self.head, false));
        self.head = self.head.max(block);
        let nth = orders.lose_every.is_some_and(|nth| self.seen.is_multiple_of(nth));
        if orders.lose_all || nth || (orders.lose_logs && log) {
            return;
        }
        self.held.push_back((block, event));
        self.release(faults, behind, now);
    }

    /// Lets go what may be known by now.
    pub(super) fn release(&mut self, faults: &[SocketFault], behind: u64, now: Instant) {
        let orders = Orders::of(faults);
        while let Some((_, event)) = self.held.pop_front_if(|(block, _)| *block + behind <= self.head) {
            match self.stepped_aside.take() {
                None if orders.swap => self.stepped_aside = Some(event),
                Some(earlier) if orders.swap => self.put([event, earlier], &orders, now),
                earlier => self.put(earlier.into_iter().chain([event]), &orders, now),
            }
        }
    }

    fn put(&mut self, events: impl IntoIterator<Item = String>, orders: &Orders, now: Instant) {
        // Nobody overtakes who was told to be late before.
        let due = now + orders.late;
        let due = self.due.back().map_or(due, |(before, _)| due.max(*before));
        for event in events {
            self.due.extend(orders.garbage.clone().map(|text| (due, text)));
            self.due.extend(orders.twice.then(|| (due, event.clone())));
            self.due.push_back((due, event));
        }
    }

    /// When something is to be sent.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// What is to be sent now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<String> {
        self.due.pop_front_if(|(due, _)| *due <= now).map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Events;
    use crate::SocketFault;

    fn head(number: u64) -> String {
        format!(
            r#"{{"method":"eth_subscription","params":{{"subscription":"0x1","result":{{"number":"0x{number:x}"}}}}}}"#
        )
    }

    #[track_caller]
    fn check(faults: &[SocketFault], behind: u64, sent: &[u64]) {
        let (mut events, now) = (Events::default(), Instant::now());
        for number in 1..=6 {
            events.take(head(number), faults, behind, now);
        }
        let told: Vec<String> = std::iter::from_fn(|| events.pop(now)).collect();
        assert_eq!(told, sent.iter().copied().map(head).collect::<Vec<_>>());
    }

    #[test]
    fn events_fare_as_the_faults_say() {
        check(&[], 0, &[1, 2, 3, 4, 5, 6]);
        check(&[SocketFault::Stall], 0, &[]);
        check(&[SocketFault::LoseEvery(3)], 0, &[1, 2, 4, 5]);
        check(&[SocketFault::Twice], 0, &[1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
        check(&[SocketFault::Swap], 0, &[2, 1, 4, 3, 6, 5]);
        check(&[], 4, &[1, 2]);
        check(&[SocketFault::LateMs(1_000)], 0, &[]);
    }
}
