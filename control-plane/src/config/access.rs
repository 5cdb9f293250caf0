//! Reading a checked section by key.
//!
//! Duty: typed getters. Invariant: a key that is absent, or was reported as wrong, is `None` or empty; nothing is reported twice.
//! Leaves to others: everything else.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::checked::{Item, Section, Value};
use super::problem::Place;
use super::scalar::Scalar;

impl Section {
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub(crate) fn item(&self, key: &str) -> Option<&Item> {
        if let Some(Value::One(item)) = self.value(key) { Some(item) } else { None }
    }

    /// Where a key stands, or the section when it does not.
    pub(crate) fn place_of(&self, key: &str) -> &Place {
        self.item(key).map_or(&self.place, |item| &item.place)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.item(key)?.text()
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        if let Scalar::Flag(flag) = self.item(key)?.scalar { Some(flag) } else { None }
    }

    /// A whole number; `auto` is `None`.
    pub(crate) fn whole(&self, key: &str) -> Option<u64> {
        if let Scalar::Whole(value) = self.item(key)?.scalar { Some(value) } else { None }
    }

    /// A whole number whose range fits 32 bits.
    pub(crate) fn small(&self, key: &str) -> Option<u32> {
        u32::try_from(self.whole(key)?).ok()
    }

    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        if let Scalar::Integer(value) = self.item(key)?.scalar { Some(value) } else { None }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.item(key)?.number()
    }

    pub(crate) fn millis(&self, key: &str) -> Option<u32> {
        self.item(key)?.millis()
    }

    pub(crate) fn address(&self, key: &str) -> Option<SocketAddr> {
        if let Scalar::Address(address) = self.item(key)?.scalar { Some(address) } else { None }
    }

    /// Whether any value in it was written.
    pub(crate) fn is_written(&self) -> bool {
        self.fields.iter().any(|(_, value)| match value {
            Value::One(item) => !item.is_default,
            Value::Section(section) => section.is_written(),
            Value::List(_) | Value::Table(_) | Value::Named(_) | Value::Sections(_) => true,
        })
    }

    /// Where this section and every one in it stand, by path.
    pub(crate) fn places(&self) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::from([(self.path.clone(), self.place.clone())]);
        for (name, value) in &self.fields {
            match value {
                Value::Section(section) => places.extend(section.places()),
                Value::Named(named) => places.extend(named.iter().flat_map(|(_, section)| section.places())),
                Value::Sections(sections) => places.extend(sections.iter().flat_map(Self::places)),
                Value::One(item) => {
                    let separator = if self.path.is_empty() { "" } else { "." };
                    places.insert(format!("{}{separator}{name}", self.path), item.place.clone());
                }
                Value::List(_) | Value::Table(_) => {}
            }
        }
        places
    }

    pub(crate) fn section(&self, key: &str) -> Option<&Self> {
        if let Some(Value::Section(section)) = self.value(key) { Some(section) } else { None }
    }

    pub(crate) fn sections(&self, key: &str) -> &[Self] {
        if let Some(Value::Sections(sections)) = self.value(key) { sections } else { &[] }
    }

    pub(crate) fn named(&self, key: &str) -> &[(String, Self)] {
        if let Some(Value::Named(named)) = self.value(key) { named } else { &[] }
    }

    pub(crate) fn list(&self, key: &str) -> &[Item] {
        if let Some(Value::List(items)) = self.value(key) { items } else { &[] }
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        self.list(key).iter().filter_map(Item::text).map(str::to_owned).collect()
    }

    pub(crate) fn table(&self, key: &str) -> &[(String, Item)] {
        if let Some(Value::Table(rows)) = self.value(key) { rows } else { &[] }
    }
}

impl Item {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Scalar::Text(text) | Scalar::Secret(text) | Scalar::Url(text) = &self.scalar { Some(text) } else { None }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        if let Scalar::Number(value) = self.scalar { Some(value) } else { None }
    }

    pub(crate) fn millis(&self) -> Option<u32> {
        let Scalar::Duration(millis) = self.scalar else { return None };
        u32::try_from(millis).ok()
    }
}
