//! Answers that web pages read.

use lasso_routing::header::{ANY_ORIGIN, EXPOSED};

use super::*;

const NO_CALL: &str = "{";

fn from_page(path: &str, body: &str) -> Request {
    let request = Request::new(path, body);
    request.envoy.0.request.borrow_mut().insert("origin".into(), b"https://dapp.example".to_vec());
    request
}

/// What the answer that goes through, or the one that the filter gives, says to pages.
fn says(request: &Request) -> Vec<(String, String)> {
    let of_filter = request.envoy.0.sent.borrow().last().map(|sent| sent.headers.clone());
    let passed = || request.envoy.0.response.borrow().clone().into_iter().collect();
    of_filter.unwrap_or_else(passed).into_iter().filter(|(name, _)| name.starts_with("access-control-")).collect()
}

#[track_caller]
fn check(request: &Request, for_page: bool) {
    let expected: Vec<_> =
        [ANY_ORIGIN, EXPOSED].iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(says(request), if for_page { expected } else { Vec::new() });
}

#[test]
fn a_page_may_read_what_a_provider_answers() {
    for (mut request, for_page) in
        [(from_page("/rpc/ethereum", CALL), true), (Request::new("/rpc/ethereum", CALL), false)]
    {
        request.send();
        request.attempt("200", OK);
        assert_eq!(request.down.response_headers(), Flow::Continue);
        check(&request, for_page);
    }
}

#[test]
fn a_page_may_read_what_the_filter_answers() {
    for (mut request, for_page) in
        [(from_page("/rpc/ethereum", NO_CALL), true), (Request::new("/rpc/ethereum", NO_CALL), false)]
    {
        request.send();
        assert!(request.answer().body.contains("-32700"), "{}", request.answer().body);
        check(&request, for_page);
    }
}

#[test]
fn where_the_routes_tell_pages_the_filter_does_not() {
    let mut request = from_page("/rpc/ethereum", CALL);
    request.envoy.0.routes_speak_to_pages.set(true);
    request.send();
    request.attempt("200", OK);
    assert_eq!(request.down.response_headers(), Flow::Continue);
    check(&request, false);
}

#[test]
fn a_page_may_read_what_another_filter_answers_to_a_call() {
    for (mut request, for_page) in [
        (from_page("/rpc/ethereum", CALL), true),
        (Request::new("/rpc/ethereum", CALL), false),
        (from_page("/not/ours", CALL), false),
    ] {
        request.envoy.respond("429", "");
        assert_eq!(request.down.response_headers(), Flow::Continue);
        check(&request, for_page);
    }
}
