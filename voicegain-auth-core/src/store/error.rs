use std::error::Error;

/// Any error, boxed.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a store did not do what it was asked. None of it reaches a client, and none of it holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no living web config with this id.
    #[error("there is no such web config")]
    NotFound,
    /// A web config with this id lives already.
    #[error("a web config with this id exists already")]
    AlreadyExists,
    /// A web config with this id was deleted, and reviving it was not asked for (rule W7).
    #[error("a web config with this id was deleted; it comes back only when reviving it is asked for")]
    Deleted,
    /// A web config with this id was deleted at the generation that is to be restored, or at a later one (rules C3, W7).
    #[error(
        "a web config with this id was deleted at this generation or a later one, and a generation never goes back"
    )]
    GenerationPassed,
    /// The store cannot be reached, is too slow or refuses to work. Nothing has been changed.
    #[error("the store is not available")]
    Unavailable(#[source] BoxError),
    /// The change may or may not have happened (rule M1).
    #[error("outcome unknown, look at the generation")]
    OutcomeUnknown(#[source] BoxError),
    /// What the store holds cannot be read: damaged, or written by something else.
    #[error("the store holds something that cannot be read")]
    Damaged(#[source] BoxError),
}

impl StoreError {
    /// A store that cannot be reached.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// A change that may or may not have happened.
    pub fn outcome_unknown(source: impl Into<BoxError>) -> Self {
        Self::OutcomeUnknown(source.into())
    }

    /// Contents that cannot be read.
    pub fn damaged(source: impl Into<BoxError>) -> Self {
        Self::Damaged(source.into())
    }

    /// The error with all its causes, in one line, for the operator's log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
