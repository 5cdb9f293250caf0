//! Who may ask.
//!
//! Duty: the admin token; a page in somebody's browser may neither read a loopback API under a name of its own (DNS rebinding) nor post
//! to it (request forgery).
//! Invariant: a listener that others can reach has a token, or there is none; a token is compared in constant time and never shown.
//! Leaves to others: what is asked (`api`, `admin`). Reading is open to whoever reaches the port: nothing there is secret.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// Where the token comes from.
pub(crate) const TOKEN_VARIABLE: &str = "LASSO_ADMIN_TOKEN";
/// A shorter one could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// Largest body of a request, in bytes.
pub(crate) const MOST_BODY: u64 = 64 * 1_024;

/// The digest of the admin token: of one length whatever the token's is.
#[derive(Clone, PartialEq, Eq)]
struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

/// The rules of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    loopback: bool,
    token: Option<Token>,
}

/// Why a listener may not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuardError {
    #[error("listen.http: others than this machine can reach it; set LASSO_ADMIN_TOKEN, or use a loopback address")]
    NoToken,
    #[error("LASSO_ADMIN_TOKEN: must have at least 16 characters, without spaces at its ends")]
    BadToken,
}

impl Guard {
    /// An empty token counts as unset, as all variables do.
    pub(crate) fn new(listen: SocketAddr, token: Option<&str>) -> Result<Self, GuardError> {
        let loopback = listen.ip().is_loopback();
        let token = token.filter(|token| !token.is_empty());
        if token.is_some_and(|token| token.len() < SHORTEST_TOKEN || token.trim() != token) {
            return Err(GuardError::BadToken);
        }
        if token.is_none() && !loopback {
            return Err(GuardError::NoToken);
        }
        Ok(Self { loopback, token: token.map(Token::of) })
    }

    /// For every request.
    pub(crate) fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        if self.loopback && !host.as_ref().is_some_and(|host| is_loopback(host.host())) {
            return Err(Problem::bad_host());
        }
        let reads = *method == Method::GET || *method == Method::HEAD;
        if let Some(origin) = headers.get(header::ORIGIN).filter(|_| !reads) {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let same = host.is_some_and(|host| origin.is_some_and(|(_, origin)| origin == host.as_str()));
            if !same {
                return Err(Problem::foreign_origin());
            }
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > MOST_BODY) {
            return Err(Problem::too_large(MOST_BODY));
        }
        Ok(())
    }

    /// For requests that change something.
    pub(crate) fn admit_admin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        // Without a token this is a loopback listener, whose users own the machine.
        let Some(token) = &self.token else { return Ok(()) };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, shown) = shown.split_once(' ').unwrap_or_default();
        let same = bool::from(Token::of(shown).0.ct_eq(&token.0));
        if scheme.eq_ignore_ascii_case("bearer") && same { Ok(()) } else { Err(Problem::unauthorized()) }
    }
}

/// A name by which this machine calls itself.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-the-tests";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let name = |name: &str| header::HeaderName::try_from(name).unwrap();
        pairs.iter().map(|(key, value)| (name(key), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(listen: &str, token: Option<&str>, pairs: &[(&str, &str)], refused: Option<&Problem>) {
        let guard = Guard::new(listen.parse().unwrap(), token).unwrap();
        let headers = headers(pairs);
        let found = guard.admit(&Method::POST, &headers).and_then(|()| guard.admit_admin(&headers));
        assert_eq!(found.err().as_ref(), refused, "{listen} {token:?} {pairs:?}");
    }

    #[test]
    fn an_admin_call_needs_the_token_where_there_is_one() {
        let (local, open) = ("127.0.0.1:18002", "0.0.0.0:18002");
        let (host, elsewhere) = (("host", "localhost:18002"), ("host", "lasso.example"));
        let right = ("authorization", "Bearer a-token-of-the-tests");
        let unauthorized = Problem::unauthorized();
        check(local, None, &[host], None);
        check(local, None, &[host, right], None);
        check(local, Some(""), &[host], None);
        check(local, Some(TOKEN), &[host], Some(&unauthorized));
        check(local, Some(TOKEN), &[host, right], None);
        check(open, Some(TOKEN), &[elsewhere], Some(&unauthorized));
        check(open, Some(TOKEN), &[elsewhere, right], None);
        check(open, Some(TOKEN), &[elsewhere, ("authorization", "bearer a-token-of-the-tests")], None);
        for wrong in ["Bearer", "Bearer ", "Bearer a-token-of-the-test", "Basic a-token-of-the-tests", TOKEN] {
            check(open, Some(TOKEN), &[elsewhere, ("authorization", wrong)], Some(&unauthorized));
        }
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let host = ("host", "127.0.0.1:18002");
        let foreign = Problem::foreign_origin();
        let local = "127.0.0.1:18002";
        check(local, None, &[host, ("origin", "http://127.0.0.1:18002")], None);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1:18002.evil.example"] {
            check(local, None, &[host, ("origin", origin)], Some(&foreign));
            let right = ("authorization", "Bearer a-token-of-the-tests");
            check("0.0.0.0:1", Some(TOKEN), &[host, right, ("origin", origin)], Some(&foreign));
        }
        let (proxied, page) = (("host", "lasso.example"), ("origin", "https://lasso.example"));
        check("0.0.0.0:1", Some(TOKEN), &[proxied, page, ("authorization", "Bearer a-token-of-the-tests")], None);
    }

    #[test]
    fn a_loopback_listener_answers_to_loopback_names() {
        let bad = Problem::bad_host();
        for host in ["localhost", "LOCALHOST:9", "127.0.0.1", "127.9.9.9:80", "[::1]:18002"] {
            check("127.0.0.1:18002", None, &[("host", host)], None);
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil.example", ""] {
            check("127.0.0.1:18002", None, &[("host", host)], Some(&bad));
        }
        check("[::1]:18002", None, &[], Some(&bad));
    }

    #[test]
    fn a_body_is_short() {
        let host = ("host", "localhost");
        check("127.0.0.1:1", None, &[host, ("content-length", "65536")], None);
        check("127.0.0.1:1", None, &[host, ("content-length", "65537")], Some(&Problem::too_large(MOST_BODY)));
    }

    #[test]
    fn a_listener_that_others_reach_has_a_token_of_some_length() {
        #[track_caller]
        fn check(listen: &str, token: Option<&str>, refused: Option<GuardError>) {
            assert_eq!(Guard::new(listen.parse().unwrap(), token).err(), refused);
        }
        check("0.0.0.0:1", None, Some(GuardError::NoToken));
        check("192.0.2.1:1", Some(""), Some(GuardError::NoToken));
        check("192.0.2.1:1", Some(TOKEN), None);
        check("127.0.0.1:1", Some("short"), Some(GuardError::BadToken));
        check("127.0.0.1:1", Some("a-token-of-the-tests\n"), Some(GuardError::BadToken));
        let guard = Guard::new("127.0.0.1:1".parse().unwrap(), Some(TOKEN)).unwrap();
        assert!(!format!("{guard:?}").contains("token-of"), "the token is not shown");
    }
}
