//! Rows that a code or a status decides, where the text says nothing.

use super::*;

#[track_caller]
fn check_codes(codes: &[i64], method: &str, expected: Expected) {
    for code in codes {
        check(&Case { method, ..error(*code, "oops") }, expected);
    }
}

#[test]
fn row_1_codes_of_reverts() {
    check_codes(&[3, -32_010, -32_015, -32_016], "eth_call", (Row::Revert, Next::Stop, Blame::None, Mark::None));
}

#[test]
fn row_6_codes_of_ranges() {
    let expected = (Row::RangeTooLarge, Next::Another, Blame::None, Mark::None);
    check_codes(&[-32_614, -32_012], "eth_getLogs", expected);
    check_codes(&[-32_012], "eth_call", (Row::UnknownServerError, Next::Another, Blame::None, Mark::Sample));
}

#[test]
fn row_8_codes_of_missing_data() {
    let expected = (Row::MissingData, Next::Another, Blame::None, Mark::Behind);
    check_codes(&[-32_014, -32_043, 26], "eth_call", expected);
}

#[test]
fn row_12_codes_of_rate_limits() {
    let expected = (Row::RateLimit, Next::Another, Blame::None, Mark::RateLimited(None));
    check_codes(&[-32_005, -32_007, -32_009, -32_029, -32_046, 30, 1_015], "eth_call", expected);
    check_codes(&[-32_001], "eth_call", (Row::UnknownServerError, Next::Another, Blame::None, Mark::Sample));
    check(&error(-32_001, "project exceeded the quota"), expected);
}

#[test]
fn row_13_code_of_wallets_for_auth() {
    check_codes(&[4_100], "eth_call", (Row::Auth, Next::Another, Blame::Counts(Category::Auth), Mark::None));
}

#[test]
fn row_14_codes_of_missing_methods() {
    let expected = (Row::MethodMissing, Next::AnotherProvider, Blame::None, Mark::BanMethod(BAN));
    check_codes(&[-32_601, -32_004, -32_612, -32_613, 4_200, 35, -32_701], "eth_call", expected);
}

#[test]
fn row_19_invalid_params_by_code_come_after_what_the_text_says() {
    check_codes(&[-32_602], "eth_call", (Row::InvalidParamsCode, Next::Stop, Blame::None, Mark::None));
    let text = |method, message| Case { method, ..error(-32_602, message) }.verdict().row;
    assert_eq!(text("eth_getLogs", "block range too large"), Row::RangeTooLarge);
    assert_eq!(text("eth_getLogs", "too many addresses"), Row::TooManyAddresses);
    assert_eq!(text("eth_call", "header not found"), Row::MissingData);
    assert_eq!(text("eth_call", "pending block not supported"), Row::TagUnsupported);
    assert_eq!(text("eth_call", "method not supported"), Row::MethodMissing);
}

#[test]
fn row_20_invalid_requests_are_not_held_against_the_provider() {
    check_codes(&[-32_600, -32_700], "eth_call", (Row::InvalidRequest, Next::Stop, Blame::None, Mark::None));
}

#[test]
fn row_21_internal_errors() {
    check_codes(&[-32_603], "eth_call", (Row::Internal, Next::Another, SERVER, Mark::None));
}

#[test]
fn row_22_unknown_server_errors_may_be_tried_elsewhere() {
    let expected = (Row::UnknownServerError, Next::Another, Blame::None, Mark::Sample);
    check_codes(&[-32_000, -32_050, -32_099, -32_003], "eth_call", expected);
}

#[test]
fn row_23_other_errors_are_answers() {
    let expected = (Row::UnknownError, Next::Stop, Blame::None, Mark::Sample);
    check_codes(&[0, 1, -1, -31_999, -32_100, i64::MIN, i64::MAX], "eth_call", expected);
}

#[test]
fn a_status_decides_where_the_error_says_nothing() {
    for (status, code, row) in [
        (402, -32_000, Row::Billing),
        (429, -32_000, Row::RateLimit),
        (429, -32_601, Row::RateLimit),
        (401, -32_000, Row::Auth),
        (403, -32_600, Row::Auth),
        (403, -32_601, Row::MethodMissing),
        (405, -32_000, Row::MethodMissing),
        (415, -32_000, Row::MethodMissing),
        (504, -32_000, Row::NodeTimeout),
        (408, -32_000, Row::NodeTimeout),
        (502, -32_000, Row::Transient),
        (503, -32_602, Row::Transient),
        (500, -32_602, Row::InvalidParamsCode),
        (500, -32_603, Row::Internal),
        (404, -32_000, Row::UnknownServerError),
        (400, -32_700, Row::InvalidRequest),
    ] {
        assert_eq!(Case { status, ..error(code, "oops") }.verdict().row, row, "{status} {code}");
    }
}

#[test]
fn a_text_decides_before_most_statuses() {
    for (status, message, row) in [
        (500, "execution reverted", Row::Revert),
        (503, "execution reverted", Row::Revert),
        (429, "execution reverted", Row::Revert),
        (403, "method not whitelisted", Row::MethodMissing),
        (400, "header not found", Row::MissingData),
        (429, "please retry", Row::RateLimit),
        (402, "upgrade your tier", Row::Billing),
        (503, "rate limit", Row::RateLimit),
    ] {
        assert_eq!(Case { status, ..error(-32_000, message) }.verdict().row, row, "{status} {message}");
    }
}
