//! Envoy's words for its own replies, as the flags that the filter knows.
//!
//! A module is told the response code details of a local reply and not its flags. The words are those of `ResponseCodeDetails` and
//! `Http::Utility::resetReasonToString` in Envoy 1.40, spaces as underscores; the flags are those that Envoy sets with them.

use lasso_filter::flags::{
    LOCAL_RESET, NO_CLUSTER_FOUND, NO_HEALTHY_UPSTREAM, UPSTREAM_CONNECTION_FAILURE, UPSTREAM_CONNECTION_TERMINATION,
    UPSTREAM_OVERFLOW, UPSTREAM_REMOTE_RESET, UPSTREAM_REQUEST_TIMEOUT,
};

/// The flags of a local reply with these details; none for a reply that is not about a provider.
pub(crate) fn flags(details: &str) -> u64 {
    match details {
        "no_healthy_upstream" => return NO_HEALTHY_UPSTREAM,
        "cluster_not_found" => return NO_CLUSTER_FOUND,
        "maintenance_mode" | "overflow" => return UPSTREAM_OVERFLOW,
        "upstream_per_try_timeout"
        | "upstream_per_try_idle_timeout"
        | "upstream_response_timeout"
        | "response_timeout" => {
            return UPSTREAM_REQUEST_TIMEOUT;
        }
        _ => {}
    }
    let Some((_, reason)) = details.split_once('{') else { return 0 };
    let reason = reason.split(['|', '}']).next().unwrap_or_default();
    match reason {
        "connection_failure" | "local_connection_failure" | "remote_connection_failure" | "connection_timeout" => {
            UPSTREAM_CONNECTION_FAILURE
        }
        "connection_termination" => UPSTREAM_CONNECTION_TERMINATION,
        "overflow" => UPSTREAM_OVERFLOW,
        "local_reset" | "local_refused_stream_reset" => LOCAL_RESET,
        "remote_reset" | "remote_refused_stream_reset" | "connect_error" | "protocol_error" | "http1_parse_error" => {
            UPSTREAM_REMOTE_RESET
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::flags;

    #[test]
    fn words_become_the_flags_that_envoy_sets_with_them() {
        let table = [
            ("no_healthy_upstream", 0x2),
            ("cluster_not_found", 0x100_0000),
            ("upstream_per_try_timeout", 0x4),
            ("upstream_reset_before_response_started{connection_termination}", 0x40),
            (
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
                0x20,
            ),
            ("upstream_reset_before_response_started{connection_timeout}", 0x20),
            ("upstream_reset_before_response_started{overflow}", 0x80),
            ("upstream_reset_before_response_started{remote_reset}", 0x10),
            ("via_upstream", 0),
            ("", 0),
        ];
        for (details, expected) in table {
            assert_eq!(flags(details), expected, "{details}");
        }
    }
}
