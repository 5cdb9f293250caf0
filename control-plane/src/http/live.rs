//! `GET /api/events`: events as they happen, as server-sent events.
//!
//! Invariant: [`MOST_VIEWERS`] at once; a viewer that is slow skips and is told how many; one that takes nothing for [`PATIENCE`] is let go.
//! Leaves to others: the bus (`events`).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{self, KeepAlive};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::problem::{ErrorBody, Problem};
use crate::events::{Subscriber, Told};

/// Who may listen at once.
pub(super) const MOST_VIEWERS: usize = 100;
/// Events on their way to one viewer, besides those that the bus keeps.
const ON_THEIR_WAY: usize = 16;
/// How long a viewer may take nothing while there is something.
const PATIENCE: Duration = Duration::from_secs(30);

type Sent = Result<sse::Event, Infallible>;

/// Events from now on. Each has a name (`event:`) and a `Told` as its data.
#[utoipa::path(get, path = "/api/events", tag = "fleet",
    responses((status = 200, content_type = "text/event-stream", body = Told), (status = 429, body = ErrorBody)))]
pub(super) async fn events(State(api): State<Api>) -> Result<Sse<impl tokio_stream::Stream<Item = Sent>>, Problem> {
    let seat = Arc::clone(&api.viewers).try_acquire_owned();
    let seat = seat.map_err(|_| Problem::too_many_viewers(MOST_VIEWERS))?;
    let (sender, receiver) = mpsc::channel(ON_THEIR_WAY);
    tokio::spawn(relay(api.bus.subscribe(), sender, api.drain.clone(), seat));
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(alive))
}

/// Until the viewer leaves, or we do.
async fn relay(
    mut subscriber: Subscriber,
    viewer: mpsc::Sender<Sent>,
    mut drain: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
) {
    loop {
        let told = tokio::select! {
            told = subscriber.next() => told,
            () = viewer.closed() => return,
            _ = drain.wait_for(|drain| *drain) => return,
        };
        let Some(told) = told else { return };
        let Ok(event) = sse::Event::default().event(told.event.name()).json_data(&*told) else { continue };
        tokio::select! {
            sent = viewer.send_timeout(Ok(event), PATIENCE) => if sent.is_err() { return },
            _ = drain.wait_for(|drain| *drain) => return,
        }
    }
}
