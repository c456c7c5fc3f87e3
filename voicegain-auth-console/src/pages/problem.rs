//! What a page says no with.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use voicegain_auth_core::{IssueError, StoreError};

use super::visitor::{Frame, html};
use crate::refusal::Refusal;

/// Why something was not done. It holds no secret.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    text: Cow<'static, str>,
    /// Whether the person must sign in first.
    is_signed_out: bool,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, title, text: text.into(), is_signed_out: false }
    }

    pub(super) fn signed_out() -> Self {
        let text = "Your session is over, and nothing was done. Sign in, then do it again.";
        Self::not_signed_in(StatusCode::UNAUTHORIZED, "Signed out", text)
    }

    /// Something for a person who must sign in first.
    pub(super) fn not_signed_in(
        status: StatusCode,
        title: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { is_signed_out: true, ..Self::new(status, title, text) }
    }

    pub(super) fn foreign_form() -> Self {
        let text = "This form does not come from a page of this console, so nothing was done. Open the console anew.";
        Self::new(StatusCode::FORBIDDEN, "Not from this console", text)
    }

    pub(super) fn sent_before() -> Self {
        let text = "This form was sent before, or is too old. Nothing was done now; what it did the first time stands. \
                    A token is shown once: if you have not kept it, regenerate.";
        Self::new(StatusCode::CONFLICT, "Sent before", text)
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Nothing here",
            "There is no such page; begin at the list of contexts.",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Not possible",
            "This page does not take that; begin at the list of contexts.",
        )
    }

    /// A field of a form does not fit.
    pub(super) fn field(name: &str, problem: &dyn fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That does not fit", format!("{name}: {problem}."))
    }

    /// What there is cannot be told while nothing can be proved.
    pub(super) fn not_known() -> Self {
        let text = "Which contexts there are is not known at the moment: the store does not answer. Try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
    }

    pub(super) fn no_audit_log() -> Self {
        let text = "The audit log cannot be read at the moment; the log of this process says why.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
    }

    pub(super) fn no_randomness() -> Self {
        let text = "The operating system has no randomness to give; try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
    }

    /// The status, for pages of their own that say what is wrong.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, and what to do.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Who knows more about a store's failure says it.
    pub(super) fn explained(error: IssueError, explain: fn(&StoreError) -> Option<&'static str>) -> Self {
        let known = match &error {
            IssueError::Store(error @ StoreError::Unavailable(_) | error @ StoreError::Damaged(_)) => {
                explain(error)
            }
            _ => None,
        };
        let problem = Self::from(Refusal::from(error));
        match known {
            Some(detail) => Self { text: detail.into(), ..problem },
            None => problem,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.status();
        let title = match status {
            StatusCode::NOT_FOUND => "Nothing here",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            _ => "That does not fit",
        };
        Self::new(status, title, refusal.into_detail())
    }
}

impl From<getrandom::Error> for Problem {
    fn from(_: getrandom::Error) -> Self {
        Self::no_randomness()
    }
}

/// In the extensions of an answer, until [`shown`] makes a page of it.
#[derive(Clone)]
pub(super) struct Unshown(Arc<Problem>);

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame<'a>,
    text: &'a str,
    is_signed_out: bool,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Unshown(Arc::new(self)));
        response
    }
}

/// The framework answers in plain text if a path or a query cannot be read.
pub(super) fn of_plain(response: Response) -> Response {
    let is_plain = |value: &HeaderValue| value.as_bytes().starts_with(b"text/plain");
    if response.status().is_client_error() && response.headers().get(CONTENT_TYPE).is_some_and(is_plain) {
        return Problem::no_such_page().into_response();
    }
    response
}

/// Makes a page of a problem, now that it is known where the console's links lead.
pub(super) fn shown(response: Response, base: &str) -> Response {
    let Some(Unshown(problem)) = response.extensions().get().cloned() else { return response };
    let frame = Frame::of_nobody(base, problem.title);
    let page = html(&ProblemPage { frame, text: &problem.text, is_signed_out: problem.is_signed_out });
    let (mut parts, _) = response.into_parts();
    parts.headers.extend(page.headers().clone());
    Response::from_parts(parts, page.into_body())
}
