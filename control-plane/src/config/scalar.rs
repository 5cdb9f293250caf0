//! One text to one typed value.
//!
//! Duty: read numbers, durations, names, hosts, addresses and URLs as [`Kind`] asks for them.
//! Invariant: what comes out holds what its kind promises; an error says what would be right and holds no secret.
//! Leaves to others: collections (`checked`), rules between keys (`decode`).

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::problem::{did_you_mean, shown};
use super::schema::Kind;
use super::vendor;

/// A value of a scalar key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Auto,
    Flag(bool),
    Whole(u64),
    Integer(i64),
    Number(f64),
    /// Milliseconds.
    Duration(u64),
    Text(String),
    Secret(String),
    /// Secret beyond its host.
    Url(String),
    Address(SocketAddr),
}

/// Reads `text` as `kind`. The error is what is wrong and what would be right.
pub(crate) fn read(kind: &Kind, text: &str) -> Result<Scalar, String> {
    let wanted = || {
        if kind.is_secret() {
            format!("must be {}", kind.wants())
        } else {
            format!("{} is not {}", shown(text), kind.wants())
        }
    };
    match kind {
        Kind::Auto(_) if text == "auto" => Ok(Scalar::Auto),
        Kind::Auto(inner) => read(inner, text).map_err(|_| wanted()),
        Kind::Flag => match text {
            "true" => Ok(Scalar::Flag(true)),
            "false" => Ok(Scalar::Flag(false)),
            _ => Err(wanted()),
        },
        Kind::Choice(words) if words.contains(&text) => Ok(Scalar::Text(text.to_owned())),
        Kind::Choice(words) => Err(wanted() + &did_you_mean(text, words.iter().copied())),
        Kind::Whole(min, max) => {
            let value = text.replace('_', "").parse().ok().filter(|value| (min..=max).contains(&value));
            value.map(Scalar::Whole).ok_or_else(wanted)
        }
        Kind::Integer => text.parse::<i32>().map(|value| Scalar::Integer(value.into())).map_err(|_| wanted()),
        Kind::Number(min, max) => {
            let value = text.parse::<f64>().ok().filter(|value| (min..=max).contains(&value));
            value.map(Scalar::Number).ok_or_else(wanted)
        }
        Kind::Duration(min, max) => {
            millis(text).filter(|value| (min..=max).contains(&value)).map(Scalar::Duration).ok_or_else(wanted)
        }
        Kind::Text if !text.trim().is_empty() => Ok(Scalar::Text(text.to_owned())),
        Kind::Name if is_name(text) => Ok(Scalar::Text(text.to_owned())),
        Kind::Host => host(text).map(Scalar::Text).ok_or_else(wanted),
        Kind::Address | Kind::LoopbackAddress => {
            let address: SocketAddr = text.parse().map_err(|_| wanted())?;
            if matches!(kind, Kind::LoopbackAddress) && !address.ip().is_loopback() {
                return Err(wanted());
            }
            if address.port() == 0 {
                return Err(format!(
                    "{} has port 0, where nobody would find it; must be {}",
                    shown(text),
                    kind.wants()
                ));
            }
            Ok(Scalar::Address(address))
        }
        Kind::Url(schemes) => check_url(schemes, text).map(|()| Scalar::Url(text.to_owned())),
        Kind::Glob if is_glob(text) => Ok(Scalar::Text(text.to_owned())),
        Kind::HeaderName => header_name(text).map(Scalar::Text),
        Kind::SecretText if is_header_value(text) => Ok(Scalar::Secret(text.to_owned())),
        Kind::Text | Kind::Name | Kind::Glob | Kind::SecretText => Err(wanted()),
    }
}

fn millis(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    let millis = number.parse::<f64>().ok()? * unit;
    (millis.fract() == 0.0 && millis < 1e15).then_some(millis as u64)
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

fn is_glob(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '*'))
}

fn is_header_value(text: &str) -> bool {
    text.chars().all(|letter| letter == ' ' || letter.is_ascii_graphic())
}

/// In lower case and without the root's dot, as requests are compared.
fn host(text: &str) -> Option<String> {
    let Host::Domain(name) = Host::parse(text).ok()? else { return None };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let labels = name.split('.').all(|label| !label.is_empty() && label.chars().all(fits));
    labels.then(|| name.to_owned())
}

/// Headers that the data path sets itself; a provider's own must not fight them.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade"];

const OWN_PREFIXES: &[&str] = &["x-envoy-", "x-lasso-", "sec-websocket-"];

fn header_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(fits) {
        return Err(format!("{} is not a header name", shown(text)));
    }
    if OWN_HEADERS.contains(&name.as_str()) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!("`{name}` is set by Lasso itself; leave it out"));
    }
    Ok(name)
}

fn check_url(schemes: &[&'static str], text: &str) -> Result<(), String> {
    let wanted = Kind::Url(&["https"]).wants();
    let Some((scheme, key)) = text.split_once("://") else {
        let plain: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}://host/path`")).collect();
        return Err(format!("is not a URL; must be like {}", plain.join(" or ")));
    };
    if let Some(vendor) = vendor::named(scheme) {
        return if vendor::is_key(key) {
            Ok(())
        } else {
            Err(format!("must be `{}://` and the bare key, without path or query", vendor.scheme))
        };
    }
    if !schemes.contains(&scheme) {
        let known = schemes.iter().copied().chain(vendor::schemes());
        let close = did_you_mean(scheme, known);
        return Err(format!("its scheme is {}{close}; must be {}", shown(scheme), one_of(schemes)));
    }
    let url =
        Url::parse(text).map_err(|error| format!("is not a URL ({error}); must be like `{scheme}://host/path`"))?;
    if url.host().is_none() || url.port() == Some(0) {
        return Err(format!("has no host or port; must be {wanted}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or password in it; put an `authorization` header under `headers`".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment (`#...`), which no server sees; leave it out".to_owned());
    }
    Ok(())
}

fn one_of(schemes: &[&str]) -> String {
    let quoted: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}`")).collect();
    format!("{} or a vendor's shorthand", quoted.join(" or "))
}

/// Where a provider is, taken apart for Envoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) tls: bool,
    pub(crate) host: LocationHost,
    pub(crate) port: u16,
    /// `:authority`.
    pub(crate) authority: String,
    /// `:path` with the query. Secret.
    pub(crate) path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LocationHost {
    Name(String),
    Ip(IpAddr),
}

/// Takes a checked URL apart.
pub(crate) fn locate(text: &str) -> Option<Location> {
    let url = Url::parse(text).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => LocationHost::Name(name.to_owned()),
        Host::Ipv4(ip) => LocationHost::Ip(ip.into()),
        Host::Ipv6(ip) => LocationHost::Ip(ip.into()),
    };
    let name = url.host_str()?;
    Some(Location {
        tls: matches!(url.scheme(), "https" | "wss"),
        host,
        port: url.port_or_known_default()?,
        authority: url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")),
        path: url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())),
    })
}
