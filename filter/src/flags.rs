//! Envoy's response flags, as far as they say whether a request left.
//!
//! The bits are those of `CoreResponseFlag` in Envoy 1.40's `stream_info.h`, which the property `response.flags` gives as a `u64`.

/// No host of the cluster is known or healthy.
pub const NO_HEALTHY_UPSTREAM: u64 = 1 << 1;
/// A timeout of the route or of an attempt.
pub const UPSTREAM_REQUEST_TIMEOUT: u64 = 1 << 2;
/// Envoy reset the stream.
pub const LOCAL_RESET: u64 = 1 << 3;
/// The provider reset the stream.
pub const UPSTREAM_REMOTE_RESET: u64 = 1 << 4;
/// No connection came about.
pub const UPSTREAM_CONNECTION_FAILURE: u64 = 1 << 5;
/// The connection broke under the request.
pub const UPSTREAM_CONNECTION_TERMINATION: u64 = 1 << 6;
/// No room by the circuit breakers.
pub const UPSTREAM_OVERFLOW: u64 = 1 << 7;
/// No cluster of that name.
pub const NO_CLUSTER_FOUND: u64 = 1 << 24;
/// A name that did not resolve.
pub const DNS_RESOLUTION_FAILED: u64 = 1 << 26;

/// No cluster, no host, no connection or no room for it, and no sign of a connection that broke under the request.
#[must_use]
pub const fn never_sent(flags: u64) -> bool {
    const UNSENT: u64 = NO_HEALTHY_UPSTREAM
        | UPSTREAM_CONNECTION_FAILURE
        | UPSTREAM_OVERFLOW
        | NO_CLUSTER_FOUND
        | DNS_RESOLUTION_FAILED;
    const SENT: u64 = UPSTREAM_REQUEST_TIMEOUT | LOCAL_RESET | UPSTREAM_REMOTE_RESET | UPSTREAM_CONNECTION_TERMINATION;
    flags & UNSENT != 0 && flags & SENT == 0
}

/// The router had nowhere to send it: no cluster of that name, or none of its hosts is known or healthy.
#[must_use]
pub const fn no_host(flags: u64) -> bool {
    flags & (NO_HEALTHY_UPSTREAM | NO_CLUSTER_FOUND | DNS_RESOLUTION_FAILED) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_left_is_said_to_have_never_left() {
        // UH, UF|URX, UO, NC, DF: as measured and as in Envoy's enum.
        for flags in [0x2, 0x8020, 0x80, 0x100_0000, 0x400_0000] {
            assert!(never_sent(flags), "{flags:#x}");
        }
        // Nothing, UT, UR, UC, UC|URX, UF and UC together, response from cache.
        for flags in [0, 0x4, 0x10, 0x40, 0x8040, 0x60, 0x10_0000] {
            assert!(!never_sent(flags), "{flags:#x}");
        }
    }
}
