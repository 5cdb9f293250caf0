//! The table of upstream errors, as data. The first line that matches decides.
//!
//! Collected from how four gateways in production read providers' errors, with their known mistakes corrected. The numbers are those of
//! the published table. A row may stand here on several lines, and two stand not where their number says: a code or status that
//! providers give to several things waits until the texts of those have been looked for.
//! All conditions that a line gives must hold; a condition that is left out always does. Phrases are in lower case.

use super::line::{Line, Methods, Numbers, Phrase, RESPONSES, Remember, Shape, Then};
use super::{Blame, Category, Next, Row};
use crate::breaker::BILLING_OPEN;

use Phrase::{Data, Has, With, Without};

const SERVER: Blame = Blame::Counts(Category::Server);

const fn answer(row: Row) -> Then {
    Then { row, next: Next::Stop, blame: Blame::None, remember: Remember::Nothing }
}

const fn another(row: Row, remember: Remember) -> Then {
    Then { row, next: Next::Another, blame: Blame::None, remember }
}

const fn fault(row: Row, blame: Blame, remember: Remember) -> Then {
    Then { row, next: Next::Another, blame, remember }
}

pub(super) const REVERT: Then = answer(Row::Revert);
pub(super) const ALREADY_KNOWN: Then = answer(Row::AlreadyKnown);
const NONCE: Then = answer(Row::Nonce);
const FUNDS: Then = answer(Row::Funds);
const FUNDS_IN_A_REPLAY: Then = another(Row::Funds, Remember::Nothing);
const MALFORMED_TRANSACTION: Then = answer(Row::MalformedTransaction);
pub(super) const RANGE_TOO_LARGE: Then = another(Row::RangeTooLarge, Remember::Range);
pub(super) const TOO_MANY_ADDRESSES: Then = another(Row::TooManyAddresses, Remember::Addresses);
pub(super) const MISSING_STATE: Then = another(Row::MissingData, Remember::Depth);
pub(super) const BEHIND: Then = another(Row::MissingData, Remember::Behind);
pub(super) const TAG_UNSUPPORTED: Then = another(Row::TagUnsupported, Remember::Tag);
pub(super) const BILLING: Then = fault(Row::Billing, Blame::Opens(Category::Billing, BILLING_OPEN), Remember::Nothing);
const SENDER_LIMIT: Then = answer(Row::SenderLimit);
pub(super) const RATE_LIMIT: Then = another(Row::RateLimit, Remember::Rate);
pub(super) const AUTH: Then = fault(Row::Auth, Blame::Counts(Category::Auth), Remember::Nothing);
pub(super) const METHOD_MISSING: Then =
    Then { row: Row::MethodMissing, next: Next::AnotherProvider, blame: Blame::None, remember: Remember::Ban };
pub(super) const NOT_IN_PLAN: Then = another(Row::NotInPlan, Remember::Ban);
pub(super) const NODE_TIMEOUT: Then = fault(Row::NodeTimeout, Blame::Counts(Category::Timeout), Remember::Nothing);
pub(super) const TRANSIENT: Then = fault(Row::Transient, SERVER, Remember::Nothing);
pub(super) const DIALECT: Then = another(Row::Dialect, Remember::Nothing);
pub(super) const INVALID_PARAMS_TEXT: Then = answer(Row::InvalidParamsText);
const INVALID_PARAMS_CODE: Then = answer(Row::InvalidParamsCode);
const INVALID_REQUEST: Then = answer(Row::InvalidRequest);
const INTERNAL: Then = fault(Row::Internal, SERVER, Remember::Nothing);
const UNKNOWN_SERVER_ERROR: Then = another(Row::UnknownServerError, Remember::Sample);
const UNKNOWN_ERROR: Then =
    Then { row: Row::UnknownError, next: Next::Stop, blame: Blame::None, remember: Remember::Sample };
pub(super) const NOT_JSON_RPC: Then = fault(Row::NotJsonRpc, SERVER, Remember::Sample);
const HTTP_SERVER_ERROR: Then = fault(Row::HttpServerError, SERVER, Remember::Nothing);
const HTTP_CLIENT_ERROR: Then = fault(Row::HttpClientError, SERVER, Remember::Sample);
const NOT_REACHED: Then = fault(Row::NotReached, Blame::Counts(Category::Network), Remember::Nothing);
const TIMED_OUT: Then = fault(Row::TimedOut, Blame::Counts(Category::Timeout), Remember::Nothing);
const ABANDONED: Then =
    Then { row: Row::Abandoned, next: Next::Stop, blame: Blame::Ignored, remember: Remember::Nothing };

