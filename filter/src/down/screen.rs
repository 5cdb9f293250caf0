//! What can be said about a call before any provider is asked.
//!
//! Duty: refuse what is blocked, answer what needs no provider, take the tag off a filter id, and describe what is left.
//! Invariant: pure on the catalog; used alike for single calls and for each item of a batch.
//! Leaves to others: planning, sending.

use lasso_jsonrpc::block::{Blocks, blocks_of};
use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{FilterOp, LocalAnswer, Method, MethodClass};
use lasso_jsonrpc::request::Call;
use lasso_routing::Catalog;
use lasso_routing::catalog::{Chain, ChannelIdx};
use lasso_routing::sticky;
use lasso_routing::target::Target;
use serde_json::value::RawValue;

/// A call that a provider must answer.
#[derive(Debug)]
pub struct Wanted {
    /// Evidence class.
    pub class: MethodClass,
    /// Blocks it is about.
    pub blocks: Blocks,
    /// It makes or uses a filter.
    pub filter: Option<FilterOp>,
    /// The only channel that knows its filter.
    pub sticky: Option<ChannelIdx>,
    /// Params with the filter's tag taken off.
    pub params: Option<String>,
}

/// What follows from the call alone.
#[derive(Debug)]
pub enum Screened {
    /// An error.
    Refused(RpcError),
    /// A result, as raw JSON.
    Answered(String),
    /// A provider is needed.
    Wanted(Wanted),
}

/// Screens one call.
pub fn screen(catalog: &Catalog, target: &Target, call: &Call<'_>, websocket_url: &dyn Fn() -> String) -> Screened {
    let method = Method::of(&call.method);
    if method.websocket_only() {
        return Screened::Refused(RpcError::websocket_only(&websocket_url()));
    }
    let blocks = blocks_of(&method, call.params);
    let class = MethodClass::of(&method, &blocks);
    let blocked = catalog.profile(target.profile).is_some_and(|profile| profile.method(&method).blocked);
    // What clients may not ask says nothing about what a provider is to be judged by.
    if blocked && !target.probe {
        return Screened::Refused(RpcError::method_blocked(&call.method));
    }
    let Some(chain) = catalog.chain(target.chain) else {
        return Screened::Refused(RpcError::method_blocked(&call.method));
    };
    if target.provider.is_none()
        && let Some(answer) = method.local_answer()
    {
        return Screened::Answered(local(answer, chain.chain_id()));
    }
    let mut wanted = Wanted { class, blocks, filter: method.filter_op(), sticky: None, params: None };
    if matches!(wanted.filter, Some(FilterOp::Use)) {
        match tagged(catalog, chain, call.params) {
            Tagged::Ours(channel, params) => {
                wanted.sticky = Some(channel);
                wanted.params = Some(params);
            }
            Tagged::Gone => return Screened::Refused(RpcError::filter_not_found()),
            Tagged::Foreign => {}
        }
    }
    Screened::Wanted(wanted)
}

fn local(answer: LocalAnswer, chain_id: u64) -> String {
    match answer {
        LocalAnswer::ChainId => format!("\"{chain_id:#x}\""),
        LocalAnswer::NetVersion => format!("\"{chain_id}\""),
    }
}

enum Tagged {
    /// A channel of this chain, and the params as it knows them.
    Ours(ChannelIdx, String),
    /// A tag, but of no channel of this chain any more.
    Gone,
    /// Not an id that we gave.
    Foreign,
}

fn tagged(catalog: &Catalog, chain: &Chain, params: Option<&str>) -> Tagged {
    let Some(mut list) = params.and_then(|params| serde_json::from_str::<Vec<&RawValue>>(params).ok()) else {
        return Tagged::Foreign;
    };
    let Some((hash, id)) = list.first().and_then(|first| sticky::untag(first.get())) else { return Tagged::Foreign };
    let channel = chain
        .channels()
        .find(|channel| catalog.channel(*channel).is_some_and(|channel| sticky::channel_hash(channel.id()) == hash));
    let (Some(channel), Ok(id)) = (channel, RawValue::from_string(id)) else { return Tagged::Gone };
    if let Some(first) = list.first_mut() {
        *first = &id;
    }
    serde_json::to_string(&list).map_or(Tagged::Gone, |params| Tagged::Ours(channel, params))
}
