//! The configuration as it is in effect, for people: defaults filled in, secrets masked.
//!
//! Duty: a document in the order of the reference.
//! Invariant: no value of a secret key, and no value that came out of the environment.
//! Leaves to others: printing (`check`).

use super::checked::{Item, Section, Value};
use super::problem::{MASK, masked_url};
use super::scalar::Scalar;
use super::schema::duration;
use crate::yaml::Document;

pub(crate) fn document(section: &Section) -> Document {
    Document::Map(section.fields.iter().map(|(name, value)| ((*name).to_owned(), of(value))).collect())
}

fn of(value: &Value) -> Document {
    match value {
        Value::One(item) => one(item),
        Value::List(items) => Document::List(items.iter().map(one).collect()),
        Value::Table(rows) => Document::Map(rows.iter().map(|(key, item)| (key.clone(), one(item))).collect()),
        Value::Section(section) => document(section),
        Value::Named(named) => {
            Document::Map(named.iter().map(|(name, section)| (name.clone(), document(section))).collect())
        }
        Value::Sections(sections) => Document::List(sections.iter().map(document).collect()),
    }
}

fn one(item: &Item) -> Document {
    match (&item.scalar, &item.written) {
        // As written, so that a host out of the environment stays a variable's name.
        (Scalar::Url(url), written) => Document::Text(masked_url(written.as_ref().unwrap_or(url))),
        (Scalar::Secret(_), _) => Document::Text(MASK.to_owned()),
        (_, Some(written)) => Document::Text(written.clone()),
        (Scalar::Text(text), None) => Document::Text(text.clone()),
        (Scalar::Auto, None) => Document::Plain("auto".to_owned()),
        (Scalar::Flag(flag), None) => Document::Plain(flag.to_string()),
        (Scalar::Whole(value), None) => Document::Plain(value.to_string()),
        (Scalar::Integer(value), None) => Document::Plain(value.to_string()),
        (Scalar::Number(value), None) => Document::Plain(value.to_string()),
        (Scalar::Duration(millis), None) => Document::Plain(duration(*millis)),
        (Scalar::Address(address), None) => Document::Plain(address.to_string()),
    }
}
