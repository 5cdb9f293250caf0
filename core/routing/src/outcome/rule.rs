//! A provider's own error table: row 0.
//!
//! Duty: make rules from the configuration's and match them before all others.
//! Invariant: a rule has a code or a message, and a category that means one of the table's rows.

use super::line::Then;
use super::table;
use super::text::Text;
use crate::catalog::spec::ErrorRuleSpec;

/// What a category means: the consequences of a row.
const CATEGORIES: &[(&str, Then)] = &[
    ("revert", table::REVERT),
    ("already_known", table::ALREADY_KNOWN),
    ("client_error", table::INVALID_PARAMS_TEXT),
    ("range_too_large", table::RANGE_TOO_LARGE),
    ("too_many_addresses", table::TOO_MANY_ADDRESSES),
    ("missing_data", table::MISSING_STATE),
    ("behind", table::BEHIND),
    ("tag_unsupported", table::TAG_UNSUPPORTED),
    ("billing", table::BILLING),
    ("rate_limit", table::RATE_LIMIT),
    ("auth", table::AUTH),
    ("capability", table::METHOD_MISSING),
    ("plan", table::NOT_IN_PLAN),
    ("timeout", table::NODE_TIMEOUT),
    ("server_error", table::TRANSIENT),
    ("another", table::DIALECT),
];

/// One row of a provider's own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    code: Option<i64>,
    /// In lower case.
    message: Option<Box<str>>,
    then: Then,
}

/// Why a rule is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorRuleError {
    /// It would match every error.
    #[error("an error rule needs a `code` or a `message`")]
    Empty,
    /// No such category.
    #[error("unknown category `{0}`; known are {known}", known = ErrorRule::categories().collect::<Vec<_>>().join(", "))]
    UnknownCategory(String),
}

impl TryFrom<&ErrorRuleSpec> for ErrorRule {
    type Error = ErrorRuleError;

    fn try_from(spec: &ErrorRuleSpec) -> Result<Self, ErrorRuleError> {
        let message = spec.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
        if spec.code.is_none() && message.is_none() {
            return Err(ErrorRuleError::Empty);
        }
        let (_, then) = CATEGORIES
            .iter()
            .find(|(name, _)| *name == spec.category)
            .ok_or_else(|| ErrorRuleError::UnknownCategory(spec.category.clone()))?;
        Ok(Self { code: spec.code, message: message.map(|message| message.to_ascii_lowercase().into()), then: *then })
    }
}

impl ErrorRule {
    /// The names that `category` may have.
    pub fn categories() -> impl Iterator<Item = &'static str> {
        CATEGORIES.iter().map(|(name, _)| *name)
    }

    /// Whether an error is this rule's.
    pub(super) fn matches(&self, code: i64, text: &Text<'_>) -> bool {
        self.code.is_none_or(|own| own == code) && self.message.as_deref().is_none_or(|message| text.has(message))
    }

    pub(super) const fn then(&self) -> &Then {
        &self.then
    }
}
