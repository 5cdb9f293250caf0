use futures_util::FutureExt;
use lasso_jsonrpc::Payload;
use lasso_jsonrpc::request::parse;

use super::*;

struct Scene {
    lane: Arc<Lane>,
    up: Option<Up>,
    jobs: mpsc::Receiver<Job>,
}

impl Scene {
    fn new() -> Self {
        let (queue, jobs) = mpsc::channel(MOST_PENDING);
        let lane = Lane::new();
        let up = Some(lane.open(queue));
        Self { lane, up, jobs }
    }

    fn submit(&self, calls: usize) -> Option<Vec<Ticket>> {
        let Ok(Payload::Single(call)) = parse(br#"{"id":7,"method":"a"}"#, 1) else { panic!("no call") };
        self.lane.submit(&vec![&call; calls])
    }

    /// What the socket sends next.
    fn sent(&mut self) -> Option<u64> {
        loop {
            let job = self.jobs.try_recv().ok()?;
            if self.lane.admit(&job) {
                return Some(job.number);
            }
        }
    }

    async fn fallen(mut self, mut ticket: Ticket) -> Lost {
        drop(self.up.take());
        ticket.answer().await.unwrap_err()
    }
}

#[tokio::test]
async fn what_was_not_sent_is_unsent_and_what_was_is_broken() {
    let mut scene = Scene::new();
    let ticket = scene.submit(1).unwrap().pop().unwrap();
    assert!(scene.sent().is_some());
    assert_eq!(scene.fallen(ticket).await, Lost::Broken);
    let scene = Scene::new();
    let ticket = scene.submit(1).unwrap().pop().unwrap();
    assert_eq!(scene.fallen(ticket).await, Lost::Unsent);
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place_and_is_not_sent() {
    let mut scene = Scene::new();
    let first = scene.submit(1).unwrap();
    let second = scene.submit(1).unwrap();
    drop(first);
    assert_eq!(scene.lane.load(), Some(1));
    assert_eq!(scene.sent(), Some(2));
    assert_eq!(scene.sent(), None);
    drop(second);
    assert_eq!(scene.lane.load(), Some(0));
}

#[tokio::test]
async fn pending_calls_are_bounded_and_a_batch_goes_whole_or_not_at_all() {
    let scene = Scene::new();
    let most = scene.submit(MOST_PENDING - 1).unwrap();
    assert!(scene.submit(2).is_none());
    assert_eq!(scene.lane.load(), Some(MOST_PENDING - 1));
    let last = scene.submit(1).unwrap();
    assert!(scene.submit(1).is_none());
    drop((most, last));
    // The queue still holds what nobody waits for.
    assert!(scene.submit(1).is_none());
}

#[tokio::test]
async fn numbers_are_not_given_again_by_the_next_socket() {
    let mut scene = Scene::new();
    let _first = scene.submit(1).unwrap();
    let old = scene.sent().unwrap();
    drop(scene.up.take());
    assert!(scene.lane.load().is_none() && scene.submit(1).is_none());
    let (queue, jobs) = mpsc::channel(MOST_PENDING);
    (scene.up, scene.jobs) = (Some(scene.lane.open(queue)), jobs);
    let _second = scene.submit(1).unwrap();
    assert!(scene.sent().unwrap() > old);
}

#[tokio::test]
async fn giving_up_says_whether_it_was_sent() {
    let mut scene = Scene::new();
    let [first, second] = <[Ticket; 2]>::try_from(scene.submit(2).unwrap()).unwrap();
    scene.sent().unwrap();
    assert_eq!(first.give_up(), Lost::Silent);
    assert_eq!(second.give_up(), Lost::Unsent);
}

#[tokio::test]
async fn a_lane_that_retires_takes_no_call_and_ends_what_is_under_way() {
    let mut scene = Scene::new();
    let (first, second) = (scene.submit(1).unwrap(), scene.submit(1).unwrap());
    let lane = Arc::clone(&scene.lane);
    let mut retired = Box::pin(lane.retire());
    assert!((&mut retired).now_or_never().is_none());
    assert!(scene.submit(1).is_none());
    assert_eq!((scene.sent(), scene.sent()), (Some(1), Some(2)), "what was queued is sent");
    drop(first);
    assert!((&mut retired).now_or_never().is_none());
    drop(second);
    assert!((&mut retired).now_or_never().is_some());
}

#[tokio::test]
async fn a_lane_whose_socket_falls_has_retired() {
    let mut scene = Scene::new();
    let _ticket = scene.submit(1).unwrap();
    let lane = Arc::clone(&scene.lane);
    let mut retired = Box::pin(lane.retire());
    assert!((&mut retired).now_or_never().is_none());
    drop(scene.up.take());
    assert!(retired.now_or_never().is_some());
}
