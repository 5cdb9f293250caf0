//! What outlives a restart, out and in again.
//!
//! Invariant: an opening whose deadline is still to come is an opening again, one whose deadline has passed is half-open; evidence is as
//! old as it really is. What the catalog no longer has is left out.

use lasso_jsonrpc::method::MethodClass;

use super::Fleet;
use super::account::Account;
use super::event::Manual;
use super::saved::{SavedCell, SavedChannel, SavedChannels, SavedEvidence, SavedManual};
use crate::breaker::{Breaker, Category, Kept};
use crate::evidence::Evidence;
use crate::mark::RateLimitMark;
use crate::table::{Barred, Summary};
use crate::time::{Millis, Timestamp};

const CATEGORIES: [Category; 5] =
    [Category::Network, Category::Timeout, Category::Server, Category::Auth, Category::Billing];

impl Fleet {
    /// Breakers, marks, bars and what people decided.
    #[must_use]
    pub fn saved_channels(&self, now: Timestamp) -> SavedChannels {
        SavedChannels { channels: self.accounts.iter().filter_map(|account| saved_channel(account, now)).collect() }
    }

    /// Evidence.
    #[must_use]
    pub fn saved_evidence(&self, now: Timestamp) -> SavedEvidence {
        let cells = self.cells.iter().filter(|cell| cell.has_evidence());
        let saved = cells.filter_map(|cell| {
            let book = self.books.get(cell.book)?;
            let channel = self.accounts.get(book.seats.get(cell.place)?.channel)?;
            let summary = cell.evidence.summary(now);
            Some(SavedCell {
                profile: book.profile.to_string(),
                chain: book.chain.to_string(),
                channel: channel.id.to_string(),
                class: cell.class.name().to_owned(),
                mean: summary.mean,
                weight: summary.weight,
                successes: summary.successes,
                failures: summary.failures,
                failures_in_a_row: summary.failures_in_a_row,
                age_ms: summary.age.0,
                latencies: cell.evidence.latencies(),
            })
        });
        SavedEvidence { cells: saved.collect() }
    }

    /// Takes up what was saved `ago`. To be called after [`Fleet::adopt`], before the first report.
    pub fn restore(&mut self, channels: &SavedChannels, evidence: &SavedEvidence, ago: Millis, now: Timestamp) {
        for saved in &channels.channels {
            let Some(&channel) = self.channels.get(saved.channel.as_str()) else { continue };
            let seed = self.chance.bits();
            if let Some(account) = self.accounts.get_mut(channel) {
                restore_channel(account, saved, seed, ago, now);
            }
            self.judge_health_of(channel, now);
        }
        for saved in &evidence.cells {
            self.restore_cell(saved, ago, now);
        }
        self.wait_for_probes(now);
        for account in &mut self.accounts {
            account.stance = account.stance(now);
        }
        self.tell_everything_again(now);
    }

    fn restore_cell(&mut self, saved: &SavedCell, ago: Millis, now: Timestamp) -> Option<()> {
        let class = MethodClass::named(&saved.class)?;
        let book = *self.chains.get(saved.profile.as_str())?.get(saved.chain.as_str())?;
        let channel = *self.channels.get(saved.channel.as_str())?;
        let place = self.books.get(book)?.place_of(channel)?;
        let cell = self.cell_at(book, place, class, now)?;
        let summary = Summary {
            mean: saved.mean,
            weight: saved.weight,
            successes: saved.successes,
            failures: saved.failures,
            failures_in_a_row: saved.failures_in_a_row,
            p95: None,
            p99: None,
            age: Millis(saved.age_ms.saturating_add(ago.0)),
        };
        self.cells.get_mut(cell)?.evidence = Evidence::restored(&summary, &saved.latencies, now);
        Some(())
    }
}

/// `None` for a channel that is as it starts.
fn saved_channel(account: &Account, now: Timestamp) -> Option<SavedChannel> {
    let Kept { open, because, opens } = account.breaker.kept(now);
    let limited = account.limited(now);
    let own_marks = account.mark.own_in_a_row();
    let plain = open.is_none()
        && opens == 0
        && limited.is_none()
        && own_marks == 0
        && account.manual == Manual::Auto
        && account.barred.is_none();
    (!plain).then(|| SavedChannel {
        channel: account.id.to_string(),
        open_ms: open.map(|left| left.0),
        because: because.map(|category| category.name().to_owned()),
        opens,
        manual: SavedManual::from(account.manual),
        limited_ms: limited.map(|left| left.0),
        own_marks,
        wrong_chain: account.barred == Some(Barred::WrongChain),
    })
}

fn restore_channel(account: &mut Account, saved: &SavedChannel, seed: u64, ago: Millis, now: Timestamp) {
    let because = saved.because.as_deref().and_then(|name| CATEGORIES.into_iter().find(|known| known.name() == name));
    let kept = Kept { open: saved.open_ms.map(Millis), because, opens: saved.opens };
    let policy = *account.breaker.policy();
    account.breaker = Breaker::restored(policy, seed, kept, ago, now).numbered_from(account.numbered_from);
    account.manual = Manual::from(saved.manual);
    let left = Millis(saved.limited_ms.unwrap_or(0).saturating_sub(ago.0));
    account.mark = RateLimitMark::restored(left, saved.own_marks, now);
    account.marked = account.limited(now).is_some();
    account.barred = saved.wrong_chain.then_some(Barred::WrongChain);
}
