//! Writing YAML.
//!
//! Duty: block style, keys in the order given, and texts quoted unless they are plainly plain.
//! Invariant: what is written reads back the same, in Envoy too; control characters are escaped.
//! Leaves to others: reading (`config::tree`).

use std::fmt;

use serde_json::Value;

/// A YAML document to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    /// Numbers, booleans, and words that need no quotes.
    Plain(String),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl From<&Value> for Document {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Plain("null".to_owned()),
            Value::Bool(flag) => Self::Plain(flag.to_string()),
            Value::Number(number) => Self::Plain(number.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Map(fields.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inline() {
            Some(line) => writeln!(f, "{line}"),
            None => self.block(f, 0),
        }
    }
}

impl Document {
    /// The whole of it when it stands on the line of its key.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Plain(word) => Some(word.clone()),
            Self::Text(text) => Some(quoted(text)),
            Self::List(items) if items.is_empty() => Some("[]".to_owned()),
            Self::Map(fields) if fields.is_empty() => Some("{}".to_owned()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    fn block(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Plain(_) | Self::Text(_) => Ok(()),
            Self::List(items) => {
                for item in items {
                    write!(f, "{:indent$}- ", "")?;
                    item.after_dash(f, indent + 2)?;
                }
                Ok(())
            }
            Self::Map(fields) => {
                for (key, value) in fields {
                    write!(f, "{:indent$}", "")?;
                    value.field(f, key, indent)?;
                }
                Ok(())
            }
        }
    }

    /// The rest of an item's first line, and its other lines.
    fn after_dash(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        if let Some(line) = self.inline() {
            return writeln!(f, "{line}");
        }
        if let Self::Map(fields) = self
            && let Some(((key, value), rest)) = fields.split_first()
        {
            value.field(f, key, indent)?;
            return Self::Map(rest.to_vec()).block(f, indent);
        }
        writeln!(f)?;
        self.block(f, indent)
    }

    fn field(&self, f: &mut fmt::Formatter<'_>, key: &str, indent: usize) -> fmt::Result {
        match self.inline() {
            Some(line) => writeln!(f, "{}: {line}", quoted(key)),
            None => {
                writeln!(f, "{}:", quoted(key))?;
                self.block(f, indent + 2)
            }
        }
    }
}

/// Words that YAML readers take for something else than text.
const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

fn quoted(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/' || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Document;

    #[track_caller]
    fn check(value: &serde_json::Value, expected: &str) {
        assert_eq!(Document::from(value).to_string(), expected);
    }

    #[test]
    fn scalars_are_quoted_only_where_they_must_be() {
        check(
            &json!({"a": "x-y", "b": "1", "c": 1, "d": true, "e": "true", "f": "a b", "g": ""}),
            "a: x-y\nb: \"1\"\nc: 1\nd: true\ne: \"true\"\nf: \"a b\"\ng: \"\"\n",
        );
        check(&json!({"a": "q\"\\\u{7f}\n"}), "a: \"q\\\"\\\\\\u007f\\n\"\n");
        check(&json!({"@type": "x"}), "\"@type\": x\n");
    }

    #[test]
    fn collections_nest() {
        check(
            &json!({"a": [{"b": 1, "c": [[1, 2], []]}, "x"], "d": {}}),
            "a:\n  - b: 1\n    c:\n      - \n        - 1\n        - 2\n      - []\n  - x\nd: {}\n",
        );
    }
}
