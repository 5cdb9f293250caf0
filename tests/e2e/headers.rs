//! What crosses Lasso and what does not: client headers stay here, providers' headers too, paths and bodies are the provider's own.

use hyper::Method;
use lasso_routing::header::{ANY_ORIGIN, EXPOSED, RETRY};
use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, FilterKind, Mesh, Recorded};
use serde_json::json;

/// Headers of a client that no provider may see.
const PRIVATE: [(&str, &str); 14] = [
    ("authorization", "Bearer canary-client"),
    ("proxy-authorization", "Basic canary-client"),
    ("cookie", "session=canary-client"),
    ("x-forwarded-for", "canary-client"),
    ("x-forwarded-host", "canary-client"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "for=canary-client"),
    ("x-real-ip", "canary-client"),
    ("via", "canary-client"),
    ("accept-encoding", "gzip, br"),
    ("x-lasso-include-meta", "headers"),
    ("x-lasso-transport", "http"),
    ("keep-alive", "canary-client"),
    ("x-envoy-max-retries", "7"),
];

fn names(request: &Recorded) -> Vec<&str> {
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

const CALL: &str = r#"{"jsonrpc":"2.0", "id":"ключ", "method":"eth_call","params":[{"data":"0x00"},  "latest"]}"#;

#[tokio::test]
async fn providers_see_their_own_headers_and_the_clients_bytes_only() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::rpc(-32603, "Internal error")]);
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1)
        .provider_with(
            "first",
            &first.url("/v2/canary-first?key=1"),
            &["headers: {x-project: canary-first, authorization: Bearer canary-first}"],
        )
        .provider_with("second", &second.url("/v3/canary-second"), &["headers: {x-project: canary-second}"]);
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let answered = mesh
        .client()
        .send(Method::POST, &mesh.url("/rpc/ethereum?include_meta=headers"), &PRIVATE, CALL)
        .await
        .unwrap();
    assert_eq!(answered.result(), Some(json!("0x1")), "{}", answered.text());

    let (at_first, at_second) = (first.requests().remove(0), second.requests().remove(0));
    assert_eq!((at_first.path.as_str(), at_second.path.as_str()), ("/v2/canary-first?key=1", "/v3/canary-second"));
    assert_eq!(at_first.header("x-project"), Some("canary-first"));
    assert_eq!(at_first.header("authorization"), Some("Bearer canary-first"));
    assert_eq!((at_second.header("x-project"), at_second.header("authorization")), (Some("canary-second"), None));
    for (request, provider) in [(&at_first, &first), (&at_second, &second)] {
        assert_eq!(String::from_utf8_lossy(&request.body), CALL, "the body is the client's, byte for byte");
        assert_eq!(request.header("host"), Some(provider.address().to_string().as_str()));
        let all = format!("{:?}", request.headers);
        assert!(!all.contains("canary-client"), "{all}");
    }
    let second_saw = format!("{:?}", at_second.headers);
    assert!(!second_saw.contains("canary-first"), "{second_saw}");
    // Envoy's access log takes the client's path from this header, and the log sees the request as the provider does.
    assert_eq!(at_second.header("x-envoy-original-path"), Some("/rpc/ethereum"));
    assert_eq!(names(&at_second), ["content-length", "content-type", "host", "x-envoy-original-path", "x-project"]);
}

