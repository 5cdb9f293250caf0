use super::*;

struct Scene {
    book: Book,
    signals: mpsc::Sender<Signal>,
    _signalled: mpsc::Receiver<Signal>,
}

impl Scene {
    fn new() -> Self {
        let (signals, _signalled) = mpsc::channel(1);
        let mut book = Book::default();
        book.up();
        Self { book, signals, _signalled }
    }

    fn open(&mut self, binding: u64) -> u64 {
        self.book.open(BindingId(binding), "[]", &self.signals).unwrap();
        self.asked("eth_subscribe")
    }

    fn close(&mut self, binding: u64) {
        self.book.close(BindingId(binding));
    }

    /// The number of the next request, which has this method.
    #[track_caller]
    fn asked(&mut self, method: &str) -> u64 {
        let job = self.book.next_job().expect("nothing is asked");
        assert!(job.text.contains(method), "{}", job.text);
        job.number
    }

    #[track_caller]
    fn check(&mut self, said: &str, expected: &[&str]) {
        let told = self.book.hear(said).into_iter();
        let told: Vec<_> =
            told.map(|Told { signal, .. }| format!("{} {:?}", signal.binding.0, signal.happened)).collect();
        assert_eq!(told, expected, "{said}");
    }

    #[track_caller]
    fn named(&mut self, number: u64, name: &str, expected: &[&str]) {
        self.check(&format!(r#"{{"id":{number},"result":{name}}}"#), expected);
    }

    #[track_caller]
    fn event(&mut self, name: &str, payload: &str, expected: &[&str]) {
        self.check(&format!(r#"{{"params":{{"subscription":{name},"result":{payload}}}}}"#), expected);
    }
}

#[test]
fn events_before_the_answer_wait_for_it() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.event("7", "1", &[]);
    scene.event("8", "2", &[]);
    scene.event("7", "3", &[]);
    scene.named(number, "7", &["1 Accepted", r#"1 Arrived("1")"#, r#"1 Arrived("3")"#]);
    scene.event("7", "4", &[r#"1 Arrived("4")"#]);
    // Nobody waits for a name any more.
    scene.event("9", "5", &[]);
    let number = scene.open(2);
    scene.named(number, "9", &["2 Accepted"]);
}

#[test]
fn one_name_may_serve_two_and_is_given_back_once() {
    let mut scene = Scene::new();
    let (first, second) = (scene.open(1), scene.open(2));
    scene.named(first, "7", &["1 Accepted"]);
    scene.named(second, "7", &["2 Accepted"]);
    scene.event("7", "1", &[r#"1 Arrived("1")"#, r#"2 Arrived("1")"#]);
    scene.close(1);
    assert!(scene.book.next_job().is_none());
    scene.event("7", "2", &[r#"2 Arrived("2")"#]);
    scene.close(2);
    scene.asked("eth_unsubscribe");
    scene.event("7", "3", &[]);
}

#[test]
fn a_binding_that_is_closed_while_it_is_asked_for_is_ended_upon_the_answer() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.close(1);
    assert!(scene.book.next_job().is_none());
    scene.event("7", "1", &[]);
    scene.named(number, "7", &[]);
    scene.asked("eth_unsubscribe");
    scene.event("7", "2", &[]);
}

#[test]
fn a_name_that_is_given_again_brings_nothing_old() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.named(number, "7", &["1 Accepted"]);
    scene.close(1);
    let left = scene.asked("eth_unsubscribe");
    let number = scene.open(2);
    scene.event("7", r#""old""#, &[]);
    scene.named(left, "true", &[]);
    scene.event("7", r#""new""#, &[]);
    scene.named(number, "7", &["2 Accepted", r#"2 Arrived("\"new\"")"#]);
}

#[test]
fn a_shared_name_that_was_given_back_meanwhile_is_lost() {
    let mut scene = Scene::new();
    let first = scene.open(1);
    scene.named(first, "7", &["1 Accepted"]);
    let second = scene.open(2);
    scene.close(1);
    scene.asked("eth_unsubscribe");
    scene.named(second, "7", &[r#"2 Lost("ended by the provider")"#]);
}

#[test]
fn a_refusal_brings_the_providers_error() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.check(
        &format!(r#"{{"id":{number},"error":{{"code":-32601,"message":"no such subscription"}}}}"#),
        &[r#"1 Refused { code: -32601, message: "no such subscription" }"#],
    );
    let number = scene.open(2);
    scene.named(number, "null", &[r#"2 Refused { code: 0, message: "no subscription in the answer" }"#]);
    scene.close(1);
    assert!(scene.book.next_job().is_none());
}

#[test]
fn a_provider_can_give_a_subscription_up() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.named(number, "7", &["1 Accepted"]);
    scene.check(r#"{"params":{"subscription":7,"error":{"code":1}}}"#, &[r#"1 Lost("ended by the provider")"#]);
    scene.close(1);
    assert!(scene.book.next_job().is_none());
}

#[test]
fn all_are_lost_with_the_socket_and_none_can_be_opened_without() {
    let mut scene = Scene::new();
    let number = scene.open(1);
    scene.open(2);
    scene.named(number, "7", &["1 Accepted"]);
    assert_eq!(scene.book.fall("reset").len(), 2);
    assert_eq!(scene.book.open(BindingId(3), "[]", &scene.signals), Err("no socket"));
    scene.book.up();
    scene.event("7", "1", &[]);
}

#[test]
fn everything_is_bounded() {
    let mut scene = Scene::new();
    let number = scene.open(0);
    for event in 0..2 * MOST_STRAYS {
        scene.event("7", &event.to_string(), &[]);
    }
    assert_eq!(scene.book.strays.len(), MOST_STRAYS);
    let large = format!("\"{}\"", "x".repeat(MOST_STRAY_BYTES - 2));
    scene.event("7", &large, &[]);
    assert_eq!(scene.book.strays.len(), 1);
    scene.named(number, "8", &["0 Accepted"]);
    assert_eq!((scene.book.strays.len(), scene.book.stray_bytes), (0, 0));
    for binding in 1..MOST_BINDINGS as u64 {
        scene.open(binding);
    }
    assert!(scene.book.open(BindingId(9_999), "[]", &scene.signals).is_err());
    for binding in 1..=MOST_ASKED as u64 {
        assert!(!scene.book.is_deaf());
        scene.close(binding);
        scene.open(binding + MOST_ASKED as u64);
        scene.close(binding + MOST_ASKED as u64);
        if scene.book.is_deaf() {
            return;
        }
    }
    panic!("what is not answered has no bound");
}
