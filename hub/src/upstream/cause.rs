//! Why a socket is gone, or never was.
//!
//! Invariant: a cause is one of our words and at most a number. What a provider wrote, and where it is, may hold keys and is not in it.

use std::io;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    /// Its configuration does not make a request.
    #[error("bad address or headers")]
    Unusable,
    /// The name leads nowhere.
    #[error("no such host")]
    NoHost,
    #[error("refused")]
    Refused,
    /// The network: broken off, unreachable.
    #[error("reset")]
    Reset,
    /// No socket within the time for it.
    #[error("connect timeout")]
    ConnectTimeout,
    #[error("tls")]
    Tls,
    /// The upgrade was rejected.
    #[error("http {0}")]
    Http(u16),
    /// What came is no WebSocket, or too large a message.
    #[error("protocol error")]
    Protocol,
    #[error("closed {0}")]
    Closed(u16),
    /// Without a code.
    #[error("closed")]
    Ended,
    #[error("no pong")]
    NoPong,
    /// Nothing could be written for too long.
    #[error("does not read")]
    Stuck,
    /// Subscriptions and their ends are not answered.
    #[error("does not answer")]
    Deaf,
    /// No readable answer to `eth_chainId`.
    #[error("no chain id")]
    NoChainId,
    #[error("wrong chain id {0}")]
    WrongChain(u64),
}

impl Cause {
    /// Of an error of the socket.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Self::Ended,
            Error::Io(error) => Self::of_io(error),
            Error::Http(response) => Self::Http(response.status().as_u16()),
            Error::Url(_) | Error::HttpFormat(_) => Self::Unusable,
            Error::Tls(_) => Self::Tls,
            Error::Capacity(_)
            | Error::Protocol(_)
            | Error::WriteBufferFull(_)
            | Error::Utf8(_)
            | Error::AttackAttempt => Self::Protocol,
        }
    }

    /// Of an error below it.
    pub(super) fn of_io(error: &io::Error) -> Self {
        // rustls tells of a bad certificate, and of what else is not TLS, this way.
        if error.kind() == io::ErrorKind::InvalidData {
            return Self::Tls;
        }
        if error.kind() == io::ErrorKind::ConnectionRefused { Self::Refused } else { Self::Reset }
    }

    /// Of the provider's own word.
    pub(super) fn of_close(frame: Option<&CloseFrame>) -> Self {
        frame.map_or(Self::Ended, |frame| Self::Closed(frame.code.into()))
    }

    /// What those who used the socket are told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NoPong => "no pong",
            Self::Closed(_) | Self::Ended => "closed by the provider",
            Self::Stuck | Self::Deaf => "the provider does not read",
            Self::Protocol => "protocol error",
            Self::NoChainId | Self::WrongChain(_) => "wrong chain",
            Self::Unusable
            | Self::NoHost
            | Self::Refused
            | Self::Reset
            | Self::ConnectTimeout
            | Self::Tls
            | Self::Http(_) => "the socket broke",
        }
    }
}
