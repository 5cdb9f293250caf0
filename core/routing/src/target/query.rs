//! The wishes in query and headers, read and checked value by value.
//!
//! Keys that are not ours are left alone: clients put their own there. Of a repeated key the first counts.

use std::borrow::Cow;

use super::error::echo;
use super::{Meta, TargetError};
use crate::catalog::Transport;

/// What query and headers ask for, before names are looked up.
#[derive(Debug, Default)]
pub(super) struct Wishes<'a> {
    pub(super) strategy: Option<Cow<'a, str>>,
    pub(super) provider_by_query: Option<Cow<'a, str>>,
    pub(super) provider_by_header: Option<Cow<'a, str>>,
    pub(super) transport: Option<Transport>,
    pub(super) exclude: Option<Cow<'a, str>>,
    pub(super) max_lag_blocks: Option<u32>,
    pub(super) allow_failover: bool,
    pub(super) include_meta: Meta,
}

/// Headers that can carry a wish, in lower case: what a shell has to fetch.
pub const HEADERS: [&str; 4] = ["x-lasso-provider", "x-lasso-transport", "x-lasso-include-meta", "x-lasso-exclude"];

/// Header that carries the control plane's word in its probes, in lower case.
pub const PROBE: &str = "x-lasso-probe";

pub(super) fn wishes<'a>(
    raw_query: &'a str,
    header: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<Wishes<'a>, TargetError> {
    let mut raw = Raw::default();
    for pair in raw_query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(place) = raw.place(key)
            && place.is_none()
        {
            *place = Some(decoded_query(value, "the query")?);
        }
    }
    let given = |name: &str| header(name).map(str::trim).filter(|value| !value.is_empty()).map(Cow::Borrowed);
    let transport = raw.transport.map_or_else(|| given(HEADERS[1]), Some);
    let include_meta = raw.include_meta.map_or_else(|| given(HEADERS[2]), Some);
    Ok(Wishes {
        strategy: raw.strategy,
        provider_by_query: raw.provider,
        provider_by_header: given(HEADERS[0]),
        transport: transport.map(|value| read_transport(&value)).transpose()?,
        exclude: raw.exclude.map_or_else(|| given(HEADERS[3]), Some),
        max_lag_blocks: raw.max_lag_blocks.map(|value| read_blocks(&value)).transpose()?,
        allow_failover: raw.allow_failover.map(|value| read_flag(&value)).transpose()?.unwrap_or(false),
        include_meta: include_meta.map(|value| read_meta(&value)).transpose()?.unwrap_or_default(),
    })
}

#[derive(Debug, Default)]
struct Raw<'a> {
    strategy: Option<Cow<'a, str>>,
    provider: Option<Cow<'a, str>>,
    transport: Option<Cow<'a, str>>,
    exclude: Option<Cow<'a, str>>,
    max_lag_blocks: Option<Cow<'a, str>>,
    allow_failover: Option<Cow<'a, str>>,
    include_meta: Option<Cow<'a, str>>,
}

impl<'a> Raw<'a> {
    fn place(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match key {
            "strategy" => Some(&mut self.strategy),
            "provider" => Some(&mut self.provider),
            "transport" => Some(&mut self.transport),
            "exclude" => Some(&mut self.exclude),
            "max_lag_blocks" => Some(&mut self.max_lag_blocks),
            "allow_failover" => Some(&mut self.allow_failover),
            "include_meta" => Some(&mut self.include_meta),
            _ => None,
        }
    }
}

fn read_transport(value: &str) -> Result<Transport, TargetError> {
    match value {
        "http" => Ok(Transport::Http),
        "ws" => Ok(Transport::Ws),
        _ => Err(bad("transport", value, "one of: http, ws")),
    }
}

fn read_meta(value: &str) -> Result<Meta, TargetError> {
    match value {
        "headers" => Ok(Meta::Headers),
        "body" => Ok(Meta::Body),
        _ => Err(bad("include_meta", value, "one of: headers, body")),
    }
}

fn read_flag(value: &str) -> Result<bool, TargetError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad("allow_failover", value, "one of: true, false")),
    }
}

fn read_blocks(value: &str) -> Result<u32, TargetError> {
    value.parse().map_err(|_| bad("max_lag_blocks", value, "a whole number of blocks"))
}

fn bad(key: &'static str, value: &str, expected: &'static str) -> TargetError {
    TargetError::BadValue { key, value: echo(value), expected }
}

/// A query value: `+` is a space there.
fn decoded_query<'a>(raw: &'a str, key: &'static str) -> Result<Cow<'a, str>, TargetError> {
    if raw.contains('+') {
        Ok(Cow::Owned(decoded(&raw.replace('+', " "), key)?.into_owned()))
    } else {
        decoded(raw, key)
    }
}

/// Percent-decoding; borrows when there is nothing to decode.
pub(super) fn decoded<'a>(raw: &'a str, key: &'static str) -> Result<Cow<'a, str>, TargetError> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let wrong = || bad(key, raw, "percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (&[high, low], after) = rest.split_first_chunk::<2>().ok_or_else(wrong)?;
        bytes.push(digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?);
        rest = after;
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
