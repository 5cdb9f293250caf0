//! Names of the table's rows.

/// A row of the table: a class of ends. The numbers are those of the published table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A result.
    Result,
    /// 0: the provider's own table.
    ProviderRule,
    /// 1: the contract said no.
    Revert,
    /// 2: the node has the transaction.
    AlreadyKnown,
    /// 3: the transaction's nonce.
    Nonce,
    /// 4: funds, fees, gas.
    Funds,
    /// 5: no transaction at all.
    MalformedTransaction,
    /// 6: range or result too large.
    RangeTooLarge,
    /// 7: too many addresses or topics.
    TooManyAddresses,
    /// 8: pruned, behind, or not archival.
    MissingData,
    /// 9: a block tag that the node does not know.
    TagUnsupported,
    /// 10: the whole account must pay.
    Billing,
    /// 11: a sequencer limits the sender.
    SenderLimit,
    /// 12: slow down.
    RateLimit,
    /// 13: our key.
    Auth,
    /// 14: method or module missing.
    MethodMissing,
    /// 14b: not for what we pay.
    NotInPlan,
    /// 15: the node ran out of time.
    NodeTimeout,
    /// 16: try again.
    Transient,
    /// 17: the provider reads the request in another way.
    Dialect,
    /// 18: invalid params, says the text.
    InvalidParamsText,
    /// 19: invalid params, says the code only.
    InvalidParamsCode,
    /// 20: invalid request, parse error.
    InvalidRequest,
    /// 21: internal error.
    Internal,
    /// 22: unknown, -32000 to -32099.
    UnknownServerError,
    /// 23: any other error.
    UnknownError,
    /// 24: a `null` that a node which is behind would say.
    NullResult,
    /// 30: not a JSON-RPC reply.
    NotJsonRpc,
    /// 31: HTTP 5xx without an error.
    HttpServerError,
    /// 32: other HTTP status without an error.
    HttpClientError,
    /// 33: no connection, reset.
    NotReached,
    /// 34: per-try timeout; blame is settled when the request ends.
    TimedOut,
    /// 35: client gone, race lost.
    Abandoned,
}

impl Row {
    /// Name in logs, stats and meta.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::ProviderRule => "provider_rule",
            Self::Revert => "revert",
            Self::AlreadyKnown => "already_known",
            Self::Nonce => "nonce",
            Self::Funds => "funds",
            Self::MalformedTransaction => "malformed_transaction",
            Self::RangeTooLarge => "range_too_large",
            Self::TooManyAddresses => "too_many_addresses",
            Self::MissingData => "missing_data",
            Self::TagUnsupported => "tag_unsupported",
            Self::Billing => "billing",
            Self::SenderLimit => "sender_limit",
            Self::RateLimit => "rate_limit",
            Self::Auth => "auth",
            Self::MethodMissing => "method_missing",
            Self::NotInPlan => "not_in_plan",
            Self::NodeTimeout => "node_timeout",
            Self::Transient => "transient",
            Self::Dialect => "dialect",
            Self::InvalidParamsText | Self::InvalidParamsCode => "invalid_params",
            Self::InvalidRequest => "invalid_request",
            Self::Internal => "internal",
            Self::UnknownServerError => "unknown_server_error",
            Self::UnknownError => "unknown_error",
            Self::NullResult => "null_result",
            Self::NotJsonRpc => "not_json_rpc",
            Self::HttpServerError => "http_5xx",
            Self::HttpClientError => "http_4xx",
            Self::NotReached => "not_reached",
            Self::TimedOut => "timed_out",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether only a node that works gives this answer.
    pub(super) const fn proves_work(self) -> bool {
        matches!(
            self,
            Self::Revert
                | Self::AlreadyKnown
                | Self::Nonce
                | Self::Funds
                | Self::MalformedTransaction
                | Self::NullResult
        )
    }
}
