//! The functions that Envoy calls.
//!
//! Duty: hand each hook to DOWN or UP at its worker's desk, and its result to Envoy.
//! Invariants: no panic leaves: it costs the request that met it, and the worker starts anew, as a virtual machine would; a hook that Envoy calls while
//! this very filter runs is answered without it; a filter that Envoy destroys meanwhile lives until its callback is over.
//! Leaves to others: decisions (`lasso_filter`), configurations (`control`).

#![allow(unsafe_code, reason = "functions with a C interface")]

mod config;

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::rc::Rc;
use std::sync::Arc;

use lasso_filter::Flow;
use lasso_filter::down::Down;
use lasso_filter::up::Up;
use lasso_routing::header::ANY_ORIGIN;

use crate::abi::{Body, ConfigPtr, EnvoyBuffer, EnvoyHeader, FilterPtr, LogLevel, data, headers};
use crate::control::{self, Place, Plugin};
use crate::envoy::{self, Stream};
use crate::seat::{self, Desk, Seat};
use crate::stage::{Answer, Callout, Envoy, Stage};

/// A plugin, as Envoy keeps it for us.
type PluginPtr = *const c_void;
/// A filter, as Envoy keeps it for us.
type OwnPtr = *const c_void;

#[derive(Debug)]
enum Role {
    Down(Down<Envoy>),
    Up(Up<Envoy>),
    /// It panicked.
    Dead,
}

/// One stream's filter.
#[derive(Debug)]
struct Filter {
    stage: Rc<Stage>,
    seat: Arc<Seat>,
    worker: u32,
    /// Borrowed while a callback runs.
    role: RefCell<Role>,
    /// Envoy destroyed it while a callback ran.
    gone: Cell<bool>,
}

impl Filter {
    /// The filter that `pointer` stands for.
    ///
    /// # Safety
    /// `pointer` is one that `envoy_dynamic_module_on_http_filter_new` gave and that was not destroyed.
    unsafe fn of<'a>(pointer: OwnPtr) -> &'a Self {
        // SAFETY: the caller's. Envoy calls the hooks of a stream on one thread.
        unsafe { &*pointer.cast() }
    }
}

/// What a callback came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    Flow(Flow),
    /// The client was answered; the filter may be no more.
    Answered,
    /// Nothing ran, or it ended badly.
    Not,
}

/// What is answered when a callback that must not let a request go on ends badly: to anybody, since who asks is not known any more.
fn broken() -> Answer {
    const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#;
    let (name, value) = ANY_ORIGIN;
    Answer { status: 503, headers: vec![(name.to_owned(), value.to_owned())], body: BODY.to_vec() }
}

/// Runs one callback of a request's side, on which nothing goes on without the filter.
fn run_request(pointer: OwnPtr, act: impl FnOnce(&mut Role, &Stage) -> Flow) -> Ran {
    run(pointer, true, act)
}

/// Runs one callback of a response's side.
fn run_response(pointer: OwnPtr, act: impl FnOnce(&mut Role, &Stage) -> Flow) -> Ran {
    run(pointer, false, act)
}

fn run(pointer: OwnPtr, is_request: bool, act: impl FnOnce(&mut Role, &Stage) -> Flow) -> Ran {
    // SAFETY: Envoy hands hooks what `new` gave, until it destroys it.
    let filter = unsafe { Filter::of(pointer) };
    let Ok(mut role) = filter.role.try_borrow_mut() else { return Ran::Not };
    let (stage, seat) = (Rc::clone(&filter.stage), Arc::clone(&filter.seat));
    let mut desk = seat.desk();
    let result = catch_unwind(AssertUnwindSafe(|| act(&mut role, &stage)));
    if result.is_err() {
        envoy::log(LogLevel::Error, "lasso: the filter panicked; its worker starts anew");
        *role = Role::Dead;
        desk.renew();
        if is_request {
            *stage.answer.borrow_mut() = Some(broken());
        }
    }
    hurry(&desk, filter.worker);
    drop(desk);
    drop(role);
    let answer = stage.answer.take();
    if filter.gone.get() {
        // SAFETY: Envoy forgot the pointer when it destroyed the filter.
        unsafe { end(pointer) };
    } else if let Some(answer) = answer {
        // May destroy the filter: it is not looked at again.
        stage.stream().send_response(answer.status, &answer.headers, &answer.body);
        return Ran::Answered;
    }
    result.map_or(Ran::Not, Ran::Flow)
}

