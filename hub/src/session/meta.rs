//! `lasso_meta`: how a call was served, for clients that ask in the call itself.
//!
//! Invariant: the wish goes no further than the hub; what is told is JSON, as the filter wrote it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderMap;
use serde_json::value::RawValue;

const MEMBER: &str = "\"lasso_meta\"";

/// Where the client wants to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nowhere.
    None,
    /// In a notification after the answer.
    Notify,
    /// In the answer.
    Body,
    /// It asks for what does not exist.
    Wrong,
}

#[derive(serde::Deserialize)]
struct Extras<'a> {
    #[serde(borrow)]
    lasso_meta: Option<&'a RawValue>,
}

/// What a call that was parsed wishes for.
pub(super) fn of(message: &[u8]) -> Wish {
    let Ok(text) = std::str::from_utf8(message) else { return Wish::None };
    // Hardly any call has it: the text is not parsed again for the others.
    if !text.contains(MEMBER) {
        return Wish::None;
    }
    match serde_json::from_str::<Extras<'_>>(text) {
        Ok(Extras { lasso_meta: Some(wish) }) => match wish.get() {
            "\"notify\"" => Wish::Notify,
            "\"body\"" => Wish::Body,
            _ => Wish::Wrong,
        },
        // It stands further in, and is none of ours.
        Ok(Extras { lasso_meta: None }) => Wish::None,
        // Twice.
        Err(_) => Wish::Wrong,
    }
}

/// What the filter told, as JSON.
pub(super) fn told(headers: &HeaderMap) -> Option<String> {
    let whole = headers.get("x-lasso-meta").and_then(|value| {
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(value.as_bytes()).ok()?).ok()?;
        serde_json::from_str::<&RawValue>(&json).is_ok().then_some(json)
    });
    whole.or_else(|| {
        let id = headers.get("x-lasso-request-id")?.to_str().ok()?;
        Some(serde_json::json!({ "request_id": id }).to_string())
    })
}
