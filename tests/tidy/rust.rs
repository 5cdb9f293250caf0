//! Rust source split into code, comments and tests.
//!
//! Duty: let the rules look for a word in code without finding it in a string or a comment, and the other way round.
//! Invariant: `code`, `comments` and `in_test` have one entry for each line of the source.
//! Leaves to others: meaning. This is a scanner, not a parser; it knows strings, characters, comments and braces.

/// A source file, line by line.
#[derive(Debug)]
pub(crate) struct Source {
    /// Code with the contents of strings, characters and comments left out.
    pub(crate) code: Vec<String>,
    /// Comments only.
    pub(crate) comments: Vec<String>,
    /// Whether the line belongs to a `#[cfg(test)]` item.
    pub(crate) in_test: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: u32 },
    Text,
    RawText { hashes: usize },
}

impl Source {
    pub(crate) fn of(text: &str) -> Self {
        let (code, comments) = split(text);
        let in_test = test_lines(&code);
        Self { code, comments, in_test }
    }
}

fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = vec![String::new()];
    let mut comments = vec![String::new()];
    let mut inside = Inside::Code;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        if c == '\n' {
            code.push(String::new());
            comments.push(String::new());
            if inside == Inside::LineComment {
                inside = Inside::Code;
            }
            at += 1;
            continue;
        }
        let (next, taken) = step(inside, &chars, at);
        let lines = if is_comment(inside) || is_comment(next) { &mut comments } else { &mut code };
        // What lies inside quotes is dropped; the quotes stay, so that `"` `"` still separates words.
        let kept =
            !matches!((inside, next), (Inside::Text, Inside::Text) | (Inside::RawText { .. }, Inside::RawText { .. }));
        if let Some(line) = lines.last_mut()
            && kept
        {
            line.extend(chars.iter().skip(at).take(if c == '\'' && taken > 1 { 1 } else { taken }));
        }
        inside = next;
        at += taken;
    }
    (code, comments)
}

const fn is_comment(inside: Inside) -> bool {
    matches!(inside, Inside::LineComment | Inside::BlockComment { .. })
}

/// What comes after the characters at `at`, and how many of them were taken.
fn step(inside: Inside, chars: &[char], at: usize) -> (Inside, usize) {
    let two = (chars.get(at).copied().unwrap_or(' '), chars.get(at + 1).copied().unwrap_or(' '));
    match inside {
        Inside::LineComment => (Inside::LineComment, 1),
        Inside::BlockComment { depth } => match two {
            ('/', '*') => (Inside::BlockComment { depth: depth + 1 }, 2),
            ('*', '/') if depth == 1 => (Inside::Code, 2),
            ('*', '/') => (Inside::BlockComment { depth: depth - 1 }, 2),
            _ => (inside, 1),
        },
        Inside::Text => match two {
            ('\\', '\n') => (Inside::Text, 1),
            ('\\', _) => (Inside::Text, 2),
            ('"', _) => (Inside::Code, 1),
            _ => (Inside::Text, 1),
        },
        Inside::RawText { hashes } => {
            let closes =
                two.0 == '"' && chars.iter().skip(at + 1).take(hashes).filter(|c| **c == '#').count() == hashes;
            if closes { (Inside::Code, 1 + hashes) } else { (inside, 1) }
        }
        Inside::Code => match two {
            ('/', '/') => (Inside::LineComment, 2),
            ('/', '*') => (Inside::BlockComment { depth: 1 }, 2),
            ('"', _) => (Inside::Text, 1),
            ('\'', _) => (Inside::Code, character(chars, at)),
            ('r', '"' | '#') if !after_word(chars, at) => raw_text(chars, at).unwrap_or((Inside::Code, 1)),
            _ => (Inside::Code, 1),
        },
    }
}

/// Length of the character literal at `at`; 1 for a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    let escaped = chars.get(at + 1) == Some(&'\\');
    if !escaped && chars.get(at + 2) != Some(&'\'') {
        return 1;
    }
    let from = at + if escaped { 3 } else { 2 };
    chars.iter().skip(from).position(|c| *c == '\'').map_or(1, |offset| from + offset + 1 - at)
}

/// `r"`, `r#"`, ...; `r#name` is not one.
fn raw_text(chars: &[char], at: usize) -> Option<(Inside, usize)> {
    let hashes = chars.iter().skip(at + 1).take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some((Inside::RawText { hashes }, hashes + 2))
}

/// Whether the character at `at` continues a word; a `b` or `c` prefix of a string is none.
fn after_word(chars: &[char], at: usize) -> bool {
    let word =
        |back: usize| at.checked_sub(back).and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let prefix = matches!(at.checked_sub(1).and_then(|i| chars.get(i)), Some('b' | 'c')) && !word(2);
    word(1) && !prefix
}

/// Marks `#[cfg(test)]` and the item that follows it.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut depth: Option<i32> = None; // Some while inside a test item
    let mut opened = false;
    for (line, mark) in code.iter().zip(&mut marks) {
        if depth.is_none() && (line.contains("#[cfg(test)]") || line.contains("#[cfg(all(test")) {
            depth = Some(0);
            opened = false;
        }
        let Some(open) = &mut depth else { continue };
        *mark = true;
        for c in line.chars() {
            match c {
                '{' => {
                    *open += 1;
                    opened = true;
                }
                '}' => *open -= 1,
                _ => {}
            }
        }
        if (opened && *open == 0) || (!opened && line.trim_end().ends_with(';')) {
            depth = None;
        }
    }
    marks
}

/// Whether `word` occurs in `line` with no identifier character on either side.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let goes_on_before = word.starts_with(part) && before.is_some_and(part);
        let goes_on_after = word.ends_with(part) && after.is_some_and(part);
        !goes_on_before && !goes_on_after
    })
}

#[test]
fn strings_and_comments_are_not_code() {
    let source = Source::of(
        "let a = \"x // y\"; // why\nlet b = r#\"q\"q\"#; /* in /* deep */ side */ let c = 'c';\nfn f<'a>(x: &'a str) {}",
    );
    assert_eq!(source.code, ["let a = \"\"; ", "let b = r#\"\"#;  let c = ';", "fn f<'a>(x: &'a str) {}"]);
    assert_eq!(source.comments, ["// why", "/* in /* deep */ side */", ""]);
}

#[test]
fn a_quote_in_a_character_opens_no_string() {
    let source = Source::of("let q = '\"'; let n = '\\''; let s = b\"a\\\"b\"; done()");
    assert_eq!(source.code, ["let q = '; let n = '; let s = b\"\"; done()"]);
}

#[test]
fn a_test_module_ends_at_its_brace() {
    let source = Source::of(
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}",
    );
    assert_eq!(source.in_test, [false, true, true, true, true, false, true, true, false]);
}

#[test]
fn a_word_has_edges() {
    assert!(has_word("use std::fs;", "std::fs"));
    assert!(has_word("rand::random()", "rand::"));
    assert!(!has_word("operand::x", "rand::"));
    assert!(!has_word("Instantly", "Instant"));
}
