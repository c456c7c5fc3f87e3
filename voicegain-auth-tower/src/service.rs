use std::mem;
#[cfg(feature = "axum")]
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;
use voicegain_auth_core::{Admitted, Caller, Progress, Reason, Rejection, RequestHead as _};

use crate::body::{Json, RejectionBody};
use crate::future::ResponseFuture;
use crate::head::Head;
use crate::layer::AuthLayer;
use crate::response::{Finish, Form, refusal};
use crate::strip;

/// The service that [`AuthLayer`] makes.
///
/// A request that is let in carries a [`Caller`](voicegain_auth_core::Caller) in its extensions, and no
/// token. A refusal carries a [`Rejection`] in its own.
#[derive(Debug, Clone)]
pub struct AuthService<S, R = Json> {
    inner: S,
    auth: AuthLayer<R>,
}

impl<S, R> AuthService<S, R> {
    pub(crate) fn new(inner: S, auth: AuthLayer<R>) -> Self {
        Self { inner, auth }
    }
}

impl<S, R, ReqB, ResB> Service<Request<ReqB>> for AuthService<S, R>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    R: RejectionBody<ResB> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, ReqB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        match self.auth.verifier.decide(&self.auth.head(&request)) {
            Progress::Decided(Ok(admitted)) => {
                let finish = self.auth.admit(&mut request, admitted);
                ResponseFuture::called(self.inner.call(request), finish)
            }
            Progress::Decided(Err(rejection)) => {
                // Whatever the inner service holds ready, a permit of a concurrency limit perhaps, is free
                // again.
                drop(self.take_ready());
                ResponseFuture::refused(self.auth.refuse(&request, rejection))
            }
            Progress::Pending(pending) => {
                let inner = self.take_ready();
                ResponseFuture::deciding(pending, request, inner, self.auth.clone())
            }
        }
    }
}

impl<S: Clone, R> AuthService<S, R> {
    /// Takes the inner service that is ready, and leaves one that is not.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

/// The realm that the layer's challenges name, for the extractors.
#[cfg(feature = "axum")]
#[derive(Debug, Clone)]
pub(crate) struct Realm(pub(crate) Arc<str>);

impl<R> AuthLayer<R> {
    pub(crate) fn head<'a, B>(&self, request: &'a Request<B>) -> Head<'a> {
        Head::of(request, self.outermost)
    }

    /// Makes the request ready for the application.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>, admitted: Admitted) -> Finish {
        let finish = Finish::of(&admitted, request);
        let plan = self.verifier.strip_admitted(&self.head(request), &admitted);
        strip::apply(plan, request);
        let caller = admitted.into_caller();
        #[cfg(feature = "axum")]
        if caller.identity().is_none() {
            // An extractor that asks for an identity will have to refuse in the layer's place.
            request.extensions_mut().insert(Realm(self.verifier.policy().realm().into()));
        }
        request.extensions_mut().insert::<Caller>(caller);
        finish
    }

    pub(crate) fn refuse<ReqB, ResB>(&self, request: &Request<ReqB>, rejection: Rejection) -> Response<ResB>
    where
        R: RejectionBody<ResB>,
    {
        if rejection.reason() == Reason::InsufficientScope && self.head(request).client_path().is_none() {
            tracing::warn!(
                request = self.head(request).request_id().map(tracing::field::display),
                "a token limited to an API path was refused: the path the client sent is not known here; \
                 see `AuthLayer::outermost`"
            );
        }
        let form = Form::of(request.method(), request.version(), request.headers());
        refusal(rejection, form, &self.rejection_body)
    }
}
