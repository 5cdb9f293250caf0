//! What is read from the texts: waits, limits; and a provider's own rules.

use super::*;

#[track_caller]
fn wait(case: &Case<'_>, expected: Option<u64>) {
    assert_eq!(case.verdict().mark, Mark::RateLimited(expected.map(Millis)), "for `{}` {:?}", case.message, case.data);
}

#[test]
fn retry_after_counts_seconds() {
    for (header, expected) in [
        ("2", Some(2_000)),
        (" 120 ", Some(120_000)),
        ("1.5", Some(1_500)),
        ("0.0001", Some(1)),
        ("0", None),
        ("-5", None),
        ("", None),
        ("NaN", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ] {
        wait(&Case { status: 429, retry_after: Some(header), ..error(-32_005, "slow") }, expected);
    }
}

#[test]
fn error_data_may_say_when() {
    for (data, expected) in [
        (r#"{"retry_after":3}"#, Some(3_000)),
        (r#"{"retry_after_ms":250}"#, Some(250)),
        (r#"{"retryAfter":"4"}"#, Some(4_000)),
        (r#"{"retryAfterMs":1}"#, Some(1)),
        (r#"{"rate":{"allowed_rps":1,"backoff_seconds":30.0},"see":"https://x"}"#, Some(30_000)),
        (r#"{"try_again_in":"12.3ms"}"#, Some(13)),
        (r#"{"retry_after":null}"#, None),
        (r#"{"retry_after":0}"#, None),
        (r#"{"other":5}"#, None),
        ("[1]", None),
        (r#""later""#, None),
    ] {
        wait(&Case { data: Some(data), ..error(-32_005, "slow") }, expected);
    }
}

#[test]
fn the_text_may_say_when() {
    for (message, expected) in [
        ("rate limit, try again in 5s", Some(5_000)),
        ("rate limit, Try Again In 5 seconds.", Some(5_000)),
        ("rate limit, try again in 1.5 s", Some(1_500)),
        ("rate limit, try again in 300ms", Some(300)),
        ("rate limit, try again in 2m", Some(120_000)),
        ("rate limit, try again in 1 minute", Some(60_000)),
        ("rate limit, try again in 1m30s", Some(90_000)),
        ("rate limit, try again in 1h", Some(3_600_000)),
        ("rate limit, try again in 7", Some(7_000)),
        ("rate limit, retry in 3 secs", Some(3_000)),
        ("rate limit, retry after 9", Some(9_000)),
        ("rate limit, try again in a while", None),
        ("rate limit, try again in ", None),
    ] {
        wait(&error(-32_005, message), expected);
    }
}

#[test]
fn the_header_comes_before_the_data_and_the_data_before_the_text() {
    let data = Some(r#"{"retry_after":2}"#);
    let both = Case { data, ..error(-32_005, "try again in 3s") };
    wait(&both, Some(2_000));
    wait(&Case { retry_after: Some("1"), ..both }, Some(1_000));
}

#[test]
fn a_rate_limit_without_a_body_has_its_header() {
    let reply = read(b"", true);
    let method = Method::of("eth_call");
    let verdict = classify(&Observed { status: 429, retry_after: Some("8"), ..observed(&method, Held::Reply(&reply)) });
    assert_eq!(verdict.mark, Mark::RateLimited(Some(Millis(8_000))));
}

#[track_caller]
fn range(message: &str, expected: Mark) {
    let blocks = Blocks::Range { from: BlockRef::Number(1_000_000), to: BlockRef::Number(1_100_000) };
    let case = Case { method: "eth_getLogs", blocks, ..error(-32_602, message) };
    assert_eq!(case.verdict().row, Row::RangeTooLarge, "{message}");
    assert_eq!(case.verdict().mark, expected, "{message}");
}

#[test]
fn a_limit_is_learned_from_the_number_in_the_text() {
    for (message, limit) in [
        ("exceed maximum block range: 5000", Some(5_000)),
        ("eth_getLogs is limited to a 10,000 range", Some(10_000)),
        ("eth_getLogs and eth_newFilter are limited to a 10,000 blocks range", Some(10_000)),
        ("block range too large, range: 20000, max: 2000", Some(2_000)),
        ("requested too many blocks from 1 to 20000, maximum is set to 2048", Some(2_048)),
        ("ranges over 10000 blocks are not supported on freetier", Some(10_000)),
        ("block range is too large, max is 1k blocks", Some(1_000)),
        ("maximum [from, to] blocks distance: 2000", Some(2_000)),
        ("block range limit exceeded", None),
        ("block range is too wide", None),
        ("invalid block range params: exceed maximum block range 1024.", Some(1_024)),
        (
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your \
             parameters, this block range should work: [0xf4240, 0xf4249].",
            Some(10),
        ),
        (
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on \
             the response size, or you can request any block range with a cap of 10K logs in the response.",
            Some(2_000),
        ),
        // A cap of results, and a range that fits these very parameters: no limit of blocks.
        ("query returned more than 10000 results. Try with this block range [0xF4240, 0xF4300].", None),
        ("block range exceeds the limit of 200000 blocks", None),
    ] {
        range(message, Mark::LearnRange(limit));
    }
}

#[test]
fn a_text_that_names_no_blocks_teaches_no_range() {
    for message in
        ["query returned more than 10000 results", "response size should not be greater than 150 MB", "too many logs"]
    {
        range(message, Mark::None);
    }
}

#[test]
fn a_limit_is_learned_without_knowing_what_was_asked() {
    let case = Case { method: "eth_getLogs", ..error(-32_000, "max block range is 500") };
    assert_eq!(case.verdict().mark, Mark::LearnRange(Some(500)));
}

fn spec(code: Option<i64>, message: Option<&str>, category: &str) -> ErrorRuleSpec {
    ErrorRuleSpec { code, message: message.map(str::to_owned), category: category.to_owned() }
}

#[track_caller]
fn rules(specs: &[ErrorRuleSpec]) -> Vec<ErrorRule> {
    specs.iter().map(|spec| ErrorRule::try_from(spec).unwrap()).collect()
}

#[test]
fn row_0_a_providers_rules_come_first() {
    let rules = rules(&[
        spec(Some(35), None, "capability"),
        spec(None, Some("Ranges Over"), "range_too_large"),
        spec(Some(-32_000), Some("execution reverted: slow down"), "rate_limit"),
    ]);
    let rules = &rules[..];
    let judge = |code, message: &str| {
        let verdict = Case { rules, ..error(code, message) }.verdict();
        (verdict.row, verdict.next, verdict.mark)
    };
    assert_eq!(judge(35, "execution reverted"), (Row::ProviderRule, Next::AnotherProvider, Mark::BanMethod(BAN)));
    assert_eq!(judge(1, "RANGES OVER 500 blocks"), (Row::ProviderRule, Next::Another, Mark::LearnRange(Some(500))));
    let limited = (Row::ProviderRule, Next::Another, Mark::RateLimited(Some(Millis(2_000))));
    assert_eq!(judge(-32_000, "execution reverted: slow down, try again in 2s"), limited);
    assert_eq!(judge(-32_001, "execution reverted: slow down").0, Row::Revert, "all that is given must match");
    assert_eq!(judge(-32_000, "execution reverted").0, Row::Revert);
}

#[test]
fn row_0_every_category_has_its_consequences() {
    for category in ErrorRule::categories() {
        let rules = rules(&[spec(Some(77), None, category)]);
        let verdict = Case { rules: &rules, ..error(77, "") }.verdict();
        assert_eq!(verdict.row, Row::ProviderRule, "{category}");
        let stops = ["revert", "already_known", "client_error"].contains(&category);
        assert_eq!(verdict.next == Next::Stop, stops, "{category}");
        let blamed = ["billing", "auth", "timeout", "server_error"].contains(&category);
        assert_eq!(verdict.blame != Blame::None, blamed, "{category}");
    }
}

#[test]
fn row_0_a_rule_may_know_a_transaction() {
    let rules = rules(&[spec(None, Some("AlreadyKnown"), "already_known")]);
    let verdict = Case { method: "eth_sendRawTransaction", rules: &rules, ..error(-32_010, "AlreadyKnown") }.verdict();
    assert!(verdict.success && verdict.hash_is_result);
}

#[test]
fn a_rule_needs_a_condition_and_a_category_that_exists() {
    assert_eq!(ErrorRule::try_from(&spec(None, None, "auth")), Err(ErrorRuleError::Empty));
    assert_eq!(ErrorRule::try_from(&spec(None, Some("  "), "auth")), Err(ErrorRuleError::Empty));
    let error = ErrorRule::try_from(&spec(Some(1), None, "fatal")).unwrap_err();
    assert!(error.to_string().starts_with("unknown category `fatal`; known are revert, already_known, "), "{error}");
}

#[test]
fn long_and_strange_texts_are_read_as_far_as_it_matters() {
    let long = format!("{}execution reverted", "é".repeat(2_000));
    assert_eq!(error(-32_000, &long).verdict().row, Row::UnknownServerError);
    let early = format!("execution reverted {}", "é".repeat(200_000));
    assert_eq!(error(-32_000, &early).verdict().row, Row::Revert);
}
