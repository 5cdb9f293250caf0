//! What happened to the requests of one chain of a profile, and how channels were chosen for them.
//!
//! Invariant: counts only ever grow between two reports; there is one set of them for each chain of the catalog, whatever the traffic.

/// Counts of one chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainTally {
    /// Profile.
    pub profile: Box<str>,
    /// Chain, by its id in the profile.
    pub chain: Box<str>,
    /// Its counts.
    pub counts: ChainCounts,
}

/// How often what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainCounts {
    /// By the index in [`Selection::ALL`].
    pub selections: [u32; Selection::COUNT],
    /// By the index in [`Stage::ALL`].
    pub requests: [u32; Stage::COUNT],
}

impl ChainCounts {
    /// Counts a selection.
    pub fn select(&mut self, selection: Selection) {
        add(&mut self.selections, selection as usize, 1);
    }

    /// Counts a request that has come so far.
    pub fn reach(&mut self, stage: Stage) {
        add(&mut self.requests, stage as usize, 1);
    }

    /// Adds others of the same chain.
    pub fn merge(&mut self, others: &Self) {
        for (index, &count) in others.selections.iter().enumerate() {
            add(&mut self.selections, index, count);
        }
        for (index, &count) in others.requests.iter().enumerate() {
            add(&mut self.requests, index, count);
        }
    }
}

fn add(counts: &mut [u32], index: usize, more: u32) {
    if let Some(count) = counts.get_mut(index) {
        *count = count.saturating_add(more);
    }
}

/// How channels were chosen. One plan may be several of these; it is either `Selected` or `FailFast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selection {
    /// There was somebody to ask: a plan was made.
    Selected,
    /// Nobody was: the request failed without an attempt.
    FailFast,
    /// Nobody fits, and the least bad were kept.
    Degraded,
    /// At least one channel was left out for its head.
    LagExcluded,
    /// Every breaker was open, and one was tried all the same.
    LastResort,
    /// A channel that nobody asked for a while went in front.
    Explored,
    /// A half-open channel went in front.
    Trial,
    /// An attempt followed another of the same request.
    Failover,
}

impl Selection {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, each at its own index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Selected,
        Self::FailFast,
        Self::Degraded,
        Self::LagExcluded,
        Self::LastResort,
        Self::Explored,
        Self::Trial,
        Self::Failover,
    ];

    /// Name in metrics and views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::FailFast => "fail_fast",
            Self::Degraded => "degraded",
            Self::LagExcluded => "lag_excluded",
            Self::LastResort => "last_resort",
            Self::Explored => "explored",
            Self::Trial => "trial",
            Self::Failover => "failover",
        }
    }
}

/// How far a request has come. Each is started once, and ends once in one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was read, and names this chain.
    Started,
    /// The client got an answer: a provider's, its errors included, or one that needs no provider.
    Answered,
    /// The client got an error of ours, because nobody answered. Of a batch: one of its items got an error.
    Failed,
    /// The client got an error of ours, because of what it asked.
    Refused,
    /// The client went away.
    Cancelled,
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// All of them, each at its own index.
    pub const ALL: [Self; Self::COUNT] = [Self::Started, Self::Answered, Self::Failed, Self::Refused, Self::Cancelled];

    /// Name in metrics and views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_index_and_name() {
        for (index, selection) in Selection::ALL.into_iter().enumerate() {
            assert_eq!(selection as usize, index, "{}", selection.name());
        }
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index, "{}", stage.name());
        }
    }

    #[test]
    fn counts_add_up_and_do_not_wrap() {
        let mut counts = ChainCounts::default();
        counts.select(Selection::Trial);
        counts.reach(Stage::Started);
        let many = ChainCounts { selections: [u32::MAX; Selection::COUNT], requests: [2; Stage::COUNT] };
        counts.merge(&many);
        assert_eq!(counts.selections, [u32::MAX; Selection::COUNT]);
        assert_eq!(counts.requests, [3, 2, 2, 2, 2]);
    }
}
