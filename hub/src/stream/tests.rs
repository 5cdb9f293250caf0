use std::time::Duration;

use h2::client::SendRequest;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, duplex};
use tokio::time::timeout;

use super::*;

/// Of each stream, towards the client.
const WINDOW: u32 = 100;

/// A connection that clients share; each stream has both of its ends here.
struct Scene {
    client: SendRequest<Bytes>,
    server: tokio::sync::mpsc::Receiver<(Reading, Writing)>,
}

/// One client's stream.
struct Pair {
    reading: Reading,
    writing: Writing,
    says: SendStream<Bytes>,
    hears: RecvStream,
}

impl Scene {
    async fn new() -> Self {
        let (ours, theirs) = duplex(1 << 20);
        let (streams, server) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let mut connection = h2::server::Builder::new().initial_window_size(16).handshake(theirs).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let writing = respond.send_response(Response::new(()), false).unwrap();
                streams.send(shared(request.into_body(), writing)).await.unwrap();
            }
        });
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder.initial_window_size(WINDOW).handshake(ours).await.unwrap();
        tokio::spawn(connection);
        Self { client, server }
    }

    async fn pair(&mut self) -> Pair {
        let mut client = self.client.clone().ready().await.unwrap();
        let (response, says) = client.send_request(Request::new(()), false).unwrap();
        let hears = response.await.unwrap().into_body();
        let (reading, writing) = self.server.recv().await.unwrap();
        Pair { reading, writing, says, hears }
    }
}

impl Pair {
    /// So many bytes, which leave their place to others.
    async fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < bytes {
            let data = timeout(Duration::from_secs(5), self.hears.data()).await.unwrap().unwrap().unwrap();
            self.hears.flow_control().release_capacity(data.len()).unwrap();
            heard.extend_from_slice(&data);
        }
        heard
    }
}

#[track_caller]
fn is_full(written: io::Result<usize>) {
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn what_the_window_has_no_room_for_waits_and_neighbours_do_not() {
    let mut scene = Scene::new().await;
    let (mut slow, mut swift) = (scene.pair().await, scene.pair().await);
    assert_eq!(slow.writing.try_write(&[1; 250]).unwrap(), 100);
    is_full(slow.writing.try_write(&[1; 150]));
    assert!(timeout(Duration::from_millis(50), slow.writing.writable()).await.is_err());

    for _ in 0..10 {
        assert_eq!(swift.writing.try_write(&[2; 60]).unwrap(), 60);
        assert_eq!(swift.hear(60).await, [2; 60]);
        // Its room comes back with a word of the client's.
        swift.says.send_data(Bytes::from_static(b"."), false).unwrap();
        swift.reading.read_exact(&mut [0]).await.unwrap();
    }
    assert_eq!(slow.hear(100).await, [1; 100]);
    timeout(Duration::from_secs(5), slow.writing.writable()).await.unwrap().unwrap();
    assert!(slow.writing.try_write(&[1; 150]).unwrap() > 0);
}

#[tokio::test]
async fn pieces_are_joined_as_far_as_there_is_room() {
    let mut pair = Scene::new().await.pair().await;
    let pieces = [&[1; 40][..], &[2; 40], &[3; 40], &[4; 40]].map(IoSlice::new);
    assert_eq!(pair.writing.try_write_vectored(&pieces).unwrap(), 100);
    assert_eq!(pair.hear(100).await, [[1; 40].as_slice(), &[2; 40], &[3; 20]].concat());
}

#[tokio::test]
async fn what_is_held_is_read_later_and_bounded_until_then() {
    let mut pair = Scene::new().await.pair().await;
    let says = tokio::spawn(async move {
        for byte in 0..40 {
            pair.says.reserve_capacity(1);
            while pair.says.capacity() == 0 {
                std::future::poll_fn(|cx| pair.says.poll_capacity(cx)).await.unwrap().unwrap();
            }
            pair.says.send_data(vec![byte].into(), false).unwrap();
        }
        pair.says
    });
    assert!(timeout(Duration::from_millis(50), pair.reading.hold()).await.is_err());
    let Reading::Shared { held, .. } = &pair.reading else { panic!("it is shared") };
    assert_eq!(held.len(), 16, "as much as its window");
    let mut read = [0; 40];
    timeout(Duration::from_secs(5), pair.reading.read_exact(&mut read)).await.unwrap().unwrap();
    assert!(read.iter().copied().eq(0..40));
    says.await.unwrap().send_data(Bytes::new(), true).unwrap();
    assert_eq!(pair.reading.read(&mut read).await.unwrap(), 0);
}

#[tokio::test]
async fn who_is_the_last_to_drop_it_ends_the_writing() {
    let mut pair = Scene::new().await.pair().await;
    assert_eq!(pair.writing.try_write(b"last").unwrap(), 4);
    drop(pair.writing);
    let mut heard = Vec::new();
    while let Some(data) = pair.hears.data().await {
        heard.extend_from_slice(&data.unwrap());
    }
    assert_eq!(heard, b"last");
}

#[tokio::test]
async fn a_stream_that_is_reset_is_broken() {
    let mut pair = Scene::new().await.pair().await;
    pair.says.send_reset(h2::Reason::CANCEL);
    assert!(pair.reading.read(&mut [0]).await.is_err());
    is_full(pair.writing.try_write(b"x"));
    assert!(pair.writing.writable().await.is_err());
}
