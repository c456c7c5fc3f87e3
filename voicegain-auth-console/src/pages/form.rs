//! Forms, as browsers send them.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::problem::Problem;
use super::visitor::Visitor;
use super::{Console, guard};
use crate::handlers::body;

/// The fields of a form, without those that say whose it is.
pub(super) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// How much of somebody who need not be signed in is read, in bytes.
    pub(super) const OF_ANYBODY: usize = 16 * 1024;
    /// Of somebody who is: as many origins as a web config may have, twice, with every byte written as three.
    const OF_VISITORS: usize = 4 * 1024 * 1024;

    /// Reads a form that comes from a page of ours, as far as the browser says.
    pub(super) async fn read(request: Request, most: usize) -> Result<Self, Problem> {
        if !guard::may_be_ours(request.headers()) {
            return Err(Problem::foreign_form());
        }
        let is_form = request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            value.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(Problem::foreign_form());
        }
        let body = body(request, most).await?;
        let pairs = form_urlencoded::parse(&body);
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect()))
    }

    /// Takes out the field of this name; empty if it is not there.
    pub(super) fn take(&mut self, name: &str) -> Zeroizing<String> {
        let found = self.0.iter().position(|(have, _)| have == name);
        found.map(|at| self.0.swap_remove(at).1).unwrap_or_default()
    }

    /// The same without spaces around it.
    pub(super) fn text(&mut self, name: &str) -> String {
        self.take(name).trim().to_owned()
    }
}

/// A form that was sent from a page of the session it belongs to.
pub(super) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) form: Form,
}

impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Problem> {
        let visitor = Visitor::of(console, request.headers(), request.extensions());
        let visitor = visitor.ok_or_else(Problem::signed_out)?;
        let mut form = Form::read(request, Form::OF_VISITORS).await?;
        if !visitor.signed_in.is_own(&form.take("session")) {
            return Err(Problem::foreign_form());
        }
        Ok(Self { visitor, form })
    }
}

/// Likewise, and it has not been sent before: sent again, as by reloading, it does nothing.
pub(super) struct SentOnce(pub(super) Sent);

impl FromRequest<Arc<Console>> for SentOnce {
    type Rejection = Problem;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Problem> {
        let mut sent = Sent::from_request(request, console).await?;
        let mark = sent.form.take("once");
        if console.sessions.send(&sent.visitor.signed_in, &mark) {
            Ok(Self(sent))
        } else {
            Err(Problem::sent_before())
        }
    }
}
