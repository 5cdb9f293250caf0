//! What benchmarks route over: one chain, `ethereum`, by `fastest`, and how attempts end there.

use lasso_routing::Catalog;
use lasso_routing::breaker::Category;
use lasso_routing::outcome::{Blame, Mark, Next, Row, Verdict};

pub(crate) const DONE: Verdict = Verdict {
    row: Row::Result,
    next: Next::Stop,
    blame: Blame::None,
    mark: Mark::None,
    success: true,
    hash_is_result: false,
};
pub(crate) const FAILED: Verdict = Verdict {
    row: Row::Transient,
    next: Next::Another,
    blame: Blame::Counts(Category::Server),
    success: false,
    ..DONE
};

/// So many providers, `provider-0` and on, with one HTTP channel each.
pub(crate) fn catalog(providers: usize) -> Catalog {
    let id = |n: usize| format!("ethereum/provider-{n}/http");
    let channel = |n| serde_json::json!({"id": id(n), "transport": "http", "cluster": id(n), "authority": "example.com", "path": "/"});
    let provider = |n| serde_json::json!({"id": format!("provider-{n}"), "channels": [id(n)]});
    let (channels, providers): (Vec<_>, Vec<_>) = (0..providers).map(|n| (channel(n), provider(n))).unzip();
    let chain = serde_json::json!({"id": "ethereum", "chain_id": 1, "strategy": "fastest", "providers": providers});
    let spec = serde_json::json!({
        "version": 1, "generation": "1", "channels": channels, "profiles": [{"id": "public", "chains": [chain]}],
    });
    let spec: lasso_routing::catalog::CatalogSpec = serde_json::from_value(spec).expect("the shape is right");
    Catalog::try_from(spec).expect("the catalog is right")
}
