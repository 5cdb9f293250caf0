use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::provider::{CHAIN, Provider, SECRET, Socket, World, site_of};
use super::*;

const ID: &str = "dev/one/ws";
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider with a socket for calls and one for feeds.
struct Scene {
    world: World,
    provider: Provider,
    calls: Socket,
    feeds: Socket,
}

impl Scene {
    async fn new() -> Self {
        let mut provider = Provider::start().await;
        let world = World::of(vec![provider.channel(ID)]);
        let (first, second) = (provider.socket().await, provider.socket().await);
        world.up(ID).await;
        let (calls, feeds) = told_apart(&world, first, second).await;
        Self { world, provider, calls, feeds }
    }

    fn call(&self, body: &str) -> JoinHandle<Result<Bytes, Lost>> {
        call(&self.world, body, PATIENCE)
    }

    fn bind(&self, binding: u64, params: &str) -> mpsc::Receiver<Signal> {
        let (signals, signalled) = mpsc::channel(4);
        self.world.upstream.open(ID, BindingId(binding), params.into(), signals);
        signalled
    }
}

fn call(world: &World, body: &str, patience: Duration) -> JoinHandle<Result<Bytes, Lost>> {
    let (upstream, body) = (world.upstream.clone(), Bytes::copy_from_slice(body.as_bytes()));
    tokio::spawn(async move { upstream.call(ID, body, patience).await })
}

