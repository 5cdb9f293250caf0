//! The client's request head.
//!
//! Duty: keep what routing needs, name the headers that no provider may see, and know whether a web page asks.
//! Invariant: read with one host call; header values that are not UTF-8 are treated as absent, never as an error.
//! Leaves to others: what the path means (`lasso_routing::target`).

use lasso_routing::Catalog;
use lasso_routing::target::PROBE;

use crate::host::Host;

/// What is kept of the head.
#[derive(Debug, Default)]
pub struct Client {
    is_post: bool,
    /// `:path`, query included.
    pub path: String,
    /// `:authority`.
    pub host: String,
    /// 0 when the client did not say.
    pub content_length: u64,
    /// Whether the body already says that it is JSON.
    pub is_json: bool,
    /// Whether a web page asks: browsers say of which origin.
    pub is_page: bool,
    /// Headers to take off before a provider sees them.
    pub strip: Vec<String>,
    secure: bool,
    lasso: Vec<(String, String)>,
}

const ORIGIN: &str = "origin";
/// Headers that identify the client or speak to the gateway. Those that Envoy adds to every request are removed by the route, which costs nothing here.
const PRIVATE: [&str; 14] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    ORIGIN,
    "referer",
    "x-client-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
];
const PRIVATE_PREFIXES: [&str; 4] = ["x-forwarded-", "x-lasso-", "x-envoy-", "sec-"];

impl Client {
    /// Reads the head.
    #[must_use]
    pub fn read(host: &impl Host) -> Self {
        let mut client = Self::default();
        host.each_request_header(&mut |name, value| client.see(name, value));
        client
    }

    fn see(&mut self, name: &str, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else {
            if is_private(name) {
                self.strip.push(name.to_owned());
            }
            return;
        };
        match name {
            ":method" => self.is_post = value == "POST",
            ":path" => value.clone_into(&mut self.path),
            ":authority" => value.clone_into(&mut self.host),
            "content-length" => self.content_length = value.parse().unwrap_or(0),
            "content-type" => self.is_json = value.starts_with("application/json"),
            // Envoy adds these to every request; the route removes them.
            "x-forwarded-proto" => self.secure = value == "https",
            "x-envoy-external-address" | "x-envoy-internal" => {}
            _ if name.starts_with("x-lasso-") => {
                self.strip.push(name.to_owned());
                self.lasso.push((name.to_owned(), value.to_owned()));
            }
            _ if is_private(name) => {
                self.is_page |= name == ORIGIN;
                self.strip.push(name.to_owned());
            }
            _ => {}
        }
    }

    /// Whether it can be a call; anything else on the listener is left alone.
    #[must_use]
    pub fn is_call(&self, catalog: &Catalog) -> bool {
        self.is_post && self.is_ours(catalog)
    }

    /// Whether the path is under our routes.
    fn is_ours(&self, catalog: &Catalog) -> bool {
        let path = self.path_without_query();
        let under = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        under("/rpc") || (path == "/" && catalog.has_hosts())
    }

    /// The client's path as logs may show it: a query can hold a token.
    #[must_use]
    pub fn path_without_query(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }

    /// One of our own request headers.
    #[must_use]
    pub fn lasso_header(&self, name: &str) -> Option<&str> {
        self.lasso.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says the word that only the control plane knows.
    #[must_use]
    pub fn is_probe(&self, catalog: &Catalog) -> bool {
        self.lasso_header(PROBE).is_some_and(|given| catalog.is_probe_token(given))
    }

    /// Where the same request can be made over WebSocket.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        let path = self.path_without_query();
        let tree = if path.starts_with("/ws/") { "" } else { "/ws" };
        format!("{scheme}://{}{tree}{path}", self.host)
    }
}

fn is_private(name: &str) -> bool {
    PRIVATE.contains(&name) || PRIVATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[(&str, &str)]) -> Client {
        let mut client = Client::default();
        headers.iter().for_each(|(name, value)| client.see(name, value.as_bytes()));
        client
    }

    #[test]
    fn what_identifies_the_client_is_stripped() {
        let client = client(&[
            (":method", "POST"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-lasso-provider", "a"),
            ("x-envoy-max-retries", "9"),
            ("origin", "https://dapp.example"),
            ("user-agent", "viem"),
            ("accept", "*/*"),
            ("x-forwarded-proto", "https"),
        ]);
        let expected =
            ["authorization", "cookie", "x-forwarded-for", "x-lasso-provider", "x-envoy-max-retries", "origin"];
        assert_eq!(client.strip, expected);
        assert_eq!(client.lasso_header("x-lasso-provider"), Some("a"));
    }

    #[test]
    fn a_page_says_where_it_is_from() {
        assert!(client(&[("origin", "null")]).is_page);
        assert!(!client(&[("referer", "https://dapp.example"), ("sec-fetch-mode", "cors")]).is_page);
    }

    #[test]
    fn headers_that_are_not_text_are_absent_but_still_stripped() {
        let mut client = Client::default();
        client.see("cookie", &[0xff]);
        client.see("x-lasso-provider", &[0xfe]);
        assert_eq!(client.strip, ["cookie", "x-lasso-provider"]);
        assert_eq!(client.lasso_header("x-lasso-provider"), None);
    }

    #[test]
    fn the_websocket_url_mirrors_the_request() {
        let check = |headers: &[(&str, &str)], url: &str| assert_eq!(client(headers).websocket_url(), url);
        check(&[(":path", "/rpc/base?strategy=fastest"), (":authority", "h:1")], "ws://h:1/ws/rpc/base");
        check(&[(":path", "/rpc/base"), (":authority", "h"), ("x-forwarded-proto", "https")], "wss://h/ws/rpc/base");
    }
}
