//! docs/metrics.md, written from the table of metrics.
//!
//! Invariant: the committed file is what this writes; a test compares.

use std::fmt::Write;

use super::MOST_SERIES;
use super::evidence::ENDS;
use super::table::{ALL, Kind};

const HEAD: &str = "\
# Metrics

What `GET /metrics` on `listen.http` shows: the fleet as this control plane knows it, and the control plane itself, in the text format of
Prometheus. What single Envoys count (requests, connections, failovers, traps) is on their own admin ports: [operations.md](operations.md).

This file is generated from the table that the page is written from: `lasso reference metrics` prints it.

Every metric has the label `region`, empty where none is configured. Labels hold names of the configuration, method classes and the few
words named below; nothing that a client sends becomes a label.
";

const FOOT: &str = "
A channel that profiles share has one breaker and one head, so those have the label `channel` only. To see them by chain or provider:

```
lasso_breaker_state * on (channel, region) group_right lasso_channel_info
```

## What is not here

Workers report attempts, requests and selections, added up, so these are what is known here: a worker that dies takes at most a tenth of a
second with it. What names no chain (no JSON, an unknown chain, too long) is counted by the filter in Envoy's own stats
(`wasmcustom.lasso.*`, or `lassocustom.lasso.*` where it is a native module). Which channels were left out and why, sampled `decision` events and the meta of a request show one by one. Bytes
and connections of each channel are Envoy's `cluster.lasso/*` stats.
";

/// The whole document.
pub(crate) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n");
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.unit,
            labels.join(", "),
            metric.meaning.replace('|', "\\|")
        );
    }
    let ends: Vec<String> = ENDS.iter().map(|end| (*end as f64 / 1e6).to_string()).collect();
    let _ = write!(
        text,
        "\nThe histogram's buckets end at {} seconds. The first two metrics have at most {MOST_SERIES} series together: over that, the method \
         classes with the\nfewest attempts are counted as `other` until the next start. (Where even one class a channel is more than that, it \
         is one class a channel.)\n",
        ends.join(", ")
    );
    text.push_str(FOOT);
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_document_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == super::markdown(),
            "docs/metrics.md is stale; write it with: cargo run -p lasso -- reference metrics > docs/metrics.md"
        );
    }
}
