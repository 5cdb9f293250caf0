//! Events in the order of their times; those of one instant in the order in which they were put in.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::Timestamp;

/// What is to happen.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Due<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Due<T> {
    when: Timestamp,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn put(&mut self, when: Timestamp, what: T) {
        self.count += 1;
        self.heap.push(Reverse(Due { when, number: self.count, what }));
    }

    /// The next, if it is due by then.
    pub(super) fn next(&mut self, by: Timestamp) -> Option<(Timestamp, T)> {
        if self.heap.peek()?.0.when > by {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| (due.when, due.what))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.when, self.number).cmp(&(other.when, other.number))
    }
}
