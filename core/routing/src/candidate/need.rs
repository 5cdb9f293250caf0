//! What a call needs of a channel, out of the blocks it names.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};

use crate::plan::Question;

/// What a call needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// It reads state, which nodes without an archive forget.
    pub(super) state: bool,
    /// The newest block it names by number.
    pub(super) newest: Option<u64>,
    /// How far behind the head the oldest block is.
    pub(super) age: Option<u64>,
    /// How many blocks it covers.
    pub(super) span: Option<u64>,
    /// It names an old block, or one of which nobody can say how old it is.
    depth: Depth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// It names no block, or one at the head.
    Shallow,
    /// So far behind the head.
    Known(u64),
    /// By hash, or the head is not known.
    Unknown,
}

impl Need {
    pub(super) fn of(question: &Question<'_>, best: Option<u64>) -> Self {
        let state = question.method.state_read();
        let (oldest, newest) = match question.blocks {
            Blocks::None => return Self { state, newest: None, age: None, span: None, depth: Depth::Shallow },
            Blocks::At(block) => (block, block),
            Blocks::Range { from, to } => (from, to),
        };
        let behind = |number: u64| best.map(|best| best.saturating_sub(number));
        let (age, depth) = match oldest {
            BlockRef::Tag(Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized) => (None, Depth::Shallow),
            BlockRef::Tag(Tag::Earliest) => (behind(0), behind(0).map_or(Depth::Unknown, Depth::Known)),
            BlockRef::Number(number) => (behind(*number), behind(*number).map_or(Depth::Unknown, Depth::Known)),
            BlockRef::Hash(_) => (None, Depth::Unknown),
        };
        let span = match question.blocks {
            Blocks::None | Blocks::At(_) => None,
            Blocks::Range { from, to } => span(from, to, best),
        };
        let newest = match newest {
            BlockRef::Number(number) => Some(*number),
            BlockRef::Tag(_) | BlockRef::Hash(_) => None,
        };
        Self { state, newest, age, span, depth }
    }

    /// Whether only an archive surely has it.
    pub(super) const fn archival(&self, after: u64) -> bool {
        match self.depth {
            Depth::Shallow => false,
            Depth::Known(age) => self.state && age > after,
            Depth::Unknown => self.state,
        }
    }
}

/// Blocks from one to the other, both counted; unknown when that takes a head which is not known.
fn span(from: &BlockRef, to: &BlockRef, best: Option<u64>) -> Option<u64> {
    if from == to {
        return Some(1);
    }
    let number = |block: &BlockRef| match block {
        BlockRef::Number(number) => Some(*number),
        BlockRef::Tag(Tag::Earliest) => Some(0),
        BlockRef::Tag(Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized) => best,
        BlockRef::Hash(_) => None,
    };
    number(to)?.checked_sub(number(from)?)?.checked_add(1)
}
