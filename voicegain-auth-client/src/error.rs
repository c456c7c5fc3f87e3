//! What can go wrong. None of it holds a token.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is no token: give the three parts with dots between them, as shown when it was made, and nothing else"
)]
#[non_exhaustive]
pub struct InvalidToken;

/// Why a [`TokenMinter`](crate::TokenMinter) was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The API's URL is none that tokens can be got from.
    #[error("the API's URL {0}; give it as in https://api.voicegain.ai/v1")]
    ApiUrl(&'static str),
    /// The API's URL has no TLS, and is not of this machine.
    #[error(
        "the API's URL is http, so that the long-lived token could be read on its way; give an https one, or say \
         dangerously_allow_http"
    )]
    PlainHttp,
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Http(#[source] reqwest::Error),
}

/// Why no token was minted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// No answer came, or not all of it.
    #[error("the API gave no answer")]
    Transport(#[source] Arc<reqwest::Error>),
    /// The API said no.
    #[error(transparent)]
    Refused(Refusal),
    /// Something answered that is not the API, or is not at this URL.
    #[error("{status} from what should be the API, and {problem}; look at the API's URL")]
    Unexpected {
        /// The answer's status.
        status: StatusCode,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl MintError {
    /// Whether the next attempt may succeed with nothing changed: no answer, an answer of something in between, 5xx, or 429. Not
    /// so what the API itself says of the token or of what was asked for.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Unexpected { .. } => true,
            Self::Refused(Refusal { status, .. }) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
        }
    }
}

/// A refusal in the API's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API refused ({status}, {reason}): {detail}")]
#[non_exhaustive]
pub struct Refusal {
    /// The status, as in 401.
    pub status: StatusCode,
    /// Why, in one fixed word, as in `invalid_token`.
    pub reason: String,
    /// What to do, in a sentence for a person.
    pub detail: String,
    /// How long to wait before asking again, if it says so.
    pub retry_after: Option<Duration>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no token to send it with.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// It could not be built or sent.
    #[error("the request could not be sent")]
    Request(#[source] reqwest::Error),
}
