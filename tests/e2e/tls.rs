//! Providers on https: asked by name, believed only with a certificate for that name from an authority we trust.

use hyper::Version;
use lasso_tests::{Authority, ChainConfig, Config, Mesh, Options, TlsProvider};
use serde_json::json;

/// A name that leads to this machine.
const NAME: &str = "localhost";

async fn mesh(bundle: &Authority, providers: &[(&str, &TlsProvider)]) -> Mesh {
    let chain = ChainConfig::new("ethereum", 1);
    let chain =
        providers.iter().fold(chain, |chain, (id, provider)| chain.provider(id, &provider.url(NAME, "/v2/key")));
    let options = Options { ca_bundle: Some(bundle.pem().to_owned()), ..Options::default() };
    Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap()
}

#[tokio::test]
async fn a_provider_on_https_is_asked_by_its_name_over_http_2() {
    let authority = Authority::new("ours").unwrap();
    let provider = TlsProvider::start(&authority, NAME, json!("0x1")).await.unwrap();
    let mesh = mesh(&authority, &[("main", &provider)]).await;
    for _ in 0..5 {
        let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
        assert_eq!(answered.result(), Some(json!("0x1")), "{}\n{}", answered.text(), mesh.envoy_log());
    }
    let seen = provider.seen();
    assert!(!seen.server_names.is_empty() && seen.server_names.iter().all(|name| name == NAME), "{seen:?}");
    assert!(seen.protocols.iter().all(|protocol| protocol == "h2"), "{seen:?}");
    assert_eq!((seen.broken, seen.requests.len()), (0, 5), "{seen:?}");
    let authority = provider.url(NAME, "").replace("https://", "");
    assert_eq!(seen.requests[0], (Version::HTTP_2, authority, "/v2/key".to_owned()));
}

/// The first provider is an impostor: it must not be told anything, not even the path.
#[track_caller]
fn never_asked(impostor: &TlsProvider, what: &str) {
    let seen = impostor.seen();
    assert!(seen.broken > 0, "{what}: nobody shook its hand: {seen:?}");
    assert!(seen.requests.is_empty(), "{what}: it was asked: {seen:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_the_next_provider_asked() {
    let authority = Authority::new("ours").unwrap();
    let impostor = TlsProvider::start(&authority, "other.example", json!("stolen")).await.unwrap();
    let good = TlsProvider::start(&authority, NAME, json!("0x1")).await.unwrap();
    let mesh = mesh(&authority, &[("impostor", &impostor), ("good", &good)]).await;
    for method in ["eth_gasPrice", "eth_sendRawTransaction"] {
        let answered = mesh.call("ethereum", method, json!(["0x02"])).await.unwrap();
        assert_eq!(answered.result(), Some(json!("0x1")), "{method}: {}\n{}", answered.text(), mesh.envoy_log());
    }
    never_asked(&impostor, "another name");
    assert_eq!(mesh.stat_sum("impostor/http.ssl.fail_verify_san").await.unwrap(), impostor.seen().broken);
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused_and_the_next_provider_asked() {
    let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
    let impostor = TlsProvider::start(&theirs, NAME, json!("stolen")).await.unwrap();
    let good = TlsProvider::start(&ours, NAME, json!("0x1")).await.unwrap();
    let mesh = mesh(&ours, &[("impostor", &impostor), ("good", &good)]).await;
    let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0x1")), "{}\n{}", answered.text(), mesh.envoy_log());
    never_asked(&impostor, "a stranger's signature");
}
