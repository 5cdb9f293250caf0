//! Configurations, and what the main thread does for all workers.
//!
//! Duty: read a plugin's configuration; every 100 ms and when a worker found something urgent, let each worker report and follow tables over its own gRPC
//! stream, which the newest configuration of DOWN owns; hand counters to Envoy.
//! Invariants: streams are opened, written and reset on the main thread and never while a worker's desk is held, since Envoy may call back at once; what it
//! calls back with waits in a queue until it can be read.
//! Leaves to others: what is reported and followed (`lasso_filter::sync`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use lasso_filter::stats::COUNTERS;
use lasso_filter::sync::{self, Streams};
use lasso_filter::worker::Worker;
use lasso_proto::sync::{METHOD, MOST_BYTES, SERVICE};
use lasso_routing::Catalog;
use lasso_routing::catalog::CatalogSpec;

use crate::abi::LogLevel;
use crate::envoy::{self, Config, Scheduler};
use crate::frames::{Frame, Frames, framed};
use crate::seat::{self, Desk, Seat};
use crate::stage;

/// Workers report and counters are flushed this often.
const TICK: Duration = Duration::from_millis(100);
/// The event of a tick; others are a seat's number and one.
const TICKED: u64 = 0;

/// In which of its two places the filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Down,
    Up,
}

/// A plugin's configuration.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) place: Place,
    config: Config,
    /// Later ones have higher numbers.
    pub(crate) sequence: u64,
    pub(crate) catalog: Arc<CatalogSpec>,
}

/// Reads a configuration. The reason why not is for Envoy's log.
pub(crate) fn read(config: Config, name: &[u8], configuration: &[u8]) -> Result<Arc<Plugin>, String> {
    static SEQUENCE: AtomicU64 = AtomicU64::new(1);
    let place = match name {
        b"lasso.down" => Place::Down,
        b"lasso.up" => Place::Up,
        _ => {
            let name = String::from_utf8_lossy(name);
            return Err(format!("the filter_name is {name:?}; it must be lasso.down or lasso.up"));
        }
    };
    if configuration.is_empty() {
        return Err("no catalog: set `filter_config` to a google.protobuf.Struct".to_owned());
    }
    let catalog: CatalogSpec = serde_json::from_slice(configuration).map_err(|error| error.to_string())?;
    Catalog::try_from(catalog.clone()).map_err(|error| error.to_string())?;
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let plugin = Arc::new(Plugin { place, config, sequence, catalog: Arc::new(catalog) });
    if place == Place::Down {
        install(Arc::clone(&plugin));
    }
    Ok(plugin)
}

/// A stream to the control plane.
#[derive(Debug)]
struct Open {
    seat: usize,
    config: Config,
    number: u64,
    frames: Frames,
}

/// What the main thread keeps.
#[derive(Debug, Default)]
struct Control {
    /// Configurations of DOWN that Envoy still has, oldest first, with the numbers of their counters.
    configs: Vec<(Config, Vec<Option<usize>>)>,
    newest: Option<Arc<Plugin>>,
    streams: BTreeMap<u32, Open>,
    last_token: u32,
}

impl Control {
    /// The configuration that owns the streams.
    fn owner(&self) -> Option<Config> {
        self.configs.last().map(|(config, _)| *config)
    }
}

static CONTROL: Mutex<Option<Control>> = Mutex::new(None);
/// Wakes the main thread, while there is a configuration.
static WAKER: Mutex<Option<(Config, Scheduler)>> = Mutex::new(None);
/// What Envoy said of streams.
static HEARD: Mutex<VecDeque<(Config, u64, Heard)>> = Mutex::new(VecDeque::new());

