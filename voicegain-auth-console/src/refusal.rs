//! What the admin API says no with, in the shape of rule E.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use voicegain_auth_core::{IssueError, StoreError};

/// A refusal. Its detail holds no secret.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: &'static str,
    detail: Cow<'static, str>,
    /// Since when it is so, as time since the Unix epoch.
    since: Option<Duration>,
    /// What kept the store from it.
    failure: Option<StoreError>,
}

/// What kept the store from it, in the extensions of an answer, for whoever can say more about that.
#[derive(Clone)]
pub(crate) struct StoreFailure(pub(crate) Arc<StoreError>);

impl Refusal {
    fn new(status: StatusCode, reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, detail: detail.into(), since: None, failure: None }
    }

    pub(crate) fn foreign_host() -> Self {
        let detail = "This port does not answer to that Host; use localhost, or have the name allowed.";
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(crate) fn missing_token() -> Self {
        let detail = "There is no admin token; send it as Authorization: Bearer <admin token>.";
        Self::new(StatusCode::UNAUTHORIZED, "missing_token", detail)
    }

    pub(crate) fn invalid_token() -> Self {
        let detail = "That is not the admin token; use the one the process printed at its last start, or the one it was given.";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail)
    }

    pub(crate) fn invalid_parameter(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    /// A field of the body does not fit.
    pub(crate) fn field(name: &str, problem: &str) -> Self {
        Self::invalid_parameter(format!("Field `{name}`: {problem}."))
    }

    pub(crate) fn no_such_path() -> Self {
        let detail = "There is nothing at this path; web configs are at /api/web-configs.";
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn no_such_web_config() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such web config; look for it in the list.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This path does not take that method; use one of those in Allow.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// For a limit in bytes.
    pub(crate) fn body_too_large(most: usize) -> Self {
        let detail = format!("The body is larger than {} KiB; send less.", most >> 10);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", detail)
    }

    pub(crate) fn not_sealed() -> Self {
        let detail = "The store of this process does not seal its secrets, so there is nothing to seal anew.";
        Self::new(StatusCode::CONFLICT, "not_sealed", detail)
    }

    pub(crate) fn not_ready(detail: String, since: Option<Duration>) -> Self {
        Self { since, ..Self::unavailable(detail) }
    }

    pub(crate) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail)
    }
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn into_detail(self) -> Cow<'static, str> {
        self.detail
    }
}

impl From<IssueError> for Refusal {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Invalid { field, problem } => Self::field(field, &problem),
            IssueError::Store(error) => error.into(),
            // Why is in the log already.
            IssueError::Audit(_) => Self::unavailable(
                "The audit log cannot be written, so nothing was changed; see the log of this process.",
            ),
            error => {
                tracing::error!(%error, "a web config could not be created or changed");
                Self::unavailable("Nothing was changed; try again shortly.")
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::no_such_web_config(),
            StoreError::AlreadyExists => {
                let detail = "A web config with this id exists already; regenerate or delete that one.";
                Self::new(StatusCode::CONFLICT, "already_exists", detail)
            }
            StoreError::Deleted => {
                let detail = "A web config with this id was deleted; send \"revive\": true to bring it back.";
                Self::new(StatusCode::CONFLICT, "deleted", detail)
            }
            StoreError::OutcomeUnknown(_) => {
                tracing::error!(error = error.chain(), "the outcome of a change is unknown");
                Self::unavailable("Outcome unknown, look at the generation.")
            }
            error => {
                tracing::error!(error = error.chain(), "the store failed");
                let detail = "The store does not answer; nothing was changed, try again shortly.";
                Self { failure: Some(error), ..Self::unavailable(detail) }
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "error": { "reason": self.reason, "detail": self.detail } });
        if let (Some(since), Some(members)) = (self.since, body.as_object_mut()) {
            members.insert("notReadySince".to_owned(), since.as_secs().into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let challenge = match self.reason {
            "missing_token" => Some("Bearer realm=\"voicegain-admin\""),
            "invalid_token" => Some("Bearer realm=\"voicegain-admin\", error=\"invalid_token\""),
            "invalid_request" => Some("Bearer realm=\"voicegain-admin\", error=\"invalid_request\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(failure) = self.failure {
            response.extensions_mut().insert(StoreFailure(Arc::new(failure)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(refusal: impl Into<Refusal>) -> (u16, String, Option<HeaderValue>) {
        let response = refusal.into().into_response();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (parts.status.as_u16(), body, parts.headers.get(RETRY_AFTER).cloned())
    }

    #[tokio::test]
    async fn m1_an_unknown_outcome_says_where_to_look() {
        let (status, body, retry) = read(StoreError::outcome_unknown("a path and a password")).await;
        assert_eq!(status, 503);
        assert!(body.contains("Outcome unknown, look at the generation"), "{body}");
        assert!(!body.contains("password"));
        assert!(retry.is_some());
    }

    #[tokio::test]
    async fn v6_what_a_store_says_stays_in_the_log() {
        for error in [StoreError::unavailable("a password"), StoreError::damaged("a password")] {
            let (status, body, retry) = read(error).await;
            assert_eq!(status, 503);
            assert!(body.contains("temporarily_unavailable") && !body.contains("password"), "{body}");
            assert!(retry.is_some());
        }
    }
}
