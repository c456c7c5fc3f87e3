use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::store::Scope;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// A web config is created, or imported.
    Create,
    /// Its secret is replaced.
    Regenerate,
    /// Its name or its allowed origins are changed.
    Update,
    /// It is deleted.
    Delete,
    /// All of an account or a context are ended.
    End,
    /// An operator has a short-lived token made.
    Mint,
    /// All secrets are sealed anew, under another master key.
    Reseal,
    /// A web config of another store is restored, with its secret.
    Restore,
    /// All web configs are read, secrets included, to be restored elsewhere. It changes nothing.
    Export,
}

impl Act {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Regenerate => "regenerate",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::End => "end",
            Self::Mint => "mint",
            Self::Reseal => "reseal",
            Self::Restore => "restore",
            Self::Export => "export",
        }
    }

    /// What the log says once it is done.
    pub(crate) const fn said(self) -> &'static str {
        match self {
            Self::Create => "a web config was created",
            Self::Regenerate => "a secret was regenerated",
            Self::Update => "a web config was changed",
            Self::Delete => "a web config was deleted",
            Self::End => "all web configs of an account or a context were ended",
            Self::Mint => "a short-lived token was minted",
            Self::Reseal => "secrets were sealed anew",
            Self::Restore => "a web config was restored",
            Self::Export => "all web configs were exported",
        }
    }
}

/// What is done, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deed {
    /// What is done.
    pub act: Act,
    /// The web config that it is done to, if it is one.
    pub web_config: Option<WebConfigId>,
    /// Whose it is, as far as that is known beforehand.
    pub account_id: Option<AccountId>,
    /// The workspace it belongs to, likewise.
    pub context_id: Option<ContextId>,
    /// What it is given.
    pub fields: Vec<Given>,
}

impl Deed {
    /// Something that is done to no single web config.
    #[must_use]
    pub const fn new(act: Act) -> Self {
        Self { act, web_config: None, account_id: None, context_id: None, fields: Vec::new() }
    }

    /// Something that is done to a web config.
    #[must_use]
    pub fn on(act: Act, web_config: WebConfigId) -> Self {
        Self { web_config: Some(web_config), ..Self::new(act) }
    }

    /// To what is in this context.
    #[must_use]
    pub fn within(self, account_id: &AccountId, context_id: &ContextId) -> Self {
        Self { account_id: Some(account_id.clone()), context_id: Some(context_id.clone()), ..self }
    }

    /// To all of this scope.
    #[must_use]
    pub fn to_all(self, scope: &Scope) -> Self {
        match scope {
            Scope::Account(account_id) => Self { account_id: Some(account_id.clone()), ..self },
            Scope::Context(account_id, context_id) => self.within(account_id, context_id),
        }
    }

    /// With this.
    #[must_use]
    pub fn given(mut self, fields: impl IntoIterator<Item = Given>) -> Self {
        self.fields.extend(fields);
        self
    }
}

/// One thing that a change gives to a web config, or to a token: a new value, never what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "whoever writes it down must know of every one")]
pub enum Given {
    /// A name.
    Name(String),
    /// Origin patterns that may use the long-lived token.
    AllowedOrigins(Vec<String>),
    /// A secret: one that came from elsewhere, or a new one.
    Secret {
        /// Whether it came from elsewhere.
        imported: bool,
    },
    /// A life after it was deleted.
    Revival,
    /// To a short-lived token: which origins may use it.
    Audience(String),
    /// To a short-lived token: how many seconds it lives.
    ExpiresIn(u64),
    /// To a short-lived token: what it is limited to.
    ApiPath(String),
}