/// What no line matches: other 4xx without an error, and statuses that are no answer at all (1xx, 3xx).
pub(super) const ELSE: Then = HTTP_CLIENT_ERROR;

/// A line about JSON-RPC errors, without conditions.
const ERROR: Line = Line {
    shapes: &[Shape::Error],
    statuses: Numbers::Any,
    codes: Numbers::Any,
    phrases: &[],
    methods: Methods::Any,
    then: UNKNOWN_ERROR,
};
/// A line about anything with an HTTP status.
const RESPONSE: Line = Line { shapes: RESPONSES, ..ERROR };

/// Codes that nodes give to a transaction they refuse.
const REFUSED_TRANSACTION: Numbers = Numbers::In(&[-32_000, -32_003]);

/// Row 8, the node has forgotten (or never had) what was asked for.
const FORGOTTEN: &[Phrase] = &[
    Has("missing trie node"),
    With("height", &["not available"]),
    Has("state is not available"),
    Has("no state available"),
    With("historical state", &["not available", "unavailable"]),
    Has("state does not maintain archive data"),
    Has("required historical state unavailable"),
    Has("pruned"),
    Has("archive node required"),
    Has("requires archival"),
    Has("no historical rpc"),
    Has("trie does not"),
    Has("older than 128 blocks"),
    Has("genesis is not traceable"),
];

/// Row 8, the node may be behind.
const NOT_YET: &[Phrase] = &[
    Has("header not found"),
    Has("block not found"),
    Has("could not find block"),
    Without("unknown block", "unknown blockchain"),
    Has("block is out of range"),
    Has("greater than latest"),
    Has("after last accepted block"),
    Has("request beyond head block"),
    Has("cannot query unfinalized"),
    Has("not currently canonical"),
    Has("requested data is not available"),
    Has("fully indexed"),
    Has("transaction not found"),
];

const SOFT_TAGS: &[Phrase] = &[
    With("pending", NOT_THERE),
    With("safe", NOT_THERE),
    With("finalized", NOT_THERE),
    Has("not a supported commitment"),
];
const NOT_THERE: &[&str] = &["not available", "not found", "not supported"];

const MISSING: &[&str] =
    &["not found", "does not exist", "not available", "disabled", "not supported", "not whitelisted"];

