//! Every route over a fleet that stands still.

use std::collections::BTreeSet;

use lasso_routing::fleet::event::Manual;
use serde_json::json;
use utoipa::openapi::path::PathItem;

use super::*;
use crate::history::{History, Kept, Pace};
use crate::http::facts::Reloaded;

macro_rules! answers {
    ($($name:ident: $path:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let (status, mut answer) = Site::new(FakeFacts::default(), None).read($path).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            if let Some(uptime) = answer.get_mut("uptime_s") {
                *uptime = 0.into();
            }
            insta::assert_json_snapshot!(answer);
        })*
    };
}

answers! {
    health_says_what_is_there: "/api/health";
    chains_have_their_channels: "/api/chains";
    a_chain_is_found_by_its_number: "/api/chains/1?profile=beta";
    a_leaderboard_has_methods_and_ranks: "/api/leaderboard/ethereum";
    a_method_stands_for_all_its_classes: "/api/leaderboard?method=eth_getLogs";
    breakers_say_who_uses_them: "/api/breakers";
    heads_say_who_lags: "/api/heads/ethereum";
    a_provider_shows_all_its_channels: "/api/providers/infura";
    envoys_show_what_they_were_told_and_what_they_tell: "/api/envoys";
    config_is_masked_and_has_the_last_refusal: "/api/config";
}

