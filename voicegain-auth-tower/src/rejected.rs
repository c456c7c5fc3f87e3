use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use voicegain_auth_core::Rejection;

use crate::body::Json;
use crate::response::{Form, refusal};

/// A refusal as a handler's answer: the rules' status and headers, and the API's error body. Outer layers
/// find the [`Rejection`] in the response's extensions.
///
/// What [`Issuer::mint`](voicegain_auth_core::Issuer::mint) refuses becomes one with `?`.
#[derive(Debug, Clone)]
pub struct Rejected {
    rejection: Rejection,
}

impl Rejected {
    /// A refusal with the API's error body.
    #[must_use]
    pub fn new(rejection: Rejection) -> Self {
        Self { rejection }
    }

    /// Why.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }
}

impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejection.fmt(f)
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.rejection)
    }
}

impl IntoResponse for Rejected {
    fn into_response(self) -> Response {
        refusal::<Body>(self.rejection, Form::Http, &Json)
    }
}
