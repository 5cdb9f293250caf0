//! `GET /api/events`, as a viewer sees it.

use axum::body::HttpBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::events::{Event, KEPT, TaskRestarted};

fn event(restarts: u64) -> Event {
    Event::TaskRestarted(TaskRestarted { task: "store", restarts })
}

/// The events of a body, as they come.
struct Viewer {
    body: Body,
    text: String,
}

impl Viewer {
    async fn of(site: &Site) -> Self {
        let response = site.ask(Method::GET, "/api/events", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// Name and data of the next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
                let found = (field("event:"), serde_json::from_str(&field("data:")).unwrap());
                self.text = rest.to_owned();
                return Some(found);
            }
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut self.body).poll_frame(cx)).await?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_viewer_sees_what_happens() {
    let site = Site::new(FakeFacts::default(), None);
    let mut viewer = Viewer::of(&site).await;
    site.api.bus.tell(event(1));
    let (name, data) = viewer.next().await.unwrap();
    assert_eq!(name, "task_restarted");
    assert_eq!((&data["v"], &data["region"], &data["data"]["restarts"]), (&1.into(), &"eu".into(), &1.into()));
}

#[tokio::test]
async fn a_slow_viewer_is_told_what_it_missed() {
    let site = Site::new(FakeFacts::default(), None);
    let mut viewer = Viewer::of(&site).await;
    // The relay has not run yet: all of it waits in the bus, which keeps the newest.
    for number in 0..KEPT as u64 + 7 {
        site.api.bus.tell(event(number));
    }
    let (name, data) = viewer.next().await.unwrap();
    assert_eq!((name.as_str(), &data["data"]["count"]), ("skipped", &7.into()));
    assert_eq!(viewer.next().await.unwrap().1["data"]["restarts"], 7);
    assert_eq!(site.api.bus.skipped(), 7);
}

#[tokio::test]
async fn one_viewer_too_many_is_refused_until_another_leaves() {
    let site = Site::new(FakeFacts::default(), None);
    let mut viewers = Vec::new();
    for _ in 0..live::MOST_VIEWERS {
        viewers.push(Viewer::of(&site).await);
    }
    let (status, answer) = site.read("/api/events").await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::TOO_MANY_REQUESTS, &"too_many_viewers".into()));
    viewers.pop();
    let seat = tokio::time::timeout(Duration::from_secs(5), site.api.viewers.acquire()).await.unwrap();
    drop(seat);
    Viewer::of(&site).await;
}

#[tokio::test]
async fn streams_end_when_we_drain() {
    let site = Site::new(FakeFacts::default(), None);
    let mut viewer = Viewer::of(&site).await;
    site.drain.send(true).unwrap();
    assert!(viewer.next().await.is_none());
}

#[tokio::test]
async fn a_socket_is_served_and_drained() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, draining) = watch::channel(false);
    let guard = Guard::new(address, None).unwrap();
    let server = tokio::spawn(serve(listener, Arc::new(FakeFacts::default()), Bus::new(""), guard, draining));

    let mut viewer = TcpStream::connect(address).await.unwrap();
    viewer.write_all(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    viewer.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");

    drain.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("it drains").unwrap();
    let mut rest = Vec::new();
    viewer.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends as it should");
}
