//! A web config's `allowedOrigins` (rule O8).

use super::pattern::{AnyOrigin, InvalidPattern, OriginPattern};
use super::request_origin::Origin;

/// The patterns of a web config's `allowedOrigins`, parsed once. By default there are none, and nothing
/// matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OriginRules {
    rules: Box<[Rule]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Pattern(OriginPattern),
    /// A text that is no pattern, which matches nothing (rule O3).
    Other(Box<str>),
}

impl OriginRules {
    /// Reads patterns that somebody wants to set.
    ///
    /// # Errors
    /// With the index of the first member that [`OriginPattern::parse_allowed`] refuses, and why.
    pub fn parse_allowed<S: AsRef<str>>(patterns: &[S]) -> Result<Self, (usize, InvalidPattern)> {
        let parse = |(index, text): (usize, &S)| match OriginPattern::parse_allowed(text.as_ref()) {
            Ok(pattern) => Ok(Rule::Pattern(pattern)),
            Err(error) => Err((index, error)),
        };
        Ok(Self { rules: patterns.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
    }

    /// Takes over what a store holds. A member that is no pattern matches nothing and is kept as it is; one
    /// that would be refused today, because the Public Suffix List has grown, still counts.
    pub fn from_stored<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Self {
        let rule = |text: S| {
            let text = text.as_ref();
            text.parse().map_or_else(|_| Rule::Other(text.into()), Rule::Pattern)
        };
        Self { rules: patterns.into_iter().map(rule).collect() }
    }

    /// The members as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| match rule {
            Rule::Pattern(pattern) => pattern.as_str(),
            Rule::Other(text) => text,
        })
    }

    /// Whether one of them stands for this origin.
    #[must_use]
    pub fn matches(&self, origin: &Origin<'_>, any: AnyOrigin) -> bool {
        self.rules.iter().any(|rule| match rule {
            Rule::Pattern(pattern) => pattern.matches_with(origin, any),
            Rule::Other(_) => false,
        })
    }
}
