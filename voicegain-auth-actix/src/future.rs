use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use pin_project_lite::pin_project;
use voicegain_auth_core::{Admitted, Pending, Progress, private_cache_control};

use crate::auth::Auth;
use crate::head::Head;

type Answer<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

pin_project! {
    /// The answer of [`AuthMiddleware`](crate::AuthMiddleware).
    pub struct AuthFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Admitted { #[pin] future: F, finish: Finish },
        Refused { #[pin] answer: Ready<Answer<B>> },
        Pending { answer: Pin<Box<dyn Future<Output = Answer<B>>>> },
    }
}

impl<F, B> AuthFuture<F, B> {
    pub(crate) fn admitted(future: F, finish: Finish) -> Self {
        Self { state: State::Admitted { future, finish } }
    }

    pub(crate) fn refused(answer: ServiceResponse<EitherBody<B>>) -> Self {
        Self { state: State::Refused { answer: ready(Ok(answer)) } }
    }

    pub(crate) fn pending<S>(pending: Pending, request: ServiceRequest, service: Rc<S>, auth: Auth) -> Self
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        Self { state: State::Pending { answer: Box::pin(wait(pending, request, service, auth)) } }
    }
}

async fn wait<S, B>(pending: Pending, mut request: ServiceRequest, service: Rc<S>, auth: Auth) -> Answer<B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let mut progress = Progress::Pending(pending);
    let decision = loop {
        match progress {
            Progress::Decided(decision) => break decision,
            Progress::Pending(pending) => {
                let resumption = pending.await;
                progress = auth.verifier().resume(&Head::of(&request), resumption);
            }
        }
    };
    match decision {
        Ok(admitted) => {
            let finish = auth.admit(&mut request, admitted);
            finish.apply(service.call(request).await)
        }
        Err(rejection) => Ok(auth.refuse(request, rejection)),
    }
}

impl<F, B> Future for AuthFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Answer<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Admitted { future, finish } => {
                future.poll(cx).map(|answer| finish.apply(answer))
            }
            StateProjection::Refused { answer } => answer.poll(cx),
            StateProjection::Pending { answer } => answer.as_mut().poll(cx),
        }
    }
}

impl<F, B> fmt::Debug for AuthFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}

/// What has to be done to the answer to an admitted request (rule V1).
pub(crate) struct Finish {
    private: bool,
    protocol: Option<HeaderValue>,
}

impl Finish {
    pub(crate) fn of(admitted: &Admitted) -> Self {
        let protocol = admitted.default_protocol();
        Self {
            private: admitted.is_private(),
            protocol: protocol.and_then(|protocol| HeaderValue::from_bytes(protocol.as_bytes()).ok()),
        }
    }

    fn apply<B>(&self, answer: Result<ServiceResponse<B>, Error>) -> Answer<B> {
        match answer {
            Ok(mut response) => {
                let status = response.status();
                let headers = response.headers_mut();
                if self.private {
                    make_private(headers);
                }
                if let Some(protocol) = &self.protocol
                    && status == StatusCode::SWITCHING_PROTOCOLS
                    && !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)
                {
                    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.clone());
                }
                Ok(response.map_into_left_body())
            }
            // A middleware further in gave up; its error becomes an answer later.
            Err(mut error) => {
                if self.private {
                    error.add_response_mapper(|mut response| {
                        make_private(response.headers_mut());
                        response
                    });
                }
                Err(error)
            }
        }
    }
}

fn make_private(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CACHE_CONTROL).map(HeaderValue::as_bytes);
    if let Some(value) = private_cache_control(values) {
        let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("private"));
        headers.insert(header::CACHE_CONTROL, value);
    }
}
