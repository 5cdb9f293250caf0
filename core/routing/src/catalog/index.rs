//! How the parts of a catalog are pointed at, and the ways in which a channel is spoken to.
//!
//! Invariant: only a catalog makes an index, so each one points at something of it.

/// A physical channel: provider x chain x transport, one Envoy cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelIdx(pub(super) u16);

/// A profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileIdx(pub(super) u16);

/// A chain *in a profile*: the same chain in two profiles has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainIdx(pub(super) u16);

impl ChannelIdx {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ProfileIdx {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ChainIdx {
    /// As an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a channel is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// JSON-RPC over HTTP POST.
    Http,
    /// JSON-RPC over WebSocket.
    Ws,
}

impl Transport {
    /// As clients write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ws => "ws",
        }
    }
}
