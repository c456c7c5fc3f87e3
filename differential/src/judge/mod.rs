//! Who judges, and what they say.

mod jsonwebtoken;
mod ours;
mod outside;

use serde::Deserialize;

pub(crate) use self::jsonwebtoken::judge as by_jsonwebtoken;
pub(crate) use self::ours::Ours;
pub(crate) use self::outside::{Language, Outside};

/// What one judge says of one token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Verdict {
    Refused {
        /// The name that the judge has for it.
        refused: String,
        /// Whether that is no error of the library's own, so that whoever calls it may not be prepared for it.
        #[serde(default)]
        foreign: bool,
    },
    Accepted(Reading),
}

/// What was understood of an accepted token, as far as it can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reading {
    pub(crate) sub: Option<String>,
    /// In whole seconds.
    pub(crate) exp: Option<String>,
}

impl Verdict {
    pub(crate) fn accepts(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// How two who accept differ in what they have understood. Letter case in `sub` does not matter (rule W4), and what one
    /// of them does not tell is not compared.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<Difference> {
        let (Self::Accepted(one), Self::Accepted(two)) = (self, other) else { return None };
        match (&one.sub, &two.sub) {
            (Some(one), Some(two)) if !one.eq_ignore_ascii_case(two) => Some(Difference::Subject),
            (Some(_), Some(_)) if one.exp != two.exp => Some(Difference::Expiry),
            _ => None,
        }
    }
}

/// What is understood in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    Subject,
    Expiry,
}
