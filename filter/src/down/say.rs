//! What DOWN says itself: refusals and local answers.

use lasso_jsonrpc::error::RpcError;
use lasso_routing::Catalog;
use lasso_routing::target::TargetError;

use super::client::Client;
use super::{Down, State};
use crate::host::Host;
use crate::stats::Counter;
use crate::{Flow, reply};

impl<H: Host> Down<H> {
    pub(super) fn refuse_size(&mut self, catalog: &Catalog, client: &Client) -> Flow {
        self.refuse(413, "null", &RpcError::too_large(u64::from(catalog.max_body_bytes())), client, None)
    }

    pub(super) fn refuse_target(
        &mut self,
        id: &str,
        error: &TargetError,
        client: &Client,
        method: Option<&str>,
    ) -> Flow {
        self.refuse(u32::from(error.status()), id, &error.rpc_error(), client, method)
    }

    pub(super) fn refuse(
        &mut self,
        status: u32,
        id: &str,
        error: &RpcError,
        client: &Client,
        method: Option<&str>,
    ) -> Flow {
        self.note_refusal(status, error, client, method);
        self.worker.borrow_mut().stats().count(Counter::Refused);
        self.respond(status, &reply::error(id, error));
        Flow::Pause
    }

    pub(super) fn answer(&mut self, notification: bool, body: &[u8]) -> Flow {
        if notification {
            self.host.send_response(204, &[], b"");
            self.state = State::Answered;
        } else {
            self.respond(200, body);
        }
        Flow::Pause
    }

    /// The content type is the route's to set, as for what providers send: Envoy would append ours to it.
    pub(super) fn respond(&mut self, status: u32, body: &[u8]) {
        self.host.send_response(status, &[], body);
        self.state = State::Answered;
    }
}