/// The table.
pub(super) const TABLE: &[Line] = &[
    // 1. Whatever else a revert's text says, the contract said it.
    Line {
        phrases: &[
            Has("reverted"),
            Has("vm execution error"),
            Has("vm exception"),
            Has("evm error"),
            Has("transaction: revert"),
            Has("intrinsic gas too high"),
            Has("invalid opcode"),
            Has("stack underflow"),
            Has("stack overflow"),
            Has("invalid jump"),
            // Error(string) and Panic(uint256).
            Data("0x08c379a0"),
            Data("0x4e487b71"),
        ],
        then: REVERT,
        ..ERROR
    },
    // Some clients give code 3 to calls at blocks that they do not have.
    Line { codes: Numbers::In(&[3]), phrases: FORGOTTEN, then: MISSING_STATE, ..ERROR },
    Line { codes: Numbers::In(&[3]), phrases: NOT_YET, then: BEHIND, ..ERROR },
    Line { codes: Numbers::In(&[3]), then: REVERT, ..ERROR },
    // 2
    Line {
        codes: REFUSED_TRANSACTION,
        phrases: &[
            Has("already known"),
            Has("known transaction"),
            Has("already imported"),
            Has("already in mempool"),
            Has("already in the mempool"),
            Has("transaction already exists"),
            Has("already exists in mempool"),
        ],
        then: ALREADY_KNOWN,
        ..ERROR
    },
    // 3
    Line {
        codes: REFUSED_TRANSACTION,
        phrases: &[
            Has("nonce too low"),
            Has("nonce too high"),
            Has("nonce is too low"),
            Has("nonce has already been used"),
        ],
        then: NONCE,
        ..ERROR
    },
    // 4. A replayed transaction had its funds once: there it is the node's state that is wrong.
    Line {
        codes: REFUSED_TRANSACTION,
        phrases: FUNDS_AND_FEES,
        methods: Methods::Replaying,
        then: FUNDS_IN_A_REPLAY,
        ..ERROR
    },
    Line { codes: REFUSED_TRANSACTION, phrases: FUNDS_AND_FEES, then: FUNDS, ..ERROR },
    // 5
    Line {
        phrases: &[
            Has("transaction too short"),
            Has("rlp:"),
            Has("invalid transaction"),
            Has("transaction type not supported"),
            Has("invalid sender"),
            Has("max initcode size"),
        ],
        then: MALFORMED_TRANSACTION,
        ..ERROR
    },
    // 6
    Line { phrases: RANGES, methods: Methods::Ranged, then: RANGE_TOO_LARGE, ..ERROR },
    Line { codes: Numbers::In(&[-32_614, -32_012]), methods: Methods::Ranged, then: RANGE_TOO_LARGE, ..ERROR },
    // 7
    Line {
        phrases: &[
            Has("specify less number of address"),
            Has("addresses or topics per search position"),
            Has("too many addresses"),
            Has("max addresses"),
        ],
        then: TOO_MANY_ADDRESSES,
        ..ERROR
    },
    // 9, before 8: `finalized block not found` has the words of both, and says more.
    Line { phrases: SOFT_TAGS, then: TAG_UNSUPPORTED, ..ERROR },
    // 8
    Line { phrases: FORGOTTEN, then: MISSING_STATE, ..ERROR },
    Line { phrases: NOT_YET, then: BEHIND, ..ERROR },
    // 26, 30 and 35 are dRPC's, 1015 is Cloudflare's, -32701 PublicNode's.
    Line { codes: Numbers::In(&[-32_014, -32_043, 26]), then: BEHIND, ..ERROR },
    // 10
    Line { statuses: Numbers::In(&[402]), then: BILLING, ..RESPONSE },
    Line {
        phrases: &[Has("monthly capacity limit"), Has("reached the free tier"), Has("/billing")],
        then: BILLING,
        ..ERROR
    },
    // 11, before 12: a sequencer limits the sender, wherever the transaction comes in.
    Line { phrases: &[Has("sender is over rate limit")], then: SENDER_LIMIT, ..ERROR },
    // 12
    Line { statuses: Numbers::In(&[429]), then: RATE_LIMIT, ..RESPONSE },
    Line { phrases: RATES, then: RATE_LIMIT, ..ERROR },
    Line { codes: Numbers::In(&[-32_005, -32_007, -32_009, -32_029, -32_046, 30, 1_015]), then: RATE_LIMIT, ..ERROR },
    // 1, by codes that some providers also give to rate limits (-32016 `over rate limit`) and missing blocks.
    Line { codes: Numbers::In(&[-32_010, -32_015, -32_016]), then: REVERT, ..ERROR },
    // 13
    Line {
        phrases: &[
            Has("unauthorized"),
            Has("invalid api key"),
            Has("key is inactive"),
            Has("must be authenticated"),
            Has("token is invalid"),
            Has("apikey is on another chain"),
        ],
        then: AUTH,
        ..ERROR
    },
    Line { codes: Numbers::In(&[4_100]), then: AUTH, ..ERROR },
    // 14
    Line {
        phrases: &[
            With("method", MISSING),
            With("module", MISSING),
            Has("unsupported method"),
            Has("tracing not enabled"),
        ],
        then: METHOD_MISSING,
        ..ERROR
    },
    Line {
        codes: Numbers::In(&[-32_601, -32_004, -32_612, -32_613, 4_200, 35, -32_701]),
        then: METHOD_MISSING,
        ..ERROR
    },
    Line { statuses: Numbers::In(&[405, 415]), then: METHOD_MISSING, ..RESPONSE },
    // 14b. One client calling debug_* on free tiers must not open every provider.
    Line {
        phrases: &[
            Has("premium"),
            Has("paid plan"),
            Has("upgrade your tier"),
            Has("upgrade to paid"),
            Has("limit for your current plan"),
            Has("is not included in your current plan"),
            Has("not allowed to access"),
            Has("access denied"),
            Has("permission denied"),
            Has("access key"),
        ],
        then: NOT_IN_PLAN,
        ..ERROR
    },
    // 13 by status, with JSON (a page is a firewall's, row 30), after the texts that say it is the plan and not the key.
    Line { shapes: &[Shape::Error, Shape::Json], statuses: Numbers::In(&[401, 403]), then: AUTH, ..RESPONSE },
    // 15
    Line {
        phrases: &[
            Has("execution timeout"),
            Has("query timeout"),
            Has("context deadline exceeded"),
            Has("request timeout"),
            Has("backend timeout"),
        ],
        then: NODE_TIMEOUT,
        ..ERROR
    },
    Line { statuses: Numbers::In(&[504, 408]), then: NODE_TIMEOUT, ..RESPONSE },
    // 16
    Line {
        phrases: &[
            Has("please retry"),
            Has("try again"),
            Has("temporarily unavailable"),
            Has("temporary internal error"),
            Has("service overloaded"),
            Has("resource unavailable"),
            Has("node is syncing"),
        ],
        then: TRANSIENT,
        ..ERROR
    },
    Line { statuses: Numbers::In(&[502, 503]), then: TRANSIENT, ..RESPONSE },
    // 17
    Line { phrases: &[Has("tx of type"), Has("invalid type: map, expected blocknumber")], then: DIALECT, ..ERROR },
    // 18
    Line {
        phrases: &[
            Has("invalid argument"),
            Has("invalid params"),
            Has("param is required"),
            Has("cannot unmarshal"),
            Has("unable to decode"),
            Has("invalid hex"),
            Has("odd length"),
            Has("without 0x prefix"),
            Has("invalid address"),
            Has("wrong number of arguments"),
            Has("missing value for required argument"),
            Has("validation errors"),
            Has("bad request input"),
        ],
        then: INVALID_PARAMS_TEXT,
        ..ERROR
    },
    // 19 to 23
    Line { codes: Numbers::In(&[-32_602]), then: INVALID_PARAMS_CODE, ..ERROR },
    Line { codes: Numbers::In(&[-32_600, -32_700]), then: INVALID_REQUEST, ..ERROR },
    Line { codes: Numbers::In(&[-32_603]), then: INTERNAL, ..ERROR },
    Line { codes: Numbers::Within(-32_099, -32_000), then: UNKNOWN_SERVER_ERROR, ..ERROR },
    Line { then: UNKNOWN_ERROR, ..ERROR },
    // 30, 31; what is left of the responses is 32.
    Line { statuses: Numbers::Within(200, 299), then: NOT_JSON_RPC, ..RESPONSE },
    Line {
        shapes: &[Shape::NotJson, Shape::Foreign],
        statuses: Numbers::Within(400, 499),
        then: NOT_JSON_RPC,
        ..RESPONSE
    },
    Line { statuses: Numbers::Within(500, 599), then: HTTP_SERVER_ERROR, ..RESPONSE },
    // 33, 34, 35. (24 is decided before the table, 36 is not an attempt.)
    Line { shapes: &[Shape::Unreached], then: NOT_REACHED, ..ERROR },
    Line { shapes: &[Shape::Silent], then: TIMED_OUT, ..ERROR },
    Line { shapes: &[Shape::Abandoned], then: ABANDONED, ..ERROR },
];

