//! What a reload cannot change.
//!
//! Duty: name the keys that hold from start to end of `lasso serve`, and say which of them a new file would change.
//! Invariant: a file that changes one of them is refused as a whole: no part of a file is ever in effect alone.
//! Leaves to others: when a file is read again (`reload`).

use std::collections::BTreeMap;

use super::checked::Section;
use super::problem::{Place, Problem, Problems};
use super::scalar::Scalar;

/// Sockets that are open, a folder that is in use, a label that everything bears.
const FIXED: [(&str, &str); 8] = [
    ("listen", "rpc"),
    ("listen", "xds"),
    ("listen", "hub"),
    ("listen", "http"),
    ("", "data_dir"),
    ("", "region"),
    ("", "probe_via"),
    ("", "calls_via"),
];

/// The values of these keys, by path.
#[derive(Debug, Default)]
pub(crate) struct Fixed(BTreeMap<String, (Scalar, Place)>);

impl Fixed {
    pub(super) fn of(root: &Section) -> Self {
        let value = |(section, key): &(&str, &str)| {
            let home = if section.is_empty() { root } else { root.section(section)? };
            let item = home.item(key)?;
            let path = if section.is_empty() { (*key).to_owned() } else { format!("{section}.{key}") };
            Some((path, (item.scalar.clone(), item.place.clone())))
        };
        Self(FIXED.iter().filter_map(value).collect())
    }

    /// What would be different from before. A key that says nothing where it stood before is named at the top of the file.
    pub(crate) fn changed_since(&self, before: &Self, top: &Place) -> Option<Problems> {
        let mut problems = Problems::none();
        for path in self.0.keys().chain(before.0.keys()) {
            let (new, old) = (self.0.get(path), before.0.get(path));
            if new.map(|(value, _)| value) == old.map(|(value, _)| value) {
                continue;
            }
            let place = new.map_or(top, |(_, place)| place);
            let was = old.map_or("nothing".to_owned(), |(value, _)| shown(value));
            let wrong = format!("stays {was} while `lasso serve` runs; put that back, or restart it");
            problems.push(Problem::new(place.clone(), path, wrong));
        }
        (!problems.is_empty()).then(|| Problems::new(problems))
    }
}

fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Address(address) => address.to_string(),
        Scalar::Text(text) => format!("`{text}`"),
        Scalar::Auto
        | Scalar::Flag(_)
        | Scalar::Whole(_)
        | Scalar::Integer(_)
        | Scalar::Number(_)
        | Scalar::Duration(_)
        | Scalar::Secret(_)
        | Scalar::Url(_) => "what it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Directory, SMALL};

    #[track_caller]
    fn check(before: &str, after: &str, expected: Option<&str>) {
        let load = |lines: &str| {
            Directory::with(&[("lasso.yaml", &SMALL.replacen("listen: {rpc: '127.0.0.1:10000'}\n", lines, 1))])
                .load("lasso.yaml")
                .unwrap()
        };
        let refusal = load(after).fixed_since(&load(before));
        assert_eq!(
            refusal.map(|problems| problems.to_string().rsplit('/').next().unwrap_or_default().to_owned()),
            expected.map(str::to_owned)
        );
    }

    #[test]
    fn where_things_listen_and_what_is_kept_stays_as_it_began() {
        check("", "", None);
        check("", "listen: {rpc: '127.0.0.1:10000'}\n", None);
        check("max_batch: 5\n", "max_batch: 6\nobservability: {log_level: debug}\n", None);
        check(
            "",
            "listen: {xds: '127.0.0.1:18005'}\n",
            Some(
                "lasso.yaml:1: listen.xds: stays 127.0.0.1:18000 while `lasso serve` runs; put that back, or restart it\n1 problem",
            ),
        );
        check(
            "data_dir: here\n",
            "",
            Some(
                "lasso.yaml:1: data_dir: stays `here` while `lasso serve` runs; put that back, or restart it\n1 problem",
            ),
        );
    }
}
