//! Calls from Envoy to `ws` channels.
//!
//! ```text
//! filter --> Envoy's cluster of the channel --POST /channel/{channel}--> bridge --> a socket of the channel
//! ```
//! Duty: let Envoy in, and nobody else; hand a body over, bring the answer back.
//! Invariant: what was never sent to the provider ends with a stream reset of REFUSED_STREAM, so that Envoy may send it elsewhere whatever it is; what was
//! sent and has no answer ends with one of INTERNAL_ERROR. Over HTTP/1, which Envoy does not speak to us, with 503 and 502.
//! Leaves to others: routing, retries and deadlines (the filter and Envoy, which cancels what takes too long).

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::Site;
use crate::upstream::{Lost, Upstream};

/// Where channels are, followed by the channel's id, percent-encoded.
pub(crate) const CHANNELS: &str = "/channel/";
/// The header that shows that a request is Envoy's.
pub(crate) const TOKEN: &str = "x-lasso-hub";
/// For whatever Envoy does not give up before.
const PATIENCE: Duration = Duration::from_secs(60);

/// There is no answer: the stream is reset.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {because}")]
pub(crate) struct BridgeError {
    because: &'static str,
    /// Which hyper looks for when it resets the stream.
    #[source]
    reason: h2::Error,
}

impl BridgeError {
    fn new(because: &'static str, reason: Reason) -> Self {
        Self { because, reason: reason.into() }
    }
}

/// Answers a request for a channel.
pub(crate) async fn serve<B>(
    request: Request<B>,
    upstream: &Upstream,
    site: &Site,
) -> Result<Response<Full<Bytes>>, BridgeError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let let_in = request.headers().get(TOKEN).is_some_and(|given| site.token.is(given.as_bytes()));
    let channel = request.uri().path().strip_prefix(CHANNELS).and_then(decoded);
    let (true, &Method::POST, Some(channel)) = (let_in, request.method(), channel) else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    let version = request.version();
    let body = match Limited::new(request.into_body(), site.limits.message_bytes).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(empty(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => return Err(BridgeError::new("the request broke off", Reason::CANCEL)),
    };
    match upstream.call(&channel, body, PATIENCE).await {
        Ok(answer) => Ok(answered(answer)),
        Err(lost) => without_answer(lost, version),
    }
}

fn answered(answer: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn without_answer(lost: Lost, version: Version) -> Result<Response<Full<Bytes>>, BridgeError> {
    let (because, reason, status) = match lost {
        Lost::Unsent => ("never sent", Reason::REFUSED_STREAM, StatusCode::SERVICE_UNAVAILABLE),
        Lost::Broken => ("the socket broke", Reason::INTERNAL_ERROR, StatusCode::BAD_GATEWAY),
        Lost::Silent => ("no answer in time", Reason::INTERNAL_ERROR, StatusCode::BAD_GATEWAY),
    };
    if version == Version::HTTP_2 { Err(BridgeError::new(because, reason)) } else { Ok(empty(status)) }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Without percent-encoding; `None` where that is none, or no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let (hex, after) = after.split_at_checked(2)?;
        // A sign would be taken for a number's.
        let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(hex, 16).ok().filter(|_| digits)?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