/// What the fleet should know at once is told by the main thread.
fn hurry(desk: &Desk, worker: u32) {
    if desk.worker.try_borrow_mut().is_ok_and(|mut worker| worker.is_urgent()) {
        control::hurry(worker);
    }
}

/// The last callback of a filter, and its memory.
///
/// # Safety
/// Nobody else has the pointer.
unsafe fn end(pointer: OwnPtr) {
    // SAFETY: made by `Box::into_raw` in `new`; the caller's promise for the rest.
    let filter = unsafe { Box::from_raw(pointer.cast_mut().cast::<Filter>()) };
    let Filter { stage, seat, worker, role, .. } = *filter;
    let mut desk = seat.desk();
    let ended = catch_unwind(AssertUnwindSafe(|| match role.into_inner() {
        Role::Down(mut down) => down.done(),
        Role::Up(mut up) => up.done(),
        Role::Dead => {}
    }));
    if ended.is_err() {
        desk.renew();
    }
    hurry(&desk, worker);
    stage.leave();
}

const fn on_headers(ran: Ran) -> u32 {
    match ran {
        Ran::Flow(Flow::Pause) | Ran::Answered => headers::STOP,
        Ran::Flow(Flow::Continue) | Ran::Not => headers::CONTINUE,
    }
}

const fn on_data(ran: Ran) -> u32 {
    match ran {
        Ran::Flow(Flow::Pause) => data::STOP_AND_BUFFER,
        Ran::Answered => data::STOP_NO_BUFFER,
        Ran::Flow(Flow::Continue) | Ran::Not => data::CONTINUE,
    }
}

/// A stream begins.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_new(plugin: PluginPtr, filter: FilterPtr) -> OwnPtr {
    // SAFETY: Envoy hands over what `config_new` gave, and holds it while this runs.
    let plugin = unsafe { &*plugin.cast::<Plugin>() };
    let stream = Stream(filter);
    let made = catch_unwind(AssertUnwindSafe(|| {
        let worker = stream.worker_index();
        let (seat, stage) = (seat::own(worker), Stage::new(stream));
        let mut desk = seat.desk();
        desk.follow(plugin);
        let shared = Rc::clone(&desk.worker);
        let role = match plugin.place {
            Place::Down => Role::Down(Down::new(Envoy(Rc::clone(&stage)), shared)),
            Place::Up => Role::Up(Up::new(Envoy(Rc::clone(&stage)), shared)),
        };
        drop(desk);
        Box::new(Filter { stage, seat, worker, role: RefCell::new(role), gone: Cell::new(false) })
    }));
    made.map_or(null(), |made| Box::into_raw(made).cast_const().cast())
}

/// The request's head.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    _filter: FilterPtr,
    own: OwnPtr,
    end: bool,
) -> u32 {
    on_headers(run_request(own, |role, stage| match role {
        Role::Down(down) => rerouted(down.request_headers(end), stage),
        Role::Up(up) => up.request_headers(),
        Role::Dead => Flow::Continue,
    }))
}

/// Bytes of the request.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    _filter: FilterPtr,
    own: OwnPtr,
    end: bool,
) -> u32 {
    on_data(run_request(own, |role, stage| match role {
        Role::Down(down) => {
            let flow = down.request_body(stage.stream().size(Body::ReceivedRequest), end);
            rerouted(flow, stage)
        }
        Role::Up(_) | Role::Dead => Flow::Continue,
    }))
}

/// The request's trailers.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(_filter: FilterPtr, own: OwnPtr) -> u32 {
    on_headers(run_request(own, |role, stage| match role {
        Role::Down(down) => rerouted(down.request_trailers(), stage),
        Role::Up(_) | Role::Dead => Flow::Continue,
    }))
}

/// What was published for the request is looked at when it goes on.
fn rerouted(flow: Flow, stage: &Stage) -> Flow {
    if flow == Flow::Continue {
        stage.reroute();
    }
    flow
}

