use std::fmt;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{self, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use voicegain_auth_core::{Admitted, Caller, Progress, Rejection, Verifier};

use crate::future::{AuthFuture, Finish};
use crate::head::Head;
use crate::rejected::{Rejected, is_grpc};
use crate::strip;

/// The middleware: lets a request through with its [`Caller`](crate::Caller), or refuses it.
///
/// Wraps an `App`, a scope or a resource. Cloning is cheap; clone one into the closure that makes the app of
/// each worker.
#[derive(Clone)]
pub struct Auth {
    verifier: Verifier,
    refusal_body: Option<Arc<RefusalBody>>,
}

type RefusalBody = dyn Fn(&Rejection) -> (ContentType, Bytes) + Send + Sync;

impl Auth {
    /// Decides with this verifier.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, refusal_body: None }
    }

    /// Gives refusals a body of the application's own. Status and headers stay as they are, and a gRPC
    /// refusal has no body.
    #[must_use]
    pub fn refusal_body<F, B>(mut self, make: F) -> Self
    where
        F: Fn(&Rejection) -> (ContentType, B) + Send + Sync + 'static,
        B: Into<Bytes>,
    {
        self.refusal_body = Some(Arc::new(move |rejection| {
            let (content_type, body) = make(rejection);
            (content_type, body.into())
        }));
        self
    }

    /// The verifier it decides with.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn rejected(&self, head: &dev::RequestHead, rejection: Rejection) -> Rejected {
        if is_grpc(head) {
            return Rejected::grpc(rejection);
        }
        match &self.refusal_body {
            None => Rejected::new(rejection),
            Some(make) => {
                let (content_type, body) = make(&rejection);
                Rejected::with_body(rejection, content_type, body)
            }
        }
    }

    /// Makes the request ready for the application.
    pub(crate) fn admit(&self, request: &mut ServiceRequest, admitted: Admitted) -> Finish {
        strip::apply(self.verifier.strip_admitted(&Head::of(request), &admitted), request);
        let finish = Finish::of(&admitted);
        let caller = admitted.into_caller();
        if caller.identity().is_none() {
            // The extractor of an identity will have to refuse in its place.
            request.extensions_mut().insert(self.clone());
        }
        request.extensions_mut().insert::<Caller>(caller);
        finish
    }

    /// The answer as `Ok`, so that outer middlewares treat it like every other: with actix-cors outside, a
    /// page can read it. The token is taken out all the same, since they get the request back too.
    pub(crate) fn refuse<B>(
        &self,
        mut request: ServiceRequest,
        rejection: Rejection,
    ) -> ServiceResponse<EitherBody<B>> {
        let rejected = self.rejected(request.head(), rejection);
        strip::apply(self.verifier.strip(&Head::of(&request)), &mut request);
        request.error_response(rejected).map_into_right_body()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for Auth
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = AuthMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(AuthMiddleware { service: Rc::new(service), auth: self.clone() }))
    }
}

/// The service that [`Auth`] makes.
pub struct AuthMiddleware<S> {
    service: Rc<S>,
    auth: Auth,
}

impl<S, B> Service<ServiceRequest> for AuthMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = AuthFuture<S::Future, B>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        match self.auth.verifier.decide(&Head::of(&request)) {
            Progress::Decided(Ok(admitted)) => {
                let finish = self.auth.admit(&mut request, admitted);
                AuthFuture::admitted(self.service.call(request), finish)
            }
            Progress::Decided(Err(rejection)) => AuthFuture::refused(self.auth.refuse(request, rejection)),
            Progress::Pending(pending) => {
                AuthFuture::pending(pending, request, Rc::clone(&self.service), self.auth.clone())
            }
        }
    }
}

impl<S> fmt::Debug for AuthMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthMiddleware").field("auth", &self.auth).finish_non_exhaustive()
    }
}