const FUNDS_AND_FEES: &[Phrase] = &[
    Has("insufficient funds"),
    Has("insufficient balance"),
    Has("out of gas"),
    Has("gas too low"),
    Has("gas required exceeds allowance"),
    Has("intrinsic gas too low"),
    Has("exceeds block gas limit"),
    Has("underpriced"),
    Has("max fee per gas less than block base fee"),
    Has("fee cap"),
    Has("blob fee"),
    Has("transaction fee too low"),
    Has("existing transaction had higher priority"),
    Has("newer transaction had higher priority"),
];

const RANGES: &[Phrase] = &[
    With("block range", &["too wide", "too large", "exceed", "limit", "should work"]),
    Has("range too large"),
    Has("maximum block range"),
    Has("max block range"),
    Has("exceeds the range"),
    Has("max range"),
    Has("logs over more"),
    Has("response size should not"),
    Has("returned more than"),
    Has("exceeds max results"),
    Has("response too large"),
    Has("query exceeds limit"),
    Has("limit the query to"),
    Has("range limit exceeded"),
    Has("too many results"),
    Has("too many logs"),
    Has("too many blocks"),
    Has("try paginating"),
    With("maximum", &["blocks distance"]),
    Has("eth_getlogs is limited"),
    Has("is limited to"),
    With("are limited to", &["range"]),
    Has("ranges over"),
    Has("max is 1k blocks"),
    Has("is too big"),
    Has("try with this block range"),
];

const RATES: &[Phrase] = &[
    Has("rate limit"),
    Has("too many requests"),
    Has("throttled"),
    Has("quota exceeded"),
    Has("exceeded the quota"),
    Has("reached the quota"),
    Has("requests limited to"),
    Has("has exceeded"),
    Has("capacity exceeded"),
    Has("requests per second"),
    Has("concurrent requests capacity"),
    Has("qps limit"),
    Has("compute units"),
    Has("request units"),
    Has("credits limited"),
    Has("cups limit"),
    Has("under too much load"),
    Has("request limit reached"),
    Has("no server available"),
    Has("limit exceeded"),
    Has("timeout on the free tier"),
    Has("cannot fulfill request"),
];
