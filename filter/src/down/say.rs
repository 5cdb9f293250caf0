//! What DOWN says itself: refusals and local answers, and to web pages that they may read answers.

use lasso_jsonrpc::error::RpcError;
use lasso_routing::Catalog;
use lasso_routing::header::{ANY_ORIGIN, EXPOSED};
use lasso_routing::target::TargetError;

use super::client::Client;
use super::{Down, State};
use crate::host::Host;
use crate::stats::Counter;
use crate::{Flow, reply};

/// What every answer to a web page says: any page may read any answer. Where the filter says it, only pages pay for it: two headers that a route puts on every
/// answer are up to two per cent of what a call costs.
pub(super) const FOR_PAGES: [(&str, &str); 2] = [ANY_ORIGIN, EXPOSED];

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
            self.say(204, &[], b"");
            self.state = State::Answered;
        } else {
            self.respond(200, body);
        }
        Flow::Pause
    }

    /// The content type is the route's to set, as for what providers send: Envoy would append ours to it.
    pub(super) fn respond(&mut self, status: u32, body: &[u8]) {
        self.say(status, &[], body);
        self.state = State::Answered;
    }

    /// Answers the client.
    pub(super) fn say(&self, status: u32, headers: &[(&str, &str)], body: &[u8]) {
        if self.is_for_page() {
            self.host.send_response(status, &[headers, &FOR_PAGES].concat(), body);
        } else {
            self.host.send_response(status, headers, body);
        }
    }

    /// Whether a web page will read the answer. Where a filter before this one answers, nobody has looked at the head yet.
    pub(super) fn is_for_page(&self) -> bool {
        let from_page = || {
            let catalog = self.worker.borrow().catalog();
            catalog.is_some_and(|catalog| {
                let client = Client::read(&self.host);
                client.is_call(&catalog) && client.is_page
            })
        };
        self.host.speaks_to_pages() && self.is_for_page.unwrap_or_else(from_page)
    }
}
