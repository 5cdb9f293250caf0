use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::upstream::provider::{Provider, Socket, TOKEN as WORD, World};

const PATH: &str = "/channel/dev%2Fone/ws";
const CALL: &str = r#"{"id":"x","method":"eth_blockNumber"}"#;

/// A channel, and Envoy's HTTP/2 connection to the hub.
struct Scene {
    provider: Provider,
    calls: Vec<Socket>,
    world: Arc<World>,
    envoy: h2::client::SendRequest<Bytes>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Answer(u16, String),
    Reset(Option<Reason>),
}

impl Scene {
    async fn new() -> Self {
        let mut provider = Provider::start().await;
        let world = Arc::new(World::of(vec![provider.channel("dev/one/ws")]));
        let calls = vec![provider.socket().await, provider.socket().await];
        world.up("dev/one/ws").await;
        let (ours, theirs) = duplex(1 << 16);
        tokio::spawn({
            let world = Arc::clone(&world);
            let service = service_fn(move |request| answer(request, Arc::clone(&world)));
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(theirs), service)
        });
        let (envoy, connection) = h2::client::handshake(ours).await.unwrap();
        tokio::spawn(connection);
        Self { provider, calls, world, envoy }
    }

    fn ask(&self, path: &str, token: &str, body: &str) -> tokio::task::JoinHandle<Seen> {
        let request = Request::post(format!("http://hub{path}")).header(TOKEN, token).body(()).unwrap();
        tokio::spawn(ask(self.envoy.clone(), request, Bytes::copy_from_slice(body.as_bytes())))
    }

    /// The request at the provider, and where it came.
    async fn heard(&mut self) -> (serde_json::Value, Socket) {
        let (mut second, mut first) = (self.calls.pop().unwrap(), self.calls.pop().unwrap());
        tokio::select! {
            request = first.heard() => (request, first),
            request = second.heard() => (request, second),
        }
    }
}

async fn answer(request: Request<Incoming>, world: Arc<World>) -> Result<Response<Full<Bytes>>, BridgeError> {
    let site = Arc::clone(&world.site.borrow());
    serve(request, &world.upstream, &site).await
}

async fn ask(envoy: h2::client::SendRequest<Bytes>, request: Request<()>, body: Bytes) -> Seen {
    let (response, mut stream) = envoy.ready().await.unwrap().send_request(request, false).unwrap();
    stream.send_data(body, true).unwrap();
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return Seen::Reset(error.reason()),
    };
    let status = response.status().as_u16();
    let (mut body, mut text) = (response.into_body(), Vec::new());
    while let Some(chunk) = body.data().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    Seen::Answer(status, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn an_answer_comes_with_the_callers_id() {
    let mut scene = Scene::new().await;
    let asked = scene.ask(PATH, WORD, CALL);
    let (request, socket) = scene.heard().await;
    socket.answer(&request, r#""0x1""#);
    let answer = r#"{"jsonrpc":"2.0","id":"x","result":"0x1"}"#;
    assert_eq!(asked.await.unwrap(), Seen::Answer(200, answer.into()));
}

#[tokio::test]
async fn only_envoy_comes_in() {
    let scene = Scene::new().await;
    let nothing = || Seen::Answer(404, String::new());
    for (path, token) in
        [(PATH, ""), (PATH, "hub-wora"), ("/other", WORD), ("/channel/%zz", WORD), ("/channel/%", WORD)]
    {
        assert_eq!(scene.ask(path, token, CALL).await.unwrap(), nothing(), "{path} {token}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read() {
    let scene = Scene::new().await;
    let body = format!(r#"{{"id":1,"method":"{}"}}"#, "x".repeat(1_024));
    assert_eq!(scene.ask(PATH, WORD, &body).await.unwrap(), Seen::Answer(413, String::new()));
}

#[tokio::test]
async fn what_was_never_sent_is_refused_and_may_be_sent_elsewhere() {
    let scene = Scene::new().await;
    let seen = scene.ask("/channel/dev/two/ws", WORD, CALL).await.unwrap();
    assert_eq!(seen, Seen::Reset(Some(Reason::REFUSED_STREAM)));
}

#[tokio::test]
async fn what_broke_after_it_was_sent_is_an_internal_error() {
    let mut scene = Scene::new().await;
    let asked = scene.ask(PATH, WORD, CALL);
    scene.heard().await.1.cut().await;
    assert_eq!(asked.await.unwrap(), Seen::Reset(Some(Reason::INTERNAL_ERROR)));
    // The others of the connection go on.
    assert_eq!(scene.ask("/other", WORD, CALL).await.unwrap(), Seen::Answer(404, String::new()));
    drop(scene.provider);
}

#[tokio::test]
async fn without_streams_to_reset_there_are_statuses() {
    let scene = Scene::new().await;
    let (mut ours, theirs) = duplex(1 << 16);
    let world = Arc::clone(&scene.world);
    tokio::spawn(http1(theirs, world));
    let head = format!("POST /channel/none HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{TOKEN}: {WORD}\r\n");
    ours.write_all(format!("{head}content-length: {}\r\n\r\n{CALL}", CALL.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

async fn http1(theirs: DuplexStream, world: Arc<World>) -> Result<(), Infallible> {
    let service = service_fn(move |request| answer(request, Arc::clone(&world)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(theirs), service).await;
    Ok(())
}

#[track_caller]
fn check(path: &str, expected: Option<&str>) {
    assert_eq!(decoded(path).as_deref(), expected, "{path}");
}

#[test]
fn channels_are_named_with_and_without_percents() {
    check("a/b/ws", Some("a/b/ws"));
    check("a%2Fb%2fws", Some("a/b/ws"));
    check("caf%C3%A9", Some("café"));
    for path in ["%", "%2", "%+1", "%zz", "%ff", "a%é"] {
        check(path, None);
    }
}
