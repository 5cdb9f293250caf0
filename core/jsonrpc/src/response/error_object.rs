//! The reading of a provider's error object, whole or in part.

use std::borrow::Cow;

use super::ErrorObject;
use crate::scan::{Fault, Scanner};
use crate::text;

/// How much of an error was seen.
#[derive(Debug)]
pub(super) enum ErrorPart<'a> {
    /// All of it; any JSON value.
    Whole(&'a str),
    /// An object that had not ended when the body was taken.
    Beginning(&'a str),
}

/// The members of an error object, raw.
#[derive(Default)]
struct Fields<'a> {
    code: Option<&'a str>,
    message: Option<&'a str>,
    data: Option<&'a str>,
}

impl<'a> ErrorPart<'a> {
    /// The error, if it is an object with a code or a message.
    pub(super) fn read(&self) -> Option<ErrorObject<'a>> {
        let (text, raw) = match self {
            Self::Whole(raw) => (*raw, *raw),
            Self::Beginning(text) => (*text, ""),
        };
        let mut fields = Fields::default();
        // A beginning ends in a fault, after what could be read.
        let walked = fields.walk(text);
        if matches!(self, Self::Whole(_)) && walked.is_err() {
            return None;
        }
        if fields.code.is_none() && fields.message.is_none() {
            return None;
        }
        Some(ErrorObject {
            code: fields.code.map_or(0, code),
            message: fields.message.map_or(Cow::Borrowed(""), message),
            data: fields.data.filter(|data| *data != "null"),
            raw,
        })
    }
}

impl<'a> Fields<'a> {
    fn walk(&mut self, text: &'a str) -> Result<(), Fault> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut members = scanner.members()?;
        while let Some(key) = members.next(&mut scanner)? {
            let value = scanner.value()?.of(text);
            match text::decode(key.of(text)).as_ref() {
                "code" => self.code = Some(value),
                "message" => self.message = Some(value),
                "data" => self.data = Some(value),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A code as an integer, also when it is quoted or written as a float; else 0.
fn code(raw: &str) -> i64 {
    let digits = text::content_of(raw).unwrap_or(raw);
    digits.parse().or_else(|_| digits.parse::<f64>().map(|code| code as i64)).unwrap_or(0)
}

fn message(raw: &str) -> Cow<'_, str> {
    text::content_of(raw).map_or(Cow::Borrowed(raw), text::decode)
}
