//! Names in a message: each once, elsewhere by its place.
//!
//! Invariant: places count from 1; 0 is "none". A place that is not there reads as none.

use std::collections::BTreeMap;

use lasso_jsonrpc::method::MethodClass;

use super::MOST_NAME;

/// Gives places to names.
#[derive(Debug, Default)]
pub(super) struct Writer<'a> {
    places: BTreeMap<&'a str, u32>,
    names: Vec<String>,
}

impl<'a> Writer<'a> {
    /// The place of a name; the empty one is none.
    pub(super) fn place(&mut self, name: &'a str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let names = &mut self.names;
        *self.places.entry(name).or_insert_with(|| {
            names.push(name.to_owned());
            u32::try_from(names.len()).unwrap_or(0)
        })
    }

    pub(super) fn class(&mut self, class: MethodClass) -> u32 {
        self.place(class.name())
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// Finds names by their places, and counts what had to be left out.
#[derive(Debug)]
pub(super) struct Reader {
    names: Vec<String>,
    /// Looking a class up by its name walks through all of them: once for each name. `None`: not looked up.
    classes: Vec<Option<Option<MethodClass>>>,
    pub(super) skipped: u32,
}

impl Reader {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { classes: vec![None; names.len()], names, skipped: 0 }
    }

    /// The name in that place, if there is one and it is no longer than names are.
    pub(super) fn name(&self, place: u32) -> Option<Box<str>> {
        let name = self.names.get(index(place)?)?;
        (!name.is_empty() && name.len() <= MOST_NAME).then(|| name.as_str().into())
    }

    /// The same where it may be missing.
    pub(super) fn text(&self, place: u32) -> Box<str> {
        self.name(place).unwrap_or_default()
    }

    /// The class in that place, if we know it.
    pub(super) fn class(&mut self, place: u32) -> Option<MethodClass> {
        let index = index(place)?;
        let name = self.names.get(index)?;
        *self.classes.get_mut(index)?.get_or_insert_with(|| MethodClass::named(name))
    }

    /// The same; `other` when a newer peer knows more methods than we do.
    pub(super) fn class_or_other(&mut self, place: u32) -> MethodClass {
        self.class(place).unwrap_or(MethodClass::OTHER)
    }

    /// What can be read of `items`, `most` of them; the rest is counted.
    pub(super) fn each<T, U>(
        &mut self,
        items: Vec<T>,
        most: usize,
        read: impl Fn(&mut Self, T) -> Option<U>,
    ) -> Vec<U> {
        let sent = items.len();
        let kept: Vec<U> = items.into_iter().take(most).filter_map(|item| read(self, item)).collect();
        self.skip(sent - kept.len());
        kept
    }

    /// Counts what is left out.
    pub(super) fn skip(&mut self, items: usize) {
        self.skipped = self.skipped.saturating_add(u32::try_from(items).unwrap_or(u32::MAX));
    }
}

fn index(place: u32) -> Option<usize> {
    usize::try_from(place).ok()?.checked_sub(1)
}