thread_local! {
    /// Somebody further up reads the queue.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// What Envoy says of a stream.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The response's head: whether it is that of a stream.
    Head(bool),
    /// Bytes of it.
    Data(Vec<u8>),
    /// Its end.
    Closed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(act: impl FnOnce(&mut Control) -> T) -> T {
    act(lock(&CONTROL).get_or_insert_default())
}

/// A configuration of DOWN is there.
fn install(plugin: Arc<Plugin>) {
    let config = plugin.config;
    static STARTED: Once = Once::new();
    // Streams live no longer than their configuration, whose end may come on any thread: they leave it now, while it is there.
    for (index, seat) in seat::all().iter().enumerate() {
        at(index, seat, |worker, errands| sync::leave(worker, errands, stage::now().at));
    }
    let ids = COUNTERS.iter().map(|(counter, name)| config.define(name, counter.is_gauge())).collect();
    with(|control| {
        control.configs.push((config, ids));
        control.newest = Some(plugin);
    });
    *lock(&WAKER) = Some((config, Scheduler::new(config)));
    STARTED.call_once(|| {
        let started = std::thread::Builder::new().name("lasso-tick".to_owned()).spawn(|| {
            loop {
                std::thread::sleep(TICK);
                wake(TICKED);
            }
        });
        if let Err(error) = started {
            envoy::log(LogLevel::Error, &format!("lasso: no thread to tick, so nothing is reported: {error}"));
        }
    });
}

/// Envoy is about to drop a configuration.
pub(crate) fn remove(plugin: &Plugin) {
    if plugin.place == Place::Up {
        return;
    }
    let config = plugin.config;
    with(|control| {
        control.configs.retain(|(own, _)| *own != config);
        let own = control.streams.values().filter(|open| open.config == config);
        lock(&HEARD).extend(own.map(|open| (config, open.number, Heard::Closed)));
        let mut waker = lock(&WAKER);
        if waker.as_ref().is_some_and(|(own, _)| *own == config) {
            // While nobody can take that one away, too.
            *waker = control.owner().map(|config| (config, Scheduler::new(config)));
        }
    });
}

fn wake(event: u64) {
    if let Some((_, scheduler)) = &*lock(&WAKER) {
        scheduler.wake(event);
    }
}

/// A worker found out something that the fleet should know before the next tick.
pub(crate) fn hurry(worker: u32) {
    wake(u64::from(worker) + 1);
}

/// The main thread was woken.
pub(crate) fn woken(event: u64) {
    let seats = seat::all();
    match event.checked_sub(1) {
        None => seats.iter().enumerate().for_each(|(index, seat)| tick(index, seat)),
        Some(index) => {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if let Some(seat) = seats.get(index) {
                at(index, seat, |worker, errands| sync::hurry(worker, errands, stage::now().at));
            }
        }
    }
    read_heard();
}

fn tick(index: usize, seat: &Seat) {
    let newest = with(|control| control.newest.clone().filter(|_| control.owner().is_some()));
    let Some(newest) = newest else { return };
    let mut sums = Vec::new();
    with_desk(index, seat, |desk, errands| {
        desk.follow(&newest);
        if std::mem::take(&mut desk.renewed) {
            errands.close_all();
        }
        let Ok(mut worker) = desk.worker.try_borrow_mut() else { return };
        sync::tick(&mut worker, errands, stage::now().at);
        sums.extend(worker.stats().take());
    });
    with(|control| {
        let Some((config, ids)) = control.configs.last() else { return };
        for (counter, amount) in sums {
            if let (Some((kind, _)), Some(Some(id))) = (COUNTERS.get(counter), ids.get(counter)) {
                config.add(*id, kind.is_gauge(), amount);
            }
        }
    });
}

/// Does something with a worker, and then what it wants done with streams.
fn at(index: usize, seat: &Seat, act: impl FnOnce(&mut Worker, &Errands)) {
    with_desk(index, seat, |desk, errands| {
        if let Ok(mut worker) = desk.worker.try_borrow_mut() {
            act(&mut worker, errands);
        }
    });
}

fn with_desk(index: usize, seat: &Seat, act: impl FnOnce(&mut Desk, &Errands)) {
    let errands = with(|control| Errands {
        alive: RefCell::new(
            control.streams.iter().filter(|(_, open)| open.seat == index).map(|(token, _)| *token).collect(),
        ),
        last_token: Cell::new(control.last_token),
        ..Errands::default()
    });
    let mut desk = seat.desk();
    if catch_unwind(AssertUnwindSafe(|| act(&mut desk, &errands))).is_err() {
        envoy::log(LogLevel::Error, "lasso: reporting panicked; the worker starts anew");
        desk.renew();
    }
    drop(desk);
    with(|control| control.last_token = control.last_token.max(errands.last_token.get()));
    for errand in errands.list.into_inner() {
        run(index, errand);
    }
}

/// What a worker wants done with its streams.
#[derive(Debug)]
enum Errand {
    Open(u32, String),
    Send(u32, Vec<u8>),
    Close(u32),
}

/// Streams as a worker sees them: what it wants is done when its desk is free.
#[derive(Debug, Default)]
struct Errands {
    list: RefCell<Vec<Errand>>,
    alive: RefCell<Vec<u32>>,
    last_token: Cell<u32>,
}

impl Errands {
    fn close_all(&self) {
        let alive = self.alive.take();
        self.list.borrow_mut().extend(alive.into_iter().map(Errand::Close));
    }
}

impl Streams for Errands {
    fn open(&self, cluster: &str) -> Option<u32> {
        let token = self.last_token.get().wrapping_add(1);
        self.last_token.set(token);
        self.alive.borrow_mut().push(token);
        self.list.borrow_mut().push(Errand::Open(token, cluster.to_owned()));
        Some(token)
    }

    fn send(&self, token: u32, message: &[u8]) -> bool {
        let alive = self.alive.borrow().contains(&token);
        if alive {
            self.list.borrow_mut().push(Errand::Send(token, framed(message)));
        }
        alive
    }

    fn close(&self, token: u32) {
        self.alive.borrow_mut().retain(|own| *own != token);
        self.list.borrow_mut().push(Errand::Close(token));
    }
}

fn run(seat: usize, errand: Errand) {
    match errand {
        Errand::Open(token, cluster) => {
            let opened = with(|control| {
                let config = control.owner()?;
                let number = reading(|| config.open(&cluster, &format!("/{SERVICE}/{METHOD}")))?;
                control.streams.insert(token, Open { seat, config, number, frames: Frames::default() });
                Some(())
            });
            if opened.is_none() {
                static SAID: Once = Once::new();
                SAID.call_once(|| {
                    let text = format!(
                        "lasso: cannot open a stream to the cluster {cluster}; is there one of that name? Nothing is reported meanwhile"
                    );
                    envoy::log(LogLevel::Warn, &text);
                });
                closed(seat, token);
            }
        }
        Errand::Send(token, bytes) => {
            let sent = on_stream(token, |config, number| config.send(number, &bytes));
            if sent == Some(false) {
                with(|control| control.streams.remove(&token));
                closed(seat, token);
            }
        }
        Errand::Close(token) => {
            let _ = on_stream(token, Config::reset);
            with(|control| control.streams.remove(&token));
        }
    }
}

/// Does something with a stream, if Envoy still has its configuration. Held while it is done: else Envoy could drop it meanwhile.
fn on_stream<T>(token: u32, act: impl FnOnce(Config, u64) -> T) -> Option<T> {
    with(|control| {
        let open = control.streams.get(&token)?;
        let lives = control.configs.iter().any(|(config, _)| *config == open.config);
        lives.then(|| reading(|| act(open.config, open.number)))
    })
}

fn closed(index: usize, token: u32) {
    if let Some(seat) = seat::all().get(index) {
        at(index, seat, |worker, _| sync::closed(worker, token, stage::now().at));
    }
}

/// Calls into Envoy, which may call back at once: that is read later.
fn reading<T>(call: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            READING.set(self.0);
        }
    }
    let _before = Before(READING.replace(true));
    call()
}