#[tokio::test]
async fn clients_see_no_header_of_a_provider() {
    let provider = FaultProxy::without_node().await.unwrap();
    let reply = Fault::text(200, r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#)
        .header("content-type", "text/plain; charset=latin1")
        .header("set-cookie", "canary=1")
        .header("server", "canary-server")
        .header("x-powered-by", "canary")
        .header("keep-alive", "canary")
        .header("access-control-allow-origin", "https://canary.example")
        .header("location", "/v2/canary")
        .header("link", "<http://canary.example>")
        .header("alt-svc", "h3=\":443\"")
        .header("via", "1.1 canary");
    provider.set([reply]);
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let answered = mesh.call("ethereum", "eth_call", json!([])).await.unwrap();
    assert_eq!((answered.status, answered.header("content-type")), (200, Some("application/json")));
    let all = format!("{:?}", answered.headers);
    assert!(!all.contains("canary") && !all.contains("h3="), "{all}");
    assert!(answered.headers.keys().all(|name| !name.as_str().starts_with("x-")), "{all}");
    assert_eq!(provider.counts().requests, 1, "a provider's own word under the name of our mark is not the mark");
}

#[tokio::test]
async fn a_provider_that_sends_our_own_mark_is_asked_once_and_the_call_is_answered() {
    let (sends, other) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    sends.set([Fault::result(json!("0x1")).header(RETRY.0, RETRY.1)]);
    other.set([Fault::result(json!("0x2"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("sends", &sends.url("/")).provider("other", &other.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let answered = mesh.call("ethereum", "eth_call", json!([])).await.unwrap();
    let result = answered.result();
    assert!(result == Some(json!("0x1")) || result == Some(json!("0x2")), "{}", answered.text());
    assert_eq!(sends.counts().requests, 1);
    assert_eq!(answered.header(RETRY.0), None);
}

#[tokio::test]
async fn a_page_of_any_origin_may_ask_and_read() {
    let provider = FaultProxy::without_node().await.unwrap();
    let canary = |name| Fault::result(json!("0x1")).header(name, "canary");
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let (client, url) = (mesh.client(), mesh.url("/rpc/ethereum"));
    let origin = ("origin", "https://dapp.example");
    let preflight = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-lasso-transport"),
    ];
    let allowed = client.send(Method::OPTIONS, &url, &preflight, "").await.unwrap();
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://dapp.example"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("*,authorization"));
    assert_eq!(provider.counts().requests, 0, "no provider is asked");
    let batch = format!("[{CALL},{CALL}]");
    let notification = r#"{"jsonrpc":"2.0","method":"eth_call","params":[]}"#;
    let refused = || Fault::rpc(-32603, "Internal error").header(EXPOSED.0, "canary");
    for (what, says, query, body) in [
        ("an answer", canary(ANY_ORIGIN.0), "", CALL),
        ("an answer with meta", canary(EXPOSED.0), "?include_meta=headers", CALL),
        ("a batch", canary(ANY_ORIGIN.0), "", &batch),
        ("no answer", canary(ANY_ORIGIN.0), "", notification),
        ("an error of the filter", canary(ANY_ORIGIN.0), "", "{"),
        ("the only provider's error", refused(), "", CALL),
    ] {
        provider.set([says]);
        let url = mesh.url(&format!("/rpc/ethereum{query}"));
        let answered = client.send(Method::POST, &url, &[origin], body.to_owned()).await.unwrap();
        for (name, value) in [ANY_ORIGIN, EXPOSED] {
            let values: Vec<_> = answered.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{what}: {name}");
        }
        let all = format!("{:?}", client.send(Method::POST, &url, &[], body.to_owned()).await.unwrap().headers);
        assert!(!all.contains("canary"), "{what}: {all}");
        let told = all.contains(ANY_ORIGIN.0);
        assert_eq!(told, FilterKind::under_test().unwrap() == FilterKind::Wasm, "{what} to who is no page: {all}");
    }
}

#[tokio::test]
async fn meta_tells_of_the_way_a_call_went() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::rpc(-32603, "Internal error")]);
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let body = mesh.post("/rpc/ethereum?include_meta=body", CALL).await.unwrap().json();
    let meta = &body["lasso_meta"];
    assert_eq!(
        (&body["result"], &meta["version"], &meta["selected_provider"]["id"]),
        (&json!("0x1"), &json!("1.0"), &json!("second")),
        "{body}"
    );
    assert_eq!((&meta["strategy"], &meta["retries"]), (&json!("priority"), &json!(1)), "{body}");
    let answered = mesh.post("/rpc/ethereum?include_meta=headers", CALL).await.unwrap();
    assert!(
        answered.header("x-lasso-request-id").is_some() && answered.header("x-lasso-meta").is_some(),
        "{:?}",
        answered.headers
    );
    assert!(mesh.post("/rpc/ethereum", CALL).await.unwrap().header("x-lasso-meta").is_none());
}

#[tokio::test]
async fn routes_choose_strategy_provider_and_exclusion() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::result(json!("first"))]);
    second.set([Fault::result(json!("second"))]);
    let chain = ChainConfig::new("ethereum", 1).provider_with("first", &first.url("/"), &["cost: 2.0"]).provider_with(
        "second",
        &second.url("/"),
        &["cost: 1.0"],
    );
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let table = [
        ("/rpc/ethereum", "first"),
        ("/rpc/priority/ethereum", "first"),
        ("/rpc/cheapest/ethereum", "second"),
        ("/rpc/ethereum?strategy=cheapest", "second"),
        ("/rpc/provider/second/ethereum", "second"),
        ("/rpc/ethereum/second", "second"),
        ("/rpc/ethereum?provider=second", "second"),
        ("/rpc/ethereum?exclude=first", "second"),
        ("/rpc/profile/public/provider/second/ethereum", "second"),
    ];
    for (path, who) in table {
        assert_eq!(mesh.post(path, CALL).await.unwrap().result(), Some(json!(who)), "{path}");
    }
    let by_header = [("x-lasso-provider", "second"), ("x-lasso-exclude", "first")];
    for header in by_header {
        let answered = mesh.client().send(Method::POST, &mesh.url("/rpc/ethereum"), &[header], CALL).await.unwrap();
        assert_eq!(answered.result(), Some(json!("second")), "{header:?}");
    }
    first.set([Fault::rpc(-32603, "Internal error")]);
    let pinned = mesh.post("/rpc/ethereum/first", CALL).await.unwrap();
    assert_eq!(pinned.code(), Some(-32603), "a pinned provider has no failover: {}", pinned.text());
    let freed = mesh.post("/rpc/ethereum/first?allow_failover=true", CALL).await.unwrap();
    assert_eq!(freed.result(), Some(json!("second")), "{}", freed.text());
}