/// Which one is for calls is seen by a call.
async fn told_apart(world: &World, mut first: Socket, mut second: Socket) -> (Socket, Socket) {
    let asked = call(world, r#"{"id":1,"method":"which"}"#, PATIENCE);
    let (request, first_is) = tokio::select! {
        request = first.heard() => (request, true),
        request = second.heard() => (request, false),
    };
    let (calls, feeds) = if first_is { (first, second) } else { (second, first) };
    calls.answer(&request, "0");
    asked.await.unwrap().unwrap();
    (calls, feeds)
}

async fn text(call: JoinHandle<Result<Bytes, Lost>>) -> String {
    String::from_utf8(call.await.unwrap().unwrap().to_vec()).unwrap()
}

async fn signal(signals: &mut mpsc::Receiver<Signal>) -> String {
    let signal = timeout(PATIENCE, signals.recv()).await.expect("no signal").expect("nobody signals");
    format!("{} {:?}", signal.binding.0, signal.happened)
}

#[tokio::test]
async fn ids_come_back_as_they_were_written_whatever_order_answers_have() {
    let mut scene = Scene::new().await;
    let ids = [r#""a\u0062c""#, "12345678901234567890123", "1.0", "null", r#""""#, "-7e3"];
    let mut asked = Vec::new();
    for id in ids {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_blockNumber"}}"#);
        asked.push((id, scene.call(&body), scene.calls.heard().await));
    }
    for (id, call, request) in asked.into_iter().rev() {
        scene.calls.say(format!(r#"{{ "result" : {{"id":5}}, "id" : {} }}"#, request["id"]));
        assert_eq!(text(call).await, format!(r#"{{ "result" : {{"id":5}}, "id" : {id} }}"#));
    }
}

#[tokio::test]
async fn a_batch_is_sent_one_by_one_and_answered_in_order() {
    let mut scene = Scene::new().await;
    let batch = scene.call(r#"[{"id":"x","method":"a"},{"method":"b"},7,{"id":2,"method":"c","params":[1]}]"#);
    let (a, b, c) = (scene.calls.heard().await, scene.calls.heard().await, scene.calls.heard().await);
    assert_eq!([&a["method"], &b["method"], &c["method"]], ["a", "b", "c"]);
    scene.calls.answer(&c, "3");
    scene.calls.answer(&b, "2");
    scene.calls.say(format!(r#"{{"id":{},"error":{{"code":-32000,"message":"no"}}}}"#, a["id"]));
    let answers: Value = serde_json::from_str(&text(batch).await).unwrap();
    assert_eq!(answers.as_array().map(Vec::len), Some(3));
    assert_eq!(answers[0]["id"], "x");
    assert_eq!(answers[0]["error"]["message"], "no");
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!((&answers[2]["id"], &answers[2]["result"]), (&Value::from(2), &Value::from(3)));
}

#[tokio::test]
async fn a_request_without_an_id_is_answered_with_nothing() {
    let mut scene = Scene::new().await;
    let call = scene.call(r#"{"method":"eth_blockNumber"}"#);
    let request = scene.calls.heard().await;
    assert!(request["id"].is_u64());
    scene.calls.answer(&request, "1");
    assert_eq!(text(call).await, "");
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    let mut scene = Scene::new().await;
    assert!(text(scene.call("{")).await.contains("-32700"));
    assert!(text(scene.call("[]")).await.contains("-32600"));
    scene.calls.heard_nothing();
}

#[tokio::test]
async fn a_closed_socket_breaks_what_was_sent_and_nothing_is_sent_without_one() {
    let mut scene = Scene::new().await;
    let call = scene.call(r#"{"id":1,"method":"a"}"#);
    scene.calls.heard().await;
    scene.provider.manners.lock().unwrap().rejects = Some((503, None));
    scene.calls.close(1012);
    assert_eq!(call.await.unwrap(), Err(Lost::Broken));
    let down = scene.world.noticed(|notice| matches!(notice, Notice::SocketDown { .. })).await;
    assert_eq!(down, Notice::SocketDown { channel: ID.into(), because: "closed 1012".into() });
    assert_eq!(scene.call(r#"{"id":1,"method":"a"}"#).await.unwrap(), Err(Lost::Unsent));
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_is_silent_and_its_late_answer_is_nobodys() {
    let mut scene = Scene::new().await;
    let call = call(&scene.world, r#"{"id":1,"method":"a"}"#, Duration::from_millis(50));
    let late = scene.calls.heard().await;
    assert_eq!(call.await.unwrap(), Err(Lost::Silent));
    scene.calls.answer(&late, "1");
    let call = scene.call(r#"{"id":1,"method":"b"}"#);
    let request = scene.calls.heard().await;
    scene.calls.answer(&request, "2");
    assert_eq!(text(call).await, r#"{"jsonrpc":"2.0","id":1,"result":2}"#);
}

#[tokio::test]
async fn an_unknown_channel_has_no_sockets() {
    let scene = Scene::new().await;
    let (signals, mut signalled) = mpsc::channel(1);
    let upstream = &scene.world.upstream;
    assert_eq!(upstream.call("dev/two/ws", Bytes::from_static(b"{}"), PATIENCE).await, Err(Lost::Unsent));
    upstream.open("dev/two/ws", BindingId(9), "[]".into(), signals);
    assert_eq!(signal(&mut signalled).await, r#"9 Lost("no such channel")"#);
}

#[tokio::test]
async fn a_binding_is_accepted_hears_its_events_and_ends_with_an_unsubscribe() {
    let mut scene = Scene::new().await;
    let mut signals = scene.bind(1, r#"["newHeads"]"#);
    let request = scene.feeds.heard().await;
    assert_eq!((&request["method"], &request["params"][0]), (&"eth_subscribe".into(), &"newHeads".into()));
    // A provider that is quicker with events than with the answer.
    scene.feeds.event(r#""0xa""#, r#"{"number":"0x1"}"#);
    scene.feeds.answer(&request, r#""0xa""#);
    scene.feeds.event(r#""0xa""#, r#"{"number":"0x2"}"#);
    assert_eq!(signal(&mut signals).await, "1 Accepted");
    assert_eq!(signal(&mut signals).await, r#"1 Arrived("{\"number\":\"0x1\"}")"#);
    assert_eq!(signal(&mut signals).await, r#"1 Arrived("{\"number\":\"0x2\"}")"#);
    scene.world.upstream.close(ID, BindingId(1));
    let request = scene.feeds.heard().await;
    assert_eq!((&request["method"], &request["params"][0]), (&"eth_unsubscribe".into(), &"0xa".into()));
}

#[tokio::test]
async fn a_slow_owner_misses_nothing() {
    let mut scene = Scene::new().await;
    let mut signals = scene.bind(1, r#"["newHeads"]"#);
    let request = scene.feeds.heard().await;
    scene.feeds.answer(&request, r#""0xa""#);
    (0..100).for_each(|number| scene.feeds.event(r#""0xa""#, &number.to_string()));
    assert_eq!(signal(&mut signals).await, "1 Accepted");
    for number in 0..100 {
        assert_eq!(signal(&mut signals).await, format!("1 Arrived(\"{number}\")"));
    }
}

#[tokio::test]
async fn bindings_are_lost_with_their_socket() {
    let mut scene = Scene::new().await;
    let (mut first, mut second) = (scene.bind(1, "[]"), scene.bind(2, "[]"));
    let request = scene.feeds.heard().await;
    scene.feeds.answer(&request, r#""0xa""#);
    assert_eq!(signal(&mut first).await, "1 Accepted");
    scene.feeds.heard().await;
    scene.feeds.cut().await;
    assert!(signal(&mut first).await.starts_with("1 Lost"));
    assert!(signal(&mut second).await.starts_with("2 Lost"));
    assert!(first.recv().await.is_none() && second.recv().await.is_none());
}

#[tokio::test]
async fn headers_and_path_are_sent_and_shown_to_nobody() {
    let scene = Scene::new().await;
    assert_eq!(scene.calls.request.headers()["x-api-key"], SECRET);
    assert_eq!(scene.calls.request.uri().path(), format!("/v2/{SECRET}"));
    let shown = format!("{:?} {:?}", scene.world.upstream, site_of(vec![scene.provider.channel(ID)]));
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn another_chain_is_told_and_not_used() {
    let mut provider = Provider::start().await;
    provider.manners.lock().unwrap().chain_id = 5;
    let mut world = World::of(vec![provider.channel(ID)]);
    let notice = world.noticed(|notice| matches!(notice, Notice::ChainId { .. })).await;
    assert_eq!(notice, Notice::ChainId { channel: ID.into(), chain_id: 5 });
    let notice = world.noticed(|notice| !matches!(notice, Notice::ChainId { .. })).await;
    assert_eq!(notice, Notice::SocketDown { channel: ID.into(), because: "wrong chain id 5".into() });
    provider.socket().await.gone().await;
    provider.socket().await.gone().await;
    assert_eq!(call(&world, r#"{"id":1,"method":"a"}"#, PATIENCE).await.unwrap(), Err(Lost::Unsent));
    assert_eq!(world.upstream.status().borrow().get(ID), Some(&Sockets::default()));
}

#[tokio::test]
async fn the_right_chain_is_told_once() {
    let mut scene = Scene::new().await;
    scene.calls.close(1001);
    scene.provider.socket().await;
    scene.world.up(ID).await;
    scene.world.site.send_replace(Arc::new(site_of(Vec::new())));
    let mut chain_ids = Vec::new();
    while let Ok(Ok(notice)) = timeout(Duration::from_millis(200), scene.world.notices.recv()).await {
        chain_ids.extend(matches!(notice, Notice::ChainId { .. }).then_some(notice));
    }
    assert_eq!(chain_ids, [Notice::ChainId { channel: ID.into(), chain_id: CHAIN }]);
}

#[tokio::test]
async fn a_rejected_upgrade_is_told_by_its_status_and_its_retry_after_is_obeyed() {
    let provider = Provider::start().await;
    provider.manners.lock().unwrap().rejects = Some((429, Some("2")));
    let mut world = World::of(vec![provider.channel(ID)]);
    let down = Notice::SocketDown { channel: ID.into(), because: "http 429".into() };
    assert_eq!(world.noticed(|_| true).await, down);
    for _ in 0..3 {
        assert_eq!(world.noticed(|_| true).await, down);
    }
    // Both sockets dialled twice.
    let dials = provider.dials.lock().unwrap();
    assert!(dials[2] - dials[1] > Duration::from_millis(1_900), "{dials:?}");
}

#[tokio::test]
async fn a_refused_dial_is_told_and_made_again() {
    let mut provider = Provider::start().await;
    let channel = provider.channel(ID);
    let mut nowhere = provider.channel(ID);
    nowhere.url = url::Url::parse("ws://127.0.0.1:9/").unwrap();
    let mut world = World::of(vec![nowhere]);
    let down = world.noticed(|_| true).await;
    assert_eq!(down, Notice::SocketDown { channel: ID.into(), because: "refused".into() });
    world.site.send_replace(Arc::new(site_of(vec![channel])));
    provider.socket().await;
    world.up(ID).await;
}

#[tokio::test]
async fn a_channel_that_did_not_change_keeps_its_sockets() {
    let mut scene = Scene::new().await;
    let other = Provider::start().await;
    let mut again = scene.provider.channel(ID);
    again.priority = 7;
    let site = site_of(vec![again, other.channel("dev/two/ws")]);
    scene.world.site.send_replace(Arc::new(site));
    scene.world.up("dev/two/ws").await;
    let call = scene.call(r#"{"id":1,"method":"a"}"#);
    let request = scene.calls.heard().await;
    scene.calls.answer(&request, "1");
    text(call).await;
    assert_eq!(scene.provider.dials.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn more_or_fewer_sockets_leave_alone_those_that_stay() {
    let mut scene = Scene::new().await;
    let mut signals = scene.bind(1, "[]");
    let asked = scene.feeds.heard().await;
    scene.feeds.answer(&asked, "\"0x1\"");
    assert_eq!(signal(&mut signals).await, "1 Accepted");
    let channel = scene.provider.channel(ID);
    let sized = |sockets: usize| {
        let mut site = site_of(vec![channel.clone()]);
        site.limits.provider_sockets = sockets;
        Arc::new(site)
    };
    scene.world.site.send_replace(sized(3));
    let (two, three) = (scene.provider.socket().await, scene.provider.socket().await);
    let mut sockets = [scene.calls, two, three];
    // Each call goes to a socket that has none, once all are up.
    let all_up = async {
        while scene.world.upstream.lines.borrow()[ID].lanes.iter().any(|lane| lane.load().is_none()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_up).await.expect("not all are up");
    let calls: Vec<_> = (0..3).map(|_| call(&scene.world, r#"{"id":1,"method":"a"}"#, PATIENCE)).collect();
    let mut requests = Vec::new();
    for socket in &mut sockets {
        requests.push(socket.heard().await);
    }
    scene.world.site.send_replace(sized(1));
    let one_left = async {
        while scene.world.upstream.lines.borrow()[ID].lanes.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, one_left).await.expect("the lanes stay");
    // What is under way ends before its socket does.
    for (socket, request) in sockets.iter().zip(&requests) {
        socket.answer(request, "7");
    }
    for call in calls {
        assert!(text(call).await.contains("7"));
    }
    let [mut first, second, third] = sockets;
    second.gone().await;
    third.gone().await;
    let last = call(&scene.world, r#"{"id":1,"method":"a"}"#, PATIENCE);
    let request = first.heard().await;
    first.answer(&request, "8");
    assert!(text(last).await.contains("8"));
    scene.feeds.event("\"0x1\"", "{}");
    assert_eq!(signal(&mut signals).await, "1 Arrived(\"{}\")");
    assert_eq!(scene.provider.dials.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_channel_that_changed_is_dialled_anew_and_one_that_is_gone_is_left() {
    let mut scene = Scene::new().await;
    let mut signals = scene.bind(1, "[]");
    scene.feeds.heard().await;
    let mut changed = scene.provider.channel(ID);
    changed.headers = vec![("x-api-key".into(), "other".into())];
    scene.world.site.send_replace(Arc::new(site_of(vec![changed])));
    assert!(signal(&mut signals).await.starts_with("1 Lost"));
    scene.calls.gone().await;
    scene.feeds.gone().await;
    let next = scene.provider.socket().await;
    assert_eq!(next.request.headers()["x-api-key"], "other");
    scene.world.up(ID).await;
    scene.world.site.send_replace(Arc::new(site_of(Vec::new())));
    next.gone().await;
    assert!(scene.world.upstream.status().borrow().is_empty());
}

#[tokio::test]
async fn providers_behind_tls_must_be_vouched_for() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut provider = Provider::behind(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let mut channel = provider.channel(ID);
    channel.url = url::Url::parse(&format!("wss://localhost:{}/", provider.address.port())).unwrap();
    let mut stranger = World::of(vec![channel.clone()]);
    let down = Notice::SocketDown { channel: ID.into(), because: "tls".into() };
    assert_eq!(stranger.noticed(|_| true).await, down);
    let world = World::with(vec![channel], vec![made.cert.der().clone()]);
    let _both = (provider.socket().await, provider.socket().await);
    world.up(ID).await;
    // Who vouches for it may become known later.
    stranger.trust(vec![made.cert.der().clone()]);
    let _later = (provider.socket().await, provider.socket().await);
    stranger.up(ID).await;
}