/// Envoy said something of a stream.
pub(crate) fn heard(config: Config, number: u64, what: Heard) {
    lock(&HEARD).push_back((config, number, what));
    if !READING.get() {
        read_heard();
    }
}

fn read_heard() {
    reading(|| {
        loop {
            let Some((config, number, what)) = lock(&HEARD).pop_front() else { break };
            let found = with(|control| {
                let mut streams = control.streams.iter();
                let (token, open) = streams.find(|(_, open)| open.config == config && open.number == number)?;
                Some((*token, open.seat))
            });
            let Some((token, index)) = found else { continue };
            let Some(seat) = seat::all().get(index).cloned() else { continue };
            match what {
                Heard::Head(true) => {
                    at(index, &seat, |worker, _| sync::connected(worker, token, stage::now().at));
                }
                Heard::Head(false) => {}
                Heard::Data(bytes) => messages(index, &seat, token, &bytes),
                Heard::Closed => {
                    with(|control| control.streams.remove(&token));
                    closed(index, token);
                }
            }
        }
    });
}

fn messages(index: usize, seat: &Seat, token: u32, bytes: &[u8]) {
    let frames = with(|control| {
        let Some(open) = control.streams.get_mut(&token) else { return Vec::new() };
        open.frames.take(bytes);
        std::iter::from_fn(|| open.frames.next(MOST_BYTES)).collect()
    });
    for frame in frames {
        let now = stage::now().at;
        match frame {
            Frame::Message(message) => {
                let size = message.len();
                at(index, seat, |worker, errands| sync::heard(worker, errands, (token, size), || message, now));
            }
            Frame::Unreadable(size) => {
                at(index, seat, |worker, errands| sync::heard(worker, errands, (token, size), Vec::new, now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_speaks_on_streams_that_live_and_on_no_other() {
        let errands = Errands { alive: RefCell::new(vec![7]), last_token: Cell::new(7), ..Errands::default() };
        let token = errands.open("lasso-control").unwrap();
        assert_eq!(token, 8);
        assert!(errands.send(7, b"before") && errands.send(token, b"now"));
        errands.close(7);
        assert!(!errands.send(7, b"late") && !errands.send(9, b"nobody's"));
        errands.close_all();
        assert!(!errands.send(token, b"late"));
        let list = format!("{:?}", errands.list.into_inner());
        let order = ["Open(8", "Send(7", "Send(8", "Close(7", "Close(8"].map(|errand| list.find(errand));
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{list}");
    }
}
