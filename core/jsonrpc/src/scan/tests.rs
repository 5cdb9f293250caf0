use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn scan(text: &[u8]) -> Result<Span, Fault> {
    let mut scanner = Scanner::new(text);
    let span = scanner.value()?;
    if scanner.at_end() { Ok(span) } else { Err(Fault::Syntax) }
}

#[track_caller]
fn check_value(text: &str, expected: &str) {
    let span = scan(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    assert_eq!(span.of(text), expected);
}

#[track_caller]
fn check_fault(text: &str, expected: Fault) {
    assert_eq!(scan(text.as_bytes()), Err(expected), "{text}");
}

#[test]
fn delimits_values_of_every_type() {
    for value in [
        "0",
        "-0",
        "10",
        "-1.5e+3",
        "1E5",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        r#""""#,
        r#""a b""#,
        r#""\"\\\/\b\f\n\r\t\u00e9""#,
        r#""0123456789abcdef\"0123456789abcdef""#,
        "{}",
        "[]",
        "[1,[2,{\"a\":[]}],3]",
        r#"{"a":{"b":[true,null]},"c":"}"}"#,
        r#"[ 1 , { "a" : 2 } ]"#,
        "\"snow ☃ man, and some more of it\"",
    ] {
        check_value(value, value);
        check_value(&format!(" \t\r\n{value} \n"), value);
    }
}

#[test]
fn tells_what_ends_early_from_what_is_wrong() {
    for text in [
        "",
        " ",
        "\"",
        "\"abc",
        "\"\\",
        "\"\\u00",
        "-",
        "1.",
        "1e",
        "1e+",
        "tru",
        "n",
        "[",
        "[1",
        "[1,",
        "{",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
    ] {
        check_fault(text, Fault::Eof);
    }
    for text in [
        "01",
        "+1",
        ".5",
        "1.e3",
        "1ex",
        "--1",
        "truth",
        "nul1",
        "True",
        "[,]",
        "[1,]",
        "[1 2]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "\"\\x\"",
        "\"\\u00g0\"",
        "\"a\nb\"",
        "\"a\tb, in the second word\"",
        "'a'",
        "1 2",
        "NaN",
        "{}}",
        "]",
        "\u{feff}{}",
    ] {
        check_fault(text, Fault::Syntax);
    }
}

#[test]
fn every_control_character_in_a_string_is_found_at_every_offset() {
    for control in 0..0x20u8 {
        for offset in 0..20 {
            let mut text = vec![b'a'; 24];
            text[0] = b'"';
            text[23] = b'"';
            text[1 + offset] = control;
            assert_eq!(scan(&text), Err(Fault::Syntax), "{control} at {offset}");
        }
    }
}

#[test]
fn nests_as_deep_as_it_says_and_no_deeper() {
    let nest = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = nest(MAX_DEPTH);
    check_value(&deepest, &deepest);
    check_fault(&nest(MAX_DEPTH + 1), Fault::Syntax);
    let objects = "{\"a\":[".repeat(1_025) + &"]}".repeat(1_025);
    check_value(&objects, &objects);
}

#[test]
fn short_values_are_stepped_over_and_long_ones_are_left() {
    let text = br#"{"a":1}, "0123456789", 12345"#;
    let mut scanner = Scanner::new(text);
    assert_eq!(scanner.short_value(7), Ok(None), "no byte behind the value to see that it ended");
    assert_eq!(scanner.short_value(8), Ok(Some(Span { start: 0, end: 7 })));
    let mut number = Scanner::new(b"12345");
    assert_eq!(number.short_value(3), Ok(None));
    assert_eq!(number.short_value(99), Ok(None), "more digits might follow");
    assert_eq!(Scanner::new(b"nul!").short_value(99), Err(Fault::Syntax));
}

#[test]
fn walks_members_and_elements() {
    let text = r#" { "a" : 1 , "b\n" : [ 2 , "x" ] } "#;
    let mut scanner = Scanner::new(text.as_bytes());
    let mut members = scanner.members().unwrap();
    let mut seen = Vec::new();
    while let Some(key) = members.next(&mut scanner).unwrap() {
        let value = scanner.value().unwrap();
        seen.push((key.of(text), value.of(text)));
    }
    assert_eq!(seen, [("a", "1"), (r"b\n", "[ 2 , \"x\" ]")]);
    assert!(scanner.at_end());
}

/// Text that is JSON more often than not, and nearly JSON else.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just(" ".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"a\":".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        "\"[a-z\\\\\"/u0-9é\t]{0,20}\"",
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

#[track_caller]
fn agrees_with_serde_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let _ = scan(bytes);
        return;
    };
    match (scan(bytes), serde_json::from_str::<&RawValue>(text)) {
        (Ok(span), Ok(raw)) => assert_eq!(span.of(text), raw.get()),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{text}: {ours:?}, serde_json says {theirs:?}"),
    }
}

proptest! {
    #[test]
    fn agrees_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&bytes);
    }

    #[test]
    fn agrees_on_what_looks_like_json(bytes in jsonish()) {
        agrees_with_serde_json(&bytes);
    }

    #[test]
    fn accepts_all_json_and_sees_every_cut(value in json(), at in any::<prop::sample::Index>()) {
        let text = value.to_string();
        agrees_with_serde_json(text.as_bytes());
        let container = format!("[{text}]");
        let cut = &container.as_bytes()[..at.index(container.len())];
        prop_assert_eq!(scan(cut), Err(Fault::Eof));
    }
}
