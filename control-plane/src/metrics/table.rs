//! Every metric there is. docs/metrics.md is this table.
//!
//! Invariant: base units; a counter ends in `_total`, a length of time in `_seconds`; labels are bounded by the configuration and by
//! the set of method classes, never by what a client sends. Every metric has the label `region` besides its own.

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) meaning: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal)*] $unit:literal $meaning:literal;)*) => {
        $(pub(super) static $id: Metric = Metric {
            name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], meaning: $meaning,
        };)*
        /// In the order of the document.
        pub(super) static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    ATTEMPTS = Counter "lasso_attempts_total" ["profile" "chain" "provider" "channel" "method" "ending"] "attempts"
        "Attempts by how they ended: success, neutral (says nothing about the channel), rate_limited, abandoned, or what the channel is \
         to blame for: network, timeout, server, auth, billing.";
    ATTEMPT_DURATION = Histogram "lasso_attempt_duration_seconds" ["profile" "chain" "provider" "channel" "method"] "seconds"
        "Latencies of successes and lengths of timeouts. The sum is taken from finer buckets and at most 6 % off.";
    METHODS_COLLAPSED = Gauge "lasso_methods_collapsed" [] "method classes"
        "Method classes that are counted as `other` because a page would have too many series.";

    CHANNEL = Gauge "lasso_channel_info" ["profile" "chain" "provider" "channel" "transport"] ""
        "1 for each channel of a chain in a profile: to join what has only the label channel with the others.";
    IN_FLIGHT = Gauge "lasso_channel_in_flight" ["channel"] "attempts" "Attempts that have not ended, over the fleet.";
    BREAKER_STATE = Gauge "lasso_breaker_state" ["channel"] "" "The fleet's breaker: 0 closed, 1 half-open, 2 open.";
    BREAKER_OPENINGS = Counter "lasso_breaker_openings_total" ["channel"] "openings" "Openings of the fleet's breaker.";
    BREAKER_MANUAL = Gauge "lasso_breaker_manual" ["channel"] "" "What a person said: 0 auto, 1 close, 2 open.";
    RATE_LIMIT = Gauge "lasso_channel_rate_limit_seconds" ["channel"] "seconds"
        "How long the channel's rate-limit mark still lasts; 0 without one.";
    BARRED = Gauge "lasso_channel_barred" ["channel"] "" "1 when the channel is never asked: it serves another chain.";
    CONNECTED = Gauge "lasso_channel_connected" ["channel"] ""
        "Channels over WebSocket only: 1 with a live socket to the provider; without one it is not asked.";
    HEALTH = Gauge "lasso_channel_health" ["channel"] "" "0 healthy, 1 degraded, 2 unhealthy.";
    AVAILABILITY = Gauge "lasso_channel_availability" ["channel"] ""
        "0 up, 1 limited (rate-limited, half-open or behind: asked when others cannot be), 2 down.";
    CHANNEL_HEAD = Gauge "lasso_channel_head_block" ["channel"] "blocks"
        "The channel's newest block, extrapolated to now. Absent until it was heard of.";
    CHANNEL_LAG = Gauge "lasso_channel_lag_blocks" ["channel"] "blocks"
        "Blocks behind the best believed head; negative: ahead of it.";

    CHAIN_HEAD = Gauge "lasso_chain_head_block" ["profile" "chain"] "blocks" "The highest believed head, extrapolated to now.";
    CHAIN_CHANNELS = Gauge "lasso_chain_channels" ["profile" "chain" "availability"] "channels"
        "Channels of a chain by whether they can serve: up, limited, down.";

    REQUESTS_STARTED = Counter "lasso_requests_started_total" ["profile" "chain"] "requests"
        "Requests of clients that name the chain. A batch is one request.";
    REQUESTS_ENDED = Counter "lasso_requests_ended_total" ["profile" "chain" "result"] "requests"
        "How they ended: answered (by a provider, its errors included, or without one), failed (nobody answered; of a batch: one of its \
         items got an error), refused (for what was asked), or cancelled (the client went away).";
    SELECTIONS = Counter "lasso_selections_total" ["profile" "chain" "result"] "selections"
        "How channels were chosen. Each selection is either selected or fail_fast (nobody may be asked now). It may also be degraded \
         (nobody fits; the least bad are asked), lag_excluded (at least one channel was left out for its head), last_resort (every \
         breaker is open), explored or trial (one that is quiet or half-open goes in front). failover counts attempts that followed \
         another of the same request; one to a channel that its breaker does not admit is a last_resort as well. In a batch each distinct \
         need is a selection.";

    ENVOYS = Gauge "lasso_envoys" ["state"] "Envoys"
        "Envoys that are connected (an xDS stream is open), current (its filters route by the generation it is led to), held (it refused \
         something), reporting, or set_aside (its failures are its own). One Envoy may be in several.";
    WORKERS = Gauge "lasso_workers_active" [] "workers" "Workers that asked a provider in the last 10 s.";
    REPORTS = Counter "lasso_reports_total" [] "reports" "Reports that counted.";
    REPORTS_REPEATED = Counter "lasso_reports_repeated_total" [] "reports" "Reports that had counted before.";
    REPORTED_ATTEMPTS = Counter "lasso_reported_attempts_total" [] "attempts" "Attempts in reports that counted.";
    REPORTS_UNKNOWN = Counter "lasso_reports_unknown_total" [] "tallies"
        "Parts of reports about channels or chains that the catalog does not have: a reload is under way.";
    REPORT_DROPPED = Gauge "lasso_report_dropped" ["what"] ""
        "What the workers of known Envoys had no room for: attempts (counted as `other`, without latency), decisions, lessons; and lost: \
         attempts that ended many reloads after they began, and are counted nowhere.";
    STREAMS_REFUSED = Counter "lasso_report_streams_refused_total" [] "streams" "Streams of reports that were one too many.";
    TABLES = Counter "lasso_tables_total" [] "tables" "Routing tables sent.";
    TABLE_CELLS = Counter "lasso_table_cells_total" [] "cells" "Cells of evidence in those tables.";
    LEASES = Counter "lasso_leases_total" ["kind"] "leases" "What single workers were allowed: trial of a half-open breaker, or exploration.";

    CONFIG = Gauge "lasso_config_info" ["generation"] "" "1 for the generation in force.";
    CONFIG_LOADED = Gauge "lasso_config_loaded_timestamp_seconds" [] "seconds" "When it was loaded, since the epoch.";
    CONFIG_REFUSED = Gauge "lasso_config_refused" [] "" "1 while the last configuration that was read is not in force because it was refused.";
    RELOADS = Counter "lasso_config_reloads_total" ["result"] "reloads" "Configurations that were read: accepted or refused.";
    XDS_ACKS = Counter "lasso_xds_acks_total" ["resource_type"] "responses" "Responses that Envoys accepted.";
    XDS_NACKS = Counter "lasso_xds_nacks_total" ["resource_type"] "responses" "Responses that Envoys refused.";

    BUILD = Gauge "lasso_build_info" ["version"] "" "1 for the version of the control plane.";
    STORE_UP = Gauge "lasso_store_up" [] "" "Whether the store answers. While it does not, what it knows is absent.";
    RESTARTS = Counter "lasso_task_restarts_total" ["task"] "restarts" "Tasks that panicked and were started again.";
    QUEUE_DEPTH = Gauge "lasso_queue_depth" ["queue"] "items" "Items that wait: \
         for the store; on their way to Sync streams (sync_outbox, all streams together); for the probes (probe_orders); notices that are \
         not events yet; events, of the slowest who listens; for the reload; minutes of history for the disk (history_minutes).";
    QUEUE_HIGH_WATER = Gauge "lasso_queue_high_water" ["queue"] "items" "The most that ever waited.";
    QUEUE_CAPACITY = Gauge "lasso_queue_capacity" ["queue"] "items" "The most that may wait.";
    QUEUE_DROPPED = Counter "lasso_queue_dropped_total" ["queue"] "items" "Items that found no room.";
    STREAMS = Gauge "lasso_sync_streams" [] "streams" "Sync streams that are open: one for each Envoy worker, and one of its main thread.";
    STREAM_TROUBLES = Counter "lasso_sync_troubles_total" ["kind"] "troubles" "What went wrong with Sync streams: ended for silence or garbage, refused, rejoined after a loss, and what was left out of messages.";
    PROVIDER_SOCKETS = Counter "lasso_provider_sockets_total" ["channel" "event"] "sockets"
        "Sockets to providers: opened, and failed (broken, or not to be opened).";
    CLIENT_SOCKETS = Gauge "lasso_client_sockets" [] "sockets" "Clients' WebSockets that are open.";
    CLIENT_SOCKETS_OPENED = Counter "lasso_client_sockets_opened_total" [] "sockets" "Clients' WebSockets that were opened.";
    CLIENT_SOCKETS_REFUSED = Counter "lasso_client_sockets_refused_total" [] "upgrades" "Upgrades that were refused.";
    CLIENT_SOCKETS_CLOSED = Counter "lasso_client_sockets_closed_total" ["code" "reason"] "sockets"
        "Clients' WebSockets that ended, by the code that we closed with; without one it was not we who closed.";
    CLIENT_MESSAGES = Counter "lasso_client_messages_total" ["direction"] "messages" "WebSocket messages from clients (in) and to them (out).";
    CLIENT_EVENTS = Counter "lasso_client_events_total" [] "events" "Events of subscriptions to clients.";
    CLIENT_CALLS = Counter "lasso_client_calls_total" [] "calls" "Calls and batches that came by WebSocket and were sent on to Envoy.";
    CLIENT_CALLS_IN_FLIGHT = Gauge "lasso_client_calls_in_flight" [] "calls" "Those that were not answered yet.";
    SUBSCRIPTIONS = Gauge "lasso_subscriptions" [] "subscriptions" "Clients' subscriptions that are open or asked for.";
    SUBSCRIPTIONS_OPENED = Counter "lasso_subscriptions_opened_total" [] "subscriptions" "Subscriptions that were asked for.";
    FEEDS = Gauge "lasso_feeds" ["profile" "chain" "kind" "state"] "feeds" "Feeds by their state: opening, live, filling, lost, lingering.";
    FEED_EVENTS = Gauge "lasso_feed_events" ["profile" "chain" "kind" "what"] "events"
        "Events of the feeds that there are now: delivered (once, however many hear it), filled (fetched), duplicate, ignored (too late or unreadable), buffered.";
    FEED_FAILOVERS = Counter "lasso_feed_failovers_total" ["profile" "chain" "kind" "reason"] "failovers" "Feeds that moved, and why.";
    FEED_FILLS = Counter "lasso_feed_fills_total" ["profile" "chain" "kind"] "gaps" "Gaps that were filled.";
    FEED_FILLED = Counter "lasso_feed_filled_events_total" ["profile" "chain" "kind"] "events" "Heads and logs that were fetched to fill them.";
    CONTINUITY_LOST = Counter "lasso_continuity_lost_total" ["profile" "chain" "kind"] "subscriptions"
        "Subscriptions that ended since what they missed could not be had. Their clients were told.";
    REORGS = Counter "lasso_reorgs_total" ["profile" "chain"] "reorgs" "Other branches that feeds of heads were led to.";
    EVENTS_LOST = Counter "lasso_provider_events_lost_total" ["channel" "kind"] "times" "Times that a provider lost events of a feed.";

    EVENTS_SKIPPED = Counter "lasso_events_skipped_total" [] "events" "Events that slow subscribers did not get.";
    EVENTS_MISSED = Counter "lasso_events_missed_total" [] "events" "Events that came faster than they could be told to anybody.";
    EVENT_VIEWERS = Gauge "lasso_event_viewers" [] "viewers" "Who listens to `/api/events`.";
}
