use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use voicegain_auth_core::{Admitted, Pending, Progress, Rejection};

use crate::body::RejectionBody;
use crate::layer::AuthLayer;
use crate::response::Finish;

pin_project! {
    /// The response future of [`AuthService`](crate::AuthService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        #[pin]
        state: State<S, R, ReqB>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<S, R, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        /// Boxed, so that only those who have to wait pay for the request's being kept.
        Deciding { deciding: Box<Deciding<S, R, ReqB>> },
        Called { #[pin] response: S::Future, finish: Finish },
        Refused { response: S::Response },
        Done,
    }
}

struct Deciding<S, R, ReqB> {
    pending: Pending,
    request: Request<ReqB>,
    /// It is ready.
    inner: S,
    auth: AuthLayer<R>,
}

impl<S, R, ReqB> ResponseFuture<S, R, ReqB>
where
    S: Service<Request<ReqB>>,
{
    pub(crate) fn deciding(pending: Pending, request: Request<ReqB>, inner: S, auth: AuthLayer<R>) -> Self {
        let deciding = Box::new(Deciding { pending, request, inner, auth });
        Self { state: State::Deciding { deciding } }
    }

    pub(crate) fn called(response: S::Future, finish: Finish) -> Self {
        Self { state: State::Called { response, finish } }
    }

    pub(crate) fn refused(response: S::Response) -> Self {
        Self { state: State::Refused { response } }
    }
}

impl<S, R, ReqB, ResB> Future for ResponseFuture<S, R, ReqB>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    R: RejectionBody<ResB>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Deciding { deciding } => {
                    let decision = ready!(deciding.poll_decision(cx));
                    if let StateOwned::Deciding { deciding } = state.as_mut().project_replace(State::Done) {
                        state.set(deciding.follow(decision));
                    }
                }
                StateProj::Called { response, finish } => {
                    let mut response = ready!(response.poll(cx))?;
                    finish.apply(&mut response);
                    return Poll::Ready(Ok(response));
                }
                StateProj::Refused { .. } => {
                    if let StateOwned::Refused { response } = state.as_mut().project_replace(State::Done) {
                        return Poll::Ready(Ok(response));
                    }
                }
                StateProj::Done => panic!("`ResponseFuture` was polled after completion"),
            }
        }
    }
}

impl<S, R, ReqB> Deciding<S, R, ReqB> {
    fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<Result<Admitted, Rejection>> {
        loop {
            let resumption = ready!(Pin::new(&mut self.pending).poll(cx));
            match self.auth.verifier.resume(&self.auth.head(&self.request), resumption) {
                Progress::Decided(decision) => return Poll::Ready(decision),
                Progress::Pending(pending) => self.pending = pending,
            }
        }
    }

    fn follow<ResB>(mut self, decision: Result<Admitted, Rejection>) -> State<S, R, ReqB>
    where
        S: Service<Request<ReqB>, Response = Response<ResB>>,
        R: RejectionBody<ResB>,
    {
        match decision {
            Ok(admitted) => {
                let finish = self.auth.admit(&mut self.request, admitted);
                State::Called { response: self.inner.call(self.request), finish }
            }
            Err(rejection) => State::Refused { response: self.auth.refuse(&self.request, rejection) },
        }
    }
}

impl<S, R, ReqB> fmt::Debug for ResponseFuture<S, R, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
