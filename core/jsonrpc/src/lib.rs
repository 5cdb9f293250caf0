//! What was asked and what came back.
//!
//! The words of JSON-RPC 2.0 and of Ethereum's methods, and nothing of who serves them: no clock, no I/O, no chance, no panic.
//! Everything borrows from the bytes that came in; `params` and results are delimited and checked, never built.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`request`] | which calls does this body hold? |
//! | [`id`] | is this the id that was sent? |
//! | [`method`] | what is known of a method: deadline, safety, class |
//! | [`block`] | which blocks does a call speak of? |
//! | [`response`] | what kind of answer is this body? |
//! | [`error`] | how do we say no? |
//!
//! `scan` and `text` are the private floor: a JSON scanner that allocates nothing, and the reading of JSON strings.
#![warn(missing_docs)]

pub mod block;
pub mod error;
pub mod id;
pub mod method;
pub mod request;
pub mod response;

mod scan;
mod text;

pub use block::{BlockRef, Blocks, Tag};
pub use error::RpcError;
pub use id::Id;
pub use method::{FilterOp, LocalAnswer, Method, MethodClass, Safety};
pub use request::{Call, Invalid, InvalidReason, Payload, PayloadError, Version};
pub use response::{ErrorObject, Malformed, Reply};
