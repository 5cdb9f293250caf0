//! Names of headers that the filter and the routes agree on.
//!
//! Duty: say which they are, once. Invariant: what Envoy looks at in every call is a header that it has at hand (one of its inline headers): looking for any other makes
//! it index the whole map.
//! It is here because this is all that the filter and the control plane share. Leaves to others: who sets them and who takes them off (the filter, the routes).

/// Marks an answer that must be asked again, for the route's retry policy. Another value, which a provider could send, means nothing to it. A
/// hop's own header, so Envoy takes it off what goes to clients.
pub const RETRY: (&str, &str) = ("keep-alive", "lasso");

/// Of a request that a module serves: the next attempt's cluster and the exchange's number, for the route's matcher and for UP: `{cluster};{number}`. A hop's own header,
/// so Envoy takes it off what clients send.
pub const MODULE_PLAN: &str = "keep-alive";

/// Of a request that a module serves: `1` chooses the route that sends once. As [`MODULE_PLAN`].
pub const MODULE_ONCE: &str = "proxy-connection";

/// Any web page may read the answer.
pub const ANY_ORIGIN: (&str, &str) = ("access-control-allow-origin", "*");

/// Headers of an answer that a web page may read.
pub const EXPOSED: (&str, &str) = ("access-control-expose-headers", "x-lasso-request-id,x-lasso-meta");

/// What a provider may send and a client must not see: what names it, and what a browser would take for ours. Each name costs every
/// request a look, so what is only useless (caching, framing) stays, and so does what the route writes anew.
pub const FROM_PROVIDERS: &[&str] = &[
    "set-cookie",
    "alt-svc",
    "location",
    "link",
    "via",
    "x-powered-by",
    "www-authenticate",
    "strict-transport-security",
    "report-to",
    "nel",
    "cf-ray",
    "x-request-id",
    "x-served-by",
    "x-amzn-requestid",
    "access-control-allow-credentials",
    ANY_ORIGIN.0,
    EXPOSED.0,
];
