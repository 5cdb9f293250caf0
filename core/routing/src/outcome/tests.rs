//! The table, row by row: every phrase and every code of each, in words that providers use.

use std::borrow::Cow;

use lasso_jsonrpc::response::{ErrorObject, Malformed, Reply, read};

use super::*;
use crate::catalog::spec::ErrorRuleSpec;

mod codes;
mod learning;
mod mistakes;
mod phrases;
mod replies;

/// An attempt's end, to be changed where a test needs it.
struct Case<'a> {
    method: &'a str,
    status: u16,
    code: i64,
    message: &'a str,
    data: Option<&'a str>,
    retry_after: Option<&'a str>,
    best_head: Option<u64>,
    blocks: Blocks,
    rules: &'a [ErrorRule],
}

/// An error under HTTP 200 to an `eth_call`.
const fn error(code: i64, message: &str) -> Case<'_> {
    Case {
        method: "eth_call",
        status: 200,
        code,
        message,
        data: None,
        retry_after: None,
        best_head: None,
        blocks: Blocks::None,
        rules: &[],
    }
}

impl Case<'_> {
    fn verdict(&self) -> Verdict {
        let error = ErrorObject { code: self.code, message: Cow::Borrowed(self.message), data: self.data, raw: "{}" };
        let reply = Reply::Error { id: Some("1"), error };
        classify(&Observed {
            status: self.status,
            retry_after: self.retry_after,
            best_head: self.best_head,
            blocks: &self.blocks,
            rules: self.rules,
            ..observed(&Method::of(self.method), Held::Reply(&reply))
        })
    }
}

/// HTTP 200, nothing known.
fn observed<'a>(method: &'a Method<'a>, held: Held<'a>) -> Observed<'a> {
    Observed {
        method,
        status: 200,
        held,
        retry_after: None,
        wrong_id: false,
        best_head: None,
        blocks: &Blocks::None,
        confirms_null: method.confirms_null(),
        rules: &[],
    }
}

/// A body to an `eth_call` under a status.
fn body(status: u16, body: &str) -> Verdict {
    let reply = read(body.as_bytes(), true);
    let method = Method::of("eth_call");
    classify(&Observed { status, ..observed(&method, Held::Reply(&reply)) })
}

/// What is expected, in the order of the table's columns.
type Expected = (Row, Next, Blame, Mark);

const SERVER: Blame = Blame::Counts(Category::Server);

#[track_caller]
fn check(case: &Case<'_>, expected: Expected) {
    let verdict = case.verdict();
    let found = (verdict.row, verdict.next, verdict.blame, verdict.mark);
    assert_eq!(found, expected, "for {} {} `{}` to {}", case.status, case.code, case.message, case.method);
}
