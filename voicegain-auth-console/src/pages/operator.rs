use std::fmt;
#[cfg(feature = "oidc")]
use std::sync::Arc;

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Whoever has the admin token.
    AdminToken,
    /// Somebody whom a provider has signed in.
    #[cfg(feature = "oidc")]
    Person(Arc<str>),
}

impl Operator {
    /// What they are called: no name of a person's is that of the token.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::AdminToken => "admin token",
            #[cfg(feature = "oidc")]
            Self::Person(name) => name,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
