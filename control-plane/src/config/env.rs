//! `${VAR}` and `${VAR:-default}` in a text.
//!
//! Duty: put the environment's values in. An empty variable counts as unset: an empty key is a mistake, not a key.
//! Invariant: an error names the variable, never a value.
//! Leaves to others: what an unset variable means for the rest (`checked`).

/// The environment as the configuration sees it: a lookup by name.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EnvError {
    /// Not set, and without a default.
    Unset(String),
    /// Not of the form `${VAR}` or `${VAR:-default}`.
    Malformed,
}

/// The text with every reference replaced.
pub(crate) fn expand(text: &str, lookup: &Lookup<'_>) -> Result<String, EnvError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (reference, behind) = after.split_once('}').ok_or(EnvError::Malformed)?;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(EnvError::Malformed);
        }
        let value = lookup(name).filter(|value| !value.is_empty());
        let value = value.or_else(|| default.map(str::to_owned)).ok_or_else(|| EnvError::Unset(name.to_owned()))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::{EnvError, expand};

    #[track_caller]
    fn check(text: &str, expected: Result<&str, EnvError>) {
        let lookup = |name: &str| match name {
            "KEY" => Some("abc".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(expand(text, &lookup), expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn variables_are_replaced_and_defaults_stand_in() {
        check("https://host/v2/${KEY}", Ok("https://host/v2/abc"));
        check("${KEY}-${KEY}", Ok("abc-abc"));
        check("${NONE:-x}${KEY:-y}", Ok("xabc"));
        check("${NONE:-}", Ok(""));
        check("plain $KEY {KEY}", Ok("plain $KEY {KEY}"));
    }

    #[test]
    fn an_unset_or_empty_variable_without_a_default_is_named() {
        check("a${NONE}", Err(EnvError::Unset("NONE".to_owned())));
        check("${EMPTY}", Err(EnvError::Unset("EMPTY".to_owned())));
    }

    #[test]
    fn a_broken_reference_is_an_error() {
        check("${KEY", Err(EnvError::Malformed));
        check("${}", Err(EnvError::Malformed));
        check("${A B}", Err(EnvError::Malformed));
        check("${KEY-default}", Err(EnvError::Malformed));
    }
}
