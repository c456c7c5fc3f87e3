//! What there is without the feature: nothing, at no cost.

use std::convert::Infallible;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::Span;
use voicegain_auth_core::{Rejection, RequestId, WebConfigId};

use super::TracingError;
use crate::cli::Args;

/// A request's trace. There is none.
#[derive(Debug, Clone)]
pub struct Trace(Infallible);

/// What begins traces. There is none.
#[derive(Debug)]
pub(crate) struct Tracer(Infallible);

/// A call of the upstream in a trace. There is none.
#[derive(Debug)]
pub(crate) struct Call(Infallible);

impl Tracer {
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, TracingError> {
        super::check(args).map(|()| None)
    }

    pub(crate) fn begin(&self, _id: RequestId, _head: &Parts) -> Trace {
        match self.0 {}
    }

    pub(crate) async fn flush(&self) {
        match self.0 {}
    }
}

impl Trace {
    /// What lines of the log about the request are written in.
    #[must_use]
    pub fn log(&self) -> &Span {
        match self.0 {}
    }

    pub(crate) fn identified(&self, _web_config: WebConfigId) {
        match self.0 {}
    }

    pub(crate) fn refused(&self, _rejection: &Rejection) {
        match self.0 {}
    }

    pub(crate) fn end(&self, _status: StatusCode) {
        match self.0 {}
    }

    pub(crate) fn call(
        &self,
        _method: &Method,
        _upstream: &http::Uri,
        _headers: &mut HeaderMap,
        _own: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Call {
        match self.0 {}
    }
}

impl Call {
    pub(crate) fn end(&self, _answer: Result<StatusCode, &'static str>) {
        match self.0 {}
    }
}
