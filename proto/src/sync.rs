//! What workers and the control plane tell each other, on the wire.
//!
//! Duty: the messages of `proto/lasso/v1/sync.proto` to and from the words of `lasso-routing`.
//! Invariant: reading never fails on what a newer peer adds. What is not known is skipped and counted ([`Read::skipped`]); only bytes that
//! are no message, or too many, are refused. `decode(encode(x)) == x`.
//! Leaves to others: streams, acks and resending (filter, control plane), what the words mean (`lasso-routing`).

use lasso_routing::fleet::event::Hello;
use lasso_routing::report::Report;
use lasso_routing::table::Table;
use prost::Message;

pub use report::{decode_report, encode_report};
pub use table::{decode_table, encode_table};

mod names;
mod report;
mod shared;
mod table;

/// The generated messages.
#[expect(missing_docs, reason = "generated; sync.proto has the comments")]
pub mod wire {
    include!("gen/messages.rs");
}

/// The generated service, for who serves or calls it natively.
#[cfg(feature = "grpc")]
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; a later generator may write otherwise"
)]
pub mod grpc {
    include!("gen/service.rs");
}

/// No message is longer.
pub const MOST_BYTES: usize = 4 << 20;
/// Path of the stream, as gRPC has it: service and method.
pub const SERVICE: &str = "lasso.v1.Sync";
/// See [`SERVICE`].
pub const METHOD: &str = "Exchange";

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// Who it is; first of all.
    Hello(Hello),
    /// What it saw.
    Report(Box<Report>),
    /// The table of that version is in force.
    TableTaken(u64),
    /// That it is still there. So is what says something that we do not know.
    Heartbeat,
}

/// What the control plane says.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// The report of that number counts.
    ReportAck(u64),
    /// What the fleet knows.
    Table(Box<Table>),
    /// That it is still there. So is what says something that we do not know.
    Ping,
}

/// A message, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<T> {
    /// What was read.
    pub message: T,
    /// Items left out: of a newer peer, beyond our bounds, or broken.
    pub skipped: u32,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Over [`MOST_BYTES`].
    #[error("{0} bytes, {MOST_BYTES} at most")]
    TooLong(usize),
    /// No protobuf message.
    #[error("the message does not read: {0}")]
    Garbage(#[from] prost::DecodeError),
}

impl FromWorker {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::FilterMessage::from(self).encode_to_vec()
    }

    /// Out of bytes.
    pub fn decode(bytes: &[u8]) -> Result<Read<Self>, Refused> {
        Ok(wire::FilterMessage::decode(bounded(bytes)?)?.into())
    }
}

impl From<&FromWorker> for wire::FilterMessage {
    fn from(said: &FromWorker) -> Self {
        use wire::filter_message::Kind;
        let kind = match said {
            FromWorker::Hello(hello) => Kind::Hello(encode_hello(hello)),
            FromWorker::Report(report) => Kind::Report(encode_report(report)),
            FromWorker::TableTaken(version) => Kind::TableAck(wire::TableAck { version: *version }),
            FromWorker::Heartbeat => Kind::Heartbeat(wire::Heartbeat {}),
        };
        Self { kind: Some(kind) }
    }
}

impl From<wire::FilterMessage> for Read<FromWorker> {
    fn from(message: wire::FilterMessage) -> Self {
        use wire::filter_message::Kind;
        let message = match message.kind {
            Some(Kind::Hello(hello)) => FromWorker::Hello(decode_hello(hello)),
            Some(Kind::Report(report)) => {
                let Self { message, skipped } =
                    decode_report(report).map(|report| FromWorker::Report(Box::new(report)));
                return Self { message, skipped };
            }
            Some(Kind::TableAck(ack)) => FromWorker::TableTaken(ack.version),
            Some(Kind::Heartbeat(wire::Heartbeat {})) | None => FromWorker::Heartbeat,
        };
        Self { message, skipped: 0 }
    }
}

impl ToWorker {
    /// As bytes, and how many cells of a table there was no room for.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, usize) {
        let (message, left_out) = self.to_wire();
        (message.encode_to_vec(), left_out)
    }

    /// As the generated message, and how many cells of a table there was no room for.
    #[must_use]
    pub fn to_wire(&self) -> (wire::ControlMessage, usize) {
        use wire::control_message::Kind;
        let (kind, left_out) = match self {
            Self::ReportAck(seq) => (Kind::ReportAck(wire::ReportAck { seq: *seq }), 0),
            Self::Table(table) => {
                let (table, left_out) = encode_table(table);
                (Kind::Table(table), left_out)
            }
            Self::Ping => (Kind::Ping(wire::Ping {}), 0),
        };
        (wire::ControlMessage { kind: Some(kind) }, left_out)
    }

    /// Out of bytes.
    pub fn decode(bytes: &[u8]) -> Result<Read<Self>, Refused> {
        Ok(wire::ControlMessage::decode(bounded(bytes)?)?.into())
    }
}

impl From<wire::ControlMessage> for Read<ToWorker> {
    fn from(message: wire::ControlMessage) -> Self {
        use wire::control_message::Kind;
        match message.kind {
            Some(Kind::ReportAck(ack)) => Self { message: ToWorker::ReportAck(ack.seq), skipped: 0 },
            Some(Kind::Table(table)) => decode_table(table).map(|table| ToWorker::Table(Box::new(table))),
            Some(Kind::Ping(wire::Ping {})) | None => Self { message: ToWorker::Ping, skipped: 0 },
        }
    }
}

impl<T> Read<T> {
    fn map<U>(self, made: impl FnOnce(T) -> U) -> Read<U> {
        Read { message: made(self.message), skipped: self.skipped }
    }
}

/// A hello, for the wire.
#[must_use]
pub fn encode_hello(hello: &Hello) -> wire::Hello {
    wire::Hello {
        node: hello.node.to_string(),
        region: hello.region.to_string(),
        instance: hello.instance,
        generation: hello.generation.to_string(),
        version: hello.version.to_string(),
    }
}

/// A hello, off the wire; names are cut at [`MOST_NAME`] bytes.
#[must_use]
pub fn decode_hello(hello: wire::Hello) -> Hello {
    Hello {
        node: cut(hello.node),
        region: cut(hello.region),
        instance: hello.instance,
        generation: cut(hello.generation),
        version: cut(hello.version),
    }
}

/// No name is longer, in bytes.
pub const MOST_NAME: usize = 512;

fn cut(mut name: String) -> Box<str> {
    name.truncate(name.floor_char_boundary(MOST_NAME));
    name.into()
}

fn bounded(bytes: &[u8]) -> Result<&[u8], Refused> {
    if bytes.len() > MOST_BYTES { Err(Refused::TooLong(bytes.len())) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