#[track_caller]
fn is_error(answer: &(StatusCode, Value), status: StatusCode, code: &str, says: &str) {
    assert_eq!(answer.0, status, "{}", answer.1);
    assert_eq!(answer.1["error"]["code"], code, "{}", answer.1);
    let message = answer.1["error"]["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
    assert_eq!(answer.1.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_nothing_has_is_answered_with_those_that_exist() {
    let site = Site::new(FakeFacts::default(), None);
    let lost = StatusCode::NOT_FOUND;
    for (path, code, says) in [
        ("/api/chains/solana", "unknown_chain", "`solana`; there are: ethereum"),
        ("/api/chains/ethereum?profile=gamma", "unknown_profile", "`gamma`; there are: beta, public"),
        ("/api/heads/5", "unknown_chain", "there are: ethereum"),
        ("/api/leaderboard/x", "unknown_chain", "there are: ethereum"),
        ("/api/providers/quicknode", "unknown_provider", "there are: alchemy, drpc, infura, shared"),
        ("/api/providers/alchemy?profile=beta", "unknown_provider", "there are: shared"),
        ("/api/chains?transport=tcp", "unknown_transport", "there are: http, ws"),
        ("/api/breakers?region=us", "unknown_region", "there are: eu"),
        ("/api/feeds?region=us", "unknown_region", "there are: eu"),
        ("/api/feeds?profile=gamma", "unknown_profile", "`gamma`; there are: beta, public"),
        ("/api/feeds?chain=solana", "unknown_chain", "`solana`; there are: ethereum"),
        ("/api/nothing", "no_such_path", "/api/openapi.json"),
    ] {
        is_error(&site.read(path).await, lost, code, says);
    }
    is_error(&site.read("/api/chains?chain=1").await, StatusCode::BAD_REQUEST, "bad_query", "profile, region");
    is_error(&site.read("/api/feeds?kind=logs").await, StatusCode::BAD_REQUEST, "bad_query", "region and chain");
    let answer = json(site.ask(Method::DELETE, "/api/chains", &[]).await).await;
    is_error(&answer, StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "another method");
}

#[tokio::test]
async fn the_query_narrows_an_answer() {
    let site = Site::new(FakeFacts::default(), None);
    let count = |answer: &Value, key: &str| answer[key].as_array().unwrap().len();
    assert_eq!(count(&site.read("/api/chains?profile=beta").await.1, "chains"), 1);
    assert_eq!(count(&site.read("/api/chains/ethereum?transport=ws").await.1, "channels"), 1);
    assert_eq!(count(&site.read("/api/breakers?profile=beta&region=eu").await.1, "breakers"), 1);
    for (query, feeds) in [
        ("", 1),
        ("?chain=ethereum", 1),
        ("?chain=1", 1),
        ("?profile=public&chain=1&region=eu", 1),
        ("?profile=beta", 0),
        ("?profile=beta&chain=ethereum", 0),
    ] {
        assert_eq!(count(&site.read(&format!("/api/feeds{query}")).await.1, "feeds"), feeds, "{query}");
    }
    assert_eq!(count(&site.read("/api/leaderboard/ethereum?method=eth_call").await.1, "methods"), 1);
    assert_eq!(count(&site.read("/api/leaderboard/ethereum?method=eth_call&transport=ws").await.1, "methods"), 0);
}

#[tokio::test]
async fn it_is_alive_without_a_store_and_ready_only_with_everything() {
    let silent = Site::new(FakeFacts { view: None, ..FakeFacts::default() }, None);
    let (status, answer) = silent.read("/api/health").await;
    assert_eq!((status, &answer["fleet"]), (StatusCode::OK, &Value::Null));
    let unready = json!({"ready": false, "missing": ["the store does not answer"]});
    assert_eq!(silent.read("/api/ready").await, (StatusCode::SERVICE_UNAVAILABLE, unready));
    is_error(&silent.read("/api/chains").await, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "/api/ready");
    assert_eq!(silent.read("/api/feeds").await.0, StatusCode::OK, "feeds are the hub's");

    let starting = Site::new(FakeFacts { missing: vec!["ads: not listening".into()], ..FakeFacts::default() }, None);
    let unready = json!({"ready": false, "missing": ["ads: not listening"]});
    assert_eq!(starting.read("/api/ready").await, (StatusCode::SERVICE_UNAVAILABLE, unready));

    let ready = json!({"ready": true, "missing": []});
    assert_eq!(Site::new(FakeFacts::default(), None).read("/api/ready").await, (StatusCode::OK, ready));
}

#[tokio::test]
async fn a_channel_is_named_with_its_slashes() {
    let site = Site::new(FakeFacts::default(), None);
    for (path, decision) in [
        ("ethereum/infura/http/open", Manual::Open),
        ("ethereum%2Finfura%2Fhttp/close", Manual::Close),
        ("ethereum/infura/http/auto", Manual::Auto),
    ] {
        let (status, answer) = json(site.ask(Method::POST, &format!("/api/admin/breakers/{path}"), &[]).await).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer, json!({"channel": "ethereum/infura/http", "manual": decision.name()}));
        assert_eq!(site.facts.decided.lock().unwrap().pop(), Some(("ethereum/infura/http".into(), decision)));
    }
    for (path, code, says) in [
        ("ethereum/infura/http/shut", "unknown_decision", "auto, close, open"),
        (
            "ethereum/infura/open",
            "unknown_channel",
            "ethereum/alchemy/http, ethereum/alchemy/ws, ethereum/drpc/http, ethereum/infura/http",
        ),
        ("open", "unknown_decision", "there are"),
    ] {
        let answer = json(site.ask(Method::POST, &format!("/api/admin/breakers/{path}"), &[]).await).await;
        is_error(&answer, StatusCode::NOT_FOUND, code, says);
    }
    assert!(site.facts.decided.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_reload_says_what_came_of_it() {
    let site = Site::new(FakeFacts::default(), None);
    let accepted = json(site.ask(Method::POST, "/api/admin/reload", &[]).await).await;
    assert_eq!(accepted, (StatusCode::OK, json!({"generation": "fedcba9876543210", "changed": true})));
    let reload = Reloaded::Refused { problems: vec!["lasso.yaml:1: unknown key".to_owned()] };
    let site = Site::new(FakeFacts { reload, ..FakeFacts::default() }, None);
    let refused = json(site.ask(Method::POST, "/api/admin/reload", &[]).await).await;
    is_error(&refused, StatusCode::UNPROCESSABLE_ENTITY, "config_refused", "lasso.yaml:1: unknown key");
}

#[tokio::test]
async fn who_may_not_ask_gets_no_answer_and_changes_nothing() {
    let site = Site::new(FakeFacts::default(), Some(TOKEN));
    let open = "/api/admin/breakers/ethereum/infura/http/open";
    let bearer = format!("Bearer {TOKEN}");
    let right = ("authorization", bearer.as_str());
    for path in [open, "/api/admin/reload"] {
        let response = site.ask(Method::POST, path, &[]).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        is_error(&json(response).await, StatusCode::UNAUTHORIZED, "unauthorized", "LASSO_ADMIN_TOKEN");
        let answer = json(site.ask(Method::POST, path, &[right, ("origin", "http://evil.example")]).await).await;
        is_error(&answer, StatusCode::FORBIDDEN, "foreign_origin", "origin");
    }
    assert!(site.facts.decided.lock().unwrap().is_empty());
    assert_eq!(site.ask(Method::POST, open, &[right]).await.status(), StatusCode::OK);

    let request = Request::get("/api/config").header("host", "evil.example").body(Body::empty()).unwrap();
    let rebound = router(site.api.clone()).oneshot(request).await.unwrap();
    is_error(&json(rebound).await, StatusCode::FORBIDDEN, "bad_host", "localhost");
    let answer = json(site.ask(Method::POST, open, &[right, ("content-length", "70000")]).await).await;
    is_error(&answer, StatusCode::PAYLOAD_TOO_LARGE, "too_large", "65536");
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let (status, document) = Site::new(FakeFacts::default(), None).read("/api/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let named: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let served: BTreeSet<String> =
        routes().iter().map(|(path, _)| path.replace("{*path}", "{channel}/{decision}")).collect();
    assert_eq!(named, served);
}

#[tokio::test]
async fn what_the_document_names_is_answered_by_that_method() {
    let site = Site::new(FakeFacts { history: Some(recorded()), ..FakeFacts::default() }, None);
    for (path, item) in document().paths.paths {
        let PathItem { get, post, .. } = item;
        let method = if get.is_some() { Method::GET } else { Method::POST };
        assert!(get.is_some() || post.is_some(), "{path}");
        let names = [
            ("{chain}", "ethereum"),
            ("{provider}", "infura"),
            ("{channel}", "ethereum/infura/http"),
            ("{decision}", "auto"),
        ];
        let path = names.iter().fold(path, |path, (name, value)| path.replace(name, value));
        let path = if path.starts_with("/api/history") { format!("{path}?chain=ethereum") } else { path };
        let response = site.ask(method, &path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn every_event_and_its_payload_is_a_schema() {
    let document = serde_json::to_value(document()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "Told",
        "Event",
        "BreakerOpened",
        "BreakerClosed",
        "ChannelOnly",
        "RateLimited",
        "HealthChanged",
        "ChannelBarred",
        "NodeOnly",
        "ReportsDropped",
        "Decision",
        "ConfigLoaded",
        "ConfigRefused",
        "XdsAcked",
        "XdsRefused",
        "ConfigInForce",
        "TaskRestarted",
        "Skipped",
        "ErrorBody",
    ] {
        assert!(schemas.contains_key(name), "{name} is not in {:?}", schemas.keys());
    }
}

#[tokio::test]
async fn prometheus_gets_text_and_browsers_are_told_to_keep_nothing() {
    let site = Site::new(FakeFacts::default(), None);
    let response = site.ask(Method::GET, "/metrics", &[]).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert!(body.starts_with(b"# HELP lasso_build_info "));
}

#[tokio::test]
async fn history_is_asked_by_chain_and_says_what_there_is() {
    let site = Site::new(FakeFacts { history: Some(recorded()), ..FakeFacts::default() }, None);
    let (status, past) = site.read("/api/history?chain=ethereum&resolution=300").await;
    assert_eq!((status, &past["rows"], &past["truncated"]), (StatusCode::OK, &json!([]), &Value::Bool(false)));
    let (status, _) = site.read("/api/history/leaderboard?chain=1&method=eth_call&from=0").await;
    assert_eq!(status, StatusCode::OK);
    for (query, code) in [
        ("", "bad_query"),
        ("?chain=ethereum&resolution=often", "bad_query"),
        ("?chain=ethereum&since=5", "bad_query"),
        ("?chain=nowhere", "unknown_chain"),
        ("?chain=ethereum&profile=nobody", "unknown_profile"),
    ] {
        let (_, problem) = site.read(&format!("/api/history{query}")).await;
        assert_eq!(problem["error"]["code"], code, "{query}");
    }
    let (status, _) = Site::new(FakeFacts::default(), None).read("/api/history?chain=ethereum").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

/// A history in which nothing happened.
fn recorded() -> History {
    let (_, seen) = watch::channel(Arc::default());
    let (history, mut recorder) = History::new(&mut Kept::open(None, Pace::default()).unwrap(), seen);
    tokio::spawn(async move { recorder.run().await });
    history
}
