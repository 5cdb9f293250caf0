//! Over a pipe, with a clock that only waiting moves.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// What fits into the pipe.
const PIPE: usize = 64 * 1024;

async fn wire(proof: Proof) -> (Wire, mpsc::Sender<Job>, DuplexStream) {
    let (ours, theirs) = duplex(PIPE);
    let (io, meter) = Metered::new(Box::new(ours));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    let (wire, jobs) = Wire::new((socket, meter), proof, |_| true);
    (wire, jobs, theirs)
}

async fn provider(theirs: DuplexStream) -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(theirs, Role::Server, None).await
}

/// Reads on until the wire is dead; when and why.
async fn end(wire: &mut Wire) -> (Duration, Cause) {
    let started = Instant::now();
    loop {
        if let Err(cause) = wire.next().await {
            return (started.elapsed(), cause);
        }
    }
}

fn job(text: String) -> Job {
    Job { number: 1, text: text.into() }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_dead_after_five_seconds() {
    for proof in [Proof::Pongs, Proof::Anything] {
        let (mut wire, _jobs, _theirs) = wire(proof).await;
        assert_eq!(end(&mut wire).await, (PATIENCE, Cause::NoPong));
    }
}

#[tokio::test(start_paused = true)]
async fn pings_that_are_answered_keep_a_quiet_socket_alive() {
    let (mut wire, _jobs, theirs) = wire(Proof::Pongs).await;
    let mut provider = provider(theirs).await;
    let answering = tokio::spawn(async move { while provider.next().await.is_some() {} });
    assert!(timeout(Duration::from_secs(60), end(&mut wire)).await.is_err());
    assert!(wire.round_trip().is_some());
    answering.abort();
    let _ = answering.await;
    assert!(end(&mut wire).await.0 < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn events_without_pongs_keep_calls_alive_but_not_feeds_that_had_some() {
    for (proof, expected) in [(Proof::Pongs, Some(Cause::NoPong)), (Proof::Anything, None)] {
        let (mut wire, _jobs, theirs) = wire(proof).await;
        let mut provider = provider(theirs).await;
        let events = tokio::spawn(async move {
            // The first ping is answered; then nothing is read any more.
            provider.next().await.unwrap().unwrap();
            provider.flush().await.unwrap();
            let mut pace = interval(SECOND);
            loop {
                pace.tick().await;
                provider.send(Message::text("{}")).await.unwrap();
            }
        });
        let ended = timeout(Duration::from_secs(20), end(&mut wire)).await.ok();
        assert_eq!(ended.map(|(_, cause)| cause), expected, "{proof:?}");
        events.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_pings_is_asked_something() {
    let (mut wire, _jobs, theirs) = wire(Proof::Pongs).await;
    let (mut reading, mut writing) = tokio::io::split(theirs);
    let answering = tokio::spawn(async move {
        let mut frames = [0; 4_096];
        loop {
            let read = reading.read(&mut frames).await.unwrap();
            // Pings have 8 bytes, a mask and a head of 2.
            if read > 14 {
                writing.write_all(b"\x81\x12{\"id\":0,\"result\":").await.unwrap();
                writing.write_all(b"}").await.unwrap();
            }
        }
    });
    assert!(timeout(Duration::from_secs(60), end(&mut wire)).await.is_err());
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_takes_long_is_a_sign_of_life() {
    let (mut wire, _jobs, mut theirs) = wire(Proof::Anything).await;
    let writing = tokio::spawn(async move {
        let length = 60_000_u16;
        theirs.write_all(&[0x81, 126]).await.unwrap();
        theirs.write_all(&length.to_be_bytes()).await.unwrap();
        let mut pace = interval(SECOND);
        for _ in 0..60 {
            pace.tick().await;
            theirs.write_all(&[b'x'; 1_000]).await.unwrap();
        }
        theirs
    });
    let started = Instant::now();
    let Ok(Heard::Text(text)) = wire.next().await else { panic!("no answer") };
    assert_eq!(text.len(), 60_000);
    assert!(started.elapsed() > Duration::from_secs(50));
    drop(writing.await);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_read_is_left() {
    let (mut wire, jobs, theirs) = wire(Proof::Anything).await;
    let (_reading, mut writing) = tokio::io::split(theirs);
    jobs.try_send(job("x".repeat(2 * PIPE))).unwrap();
    let talking = tokio::spawn(async move {
        let mut pace = interval(SECOND);
        while writing.write_all(b"\x81\x02{}").await.is_ok() {
            pace.tick().await;
        }
    });
    assert_eq!(end(&mut wire).await, (PATIENCE, Cause::Stuck));
    talking.abort();
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_write_failed_is_still_heard() {
    let (mut wire, jobs, theirs) = wire(Proof::Anything).await;
    let mut provider = provider(theirs).await;
    provider.send(Message::text("answer")).await.unwrap();
    provider.send(Message::Close(Some(CloseFrame { code: 1012.into(), reason: "".into() }))).await.unwrap();
    drop(provider);
    jobs.try_send(job("request".into())).unwrap();
    assert!(matches!(wire.next().await, Ok(Heard::Text(text)) if text.as_str() == "answer"));
    assert_eq!(wire.next().await.unwrap_err(), Cause::Closed(1012));
}

#[tokio::test(start_paused = true)]
async fn a_time_in_which_nobody_listened_is_not_held_against_the_provider() {
    let (mut wire, _jobs, theirs) = wire(Proof::Pongs).await;
    let mut provider = provider(theirs).await;
    let answering = tokio::spawn(async move { while provider.next().await.is_some() {} });
    assert!(matches!(wire.next().await, Ok(Heard::Pong)));
    tokio::time::advance(60 * SECOND).await;
    wire.resume();
    assert!(matches!(wire.next().await, Ok(Heard::Pong)));
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_none_end_the_socket() {
    for garbage in [&b"\xff\x02{}"[..], b"\x81\x02\xff\xfe", b"\x81\x82\0\0\0\0{}"] {
        let (mut wire, _jobs, mut theirs) = wire(Proof::Anything).await;
        theirs.write_all(garbage).await.unwrap();
        assert_eq!(end(&mut wire).await.1, Cause::Protocol, "{garbage:?}");
    }
}