/// The response's head.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _filter: FilterPtr,
    own: OwnPtr,
    end: bool,
) -> u32 {
    on_headers(run_response(own, |role, stage| match role {
        Role::Down(down) => down.response_headers(),
        Role::Up(up) => {
            stage.screen_response();
            up.response_headers(end)
        }
        Role::Dead => {
            stage.screen_response();
            Flow::Continue
        }
    }))
}

/// Bytes of the response.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    _filter: FilterPtr,
    own: OwnPtr,
    end: bool,
) -> u32 {
    on_data(run_response(own, |role, stage| match role {
        Role::Down(down) => down.response_body(),
        Role::Up(up) => up.response_body(stage.stream().size(Body::ReceivedResponse), end),
        Role::Dead => Flow::Continue,
    }))
}

/// The response's trailers.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(_filter: FilterPtr, own: OwnPtr) -> u32 {
    on_headers(run_response(own, |role, _| match role {
        Role::Up(up) => up.response_trailers(),
        Role::Down(_) | Role::Dead => Flow::Continue,
    }))
}

/// The stream is over; access logs come next.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(_filter: FilterPtr, own: OwnPtr) {
    let _ = run_response(own, |role, _| {
        if let Role::Down(down) = role {
            down.logged();
        }
        Flow::Continue
    });
}

/// Envoy drops the filter.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_destroy(own: OwnPtr) {
    // SAFETY: as in `run`.
    let filter = unsafe { Filter::of(own) };
    if filter.role.try_borrow_mut().is_err() {
        filter.gone.set(true);
        filter.stage.leave();
    } else {
        // SAFETY: Envoy forgets the pointer now, and no callback of the filter runs.
        unsafe { end(own) };
    }
}

/// A request that DOWN sent itself was answered.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    _filter: FilterPtr,
    own: OwnPtr,
    callout: u64,
    _result: u32,
    headers: *const EnvoyHeader,
    header_count: usize,
    chunks: *const EnvoyBuffer,
    chunk_count: usize,
) {
    let _ = run_response(own, |role, stage| {
        let Role::Down(down) = role else { return Flow::Continue };
        let headers: Vec<_> = envoy::array(headers, header_count)
            .into_iter()
            .map(|header| (header.key.to_vec(), header.value.to_vec()))
            .collect();
        let body = envoy::joined(chunks, chunk_count);
        let (answered, size) = (!headers.is_empty(), body.len());
        *stage.callout.borrow_mut() = Callout { headers, body };
        down.dispatched(u32::try_from(callout).unwrap_or(u32::MAX), answered, size);
        stage.callout.take();
        Flow::Continue
    });
}

/// Envoy replies itself: what it says of why is kept for DOWN, which sees the reply's head next.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    _filter: FilterPtr,
    own: OwnPtr,
    _status: u32,
    details: EnvoyBuffer,
    _reset: bool,
) -> u32 {
    // SAFETY: as in `run`.
    let filter = unsafe { Filter::of(own) };
    if let Ok(mut kept) = filter.stage.details.try_borrow_mut() {
        *kept = String::from_utf8_lossy(&details.to_vec()).into_owned();
    }
    0
}

/// Hooks that Envoy wants to find and that are never called, since nothing is asked for that they would answer.
macro_rules! unused {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            /// Never called.
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name($(_: $argument),*) {}
        )*
    };
}

unused! {
    envoy_dynamic_module_on_http_filter_scheduled(FilterPtr, OwnPtr, u64);
    envoy_dynamic_module_on_http_filter_http_stream_headers(FilterPtr, OwnPtr, u64, *const EnvoyHeader, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(FilterPtr, OwnPtr, u64, *const EnvoyBuffer, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(FilterPtr, OwnPtr, u64, *const EnvoyHeader, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(FilterPtr, OwnPtr, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(FilterPtr, OwnPtr, u64, u32);
    envoy_dynamic_module_on_http_filter_config_http_callout_done(
        ConfigPtr, PluginPtr, u64, u32, *const EnvoyHeader, usize, *const EnvoyBuffer, usize
    );
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(FilterPtr, OwnPtr);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(FilterPtr, OwnPtr);
}
