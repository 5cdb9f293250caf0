use tokio::time::advance;

use super::*;
use crate::upstream::provider::site_of;

const ID: &str = "dev/one/ws";

struct Scene {
    channel: Arc<Channel>,
    status: watch::Receiver<Arc<Status>>,
    notices: broadcast::Receiver<Notice>,
    task: tokio::task::JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        let (status, seen) = watch::channel(Arc::default());
        let (told, notices) = broadcast::channel(64);
        let spec = WsChannel {
            id: ID.into(),
            chain_id: 1,
            url: url::Url::parse("ws://127.0.0.1:1/").unwrap(),
            headers: Vec::new(),
            kinds: None,
            priority: 0,
        };
        assert!(site_of(vec![spec.clone()]).channels.contains(&spec));
        let channel = Channel::new(spec, 2, Board { status, notices: told });
        let task = tokio::spawn({
            let channel = Arc::clone(&channel);
            async move { channel.tell().await }
        });
        Self { channel, status: seen, notices, task }
    }

    /// What is told within so many seconds.
    #[track_caller]
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            told.push(match notice {
                Notice::Connected { connected, .. } => format!("connected {connected}"),
                Notice::SocketUp { .. } => "up".into(),
                Notice::SocketDown { because, .. } => format!("down: {because}"),
                Notice::ChainId { chain_id, .. } => format!("chain {chain_id}"),
                Notice::Head { .. } | Notice::Feed { .. } | Notice::ClientClosed { .. } => panic!("not ours"),
            });
        }
        told
    }

    async fn after(&mut self, millis: u64) -> Vec<String> {
        // Who waits for the clock sees its last step before the next is made.
        settle().await;
        advance(Duration::from_millis(millis)).await;
        settle().await;
        self.told()
    }
}

async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_may_use_it_after_five_seconds_without_a_break() {
    let mut scene = Scene::new();
    let first = scene.channel.calls_up();
    assert_eq!(scene.after(4_999).await, ["up"]);
    assert_eq!(scene.after(1).await, ["connected true"]);
    let second = scene.channel.calls_up();
    drop(first);
    assert_eq!(scene.after(60_000).await, ["up"]);
    drop(second);
    assert_eq!(scene.after(0).await, ["connected false"]);
}

#[tokio::test(start_paused = true)]
async fn a_break_starts_the_five_seconds_anew_however_short_it_is() {
    let mut scene = Scene::new();
    let first = scene.channel.calls_up();
    assert_eq!(scene.after(5_000).await, ["up", "connected true"]);
    drop(first);
    advance(Duration::from_millis(1)).await;
    let _second = scene.channel.calls_up();
    assert_eq!(scene.after(4_999).await, ["connected false", "up"]);
    assert_eq!(scene.after(1).await, ["connected true"]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_for_feeds_is_shown_and_is_none_for_calls() {
    let mut scene = Scene::new();
    let up = scene.channel.feeds_up();
    scene.channel.round_trip(Duration::from_millis(8));
    assert_eq!(scene.after(60_000).await, ["up"]);
    let sockets = Sockets { calls_since: None, feeds: true, round_trip: Some(Duration::from_millis(8)) };
    assert_eq!(scene.status.borrow().get(ID), Some(&sockets));
    drop(up);
    scene.after(0).await;
    assert_eq!(scene.status.borrow().get(ID), Some(&Sockets::default()));
}

#[tokio::test(start_paused = true)]
async fn the_chain_is_told_when_it_is_news() {
    let mut scene = Scene::new();
    [1, 1, 5, 5, 1].into_iter().for_each(|chain_id| scene.channel.serves(chain_id));
    assert_eq!(scene.told(), ["chain 1", "chain 5", "chain 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_retired_channel_is_not_connected_and_tells_nothing_more() {
    let mut scene = Scene::new();
    let first = scene.channel.calls_up();
    scene.after(5_000).await;
    scene.channel.retire();
    assert_eq!(scene.told(), ["connected false"]);
    drop(first);
    let _second = scene.channel.calls_up();
    assert_eq!(scene.after(60_000).await, ["up"]);
    assert!(scene.status.borrow().is_empty());
    scene.task.abort();
}
