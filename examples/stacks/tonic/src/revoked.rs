//! Ends the calls whose token is revoked while they last (rule C8).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{Bytes, Service};
use tonic::metadata::MetadataValue;
use tower_layer::Layer;
use voicegain_auth_core::{Caller, Reason, SecretCache};

/// The layer: ends a call as soon as its token is revoked, or can no longer be confirmed, whether or not anything moves in it.
/// It goes inside of `AuthLayer`, which says who calls, and is for calls of all four kinds: the message of a call that has but
/// one may come as late as its client likes.
#[derive(Clone, Debug)]
pub struct EndRevoked(pub SecretCache);

impl<S> Layer<S> for EndRevoked {
    type Service = EndRevokedService<S>;

    fn layer(&self, inner: S) -> EndRevokedService<S> {
        EndRevokedService { cache: self.0.clone(), inner }
    }
}

/// The service that [`EndRevoked`] makes.
#[derive(Clone, Debug)]
pub struct EndRevokedService<S> {
    cache: SecretCache,
    inner: S,
}

type Revoked = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S> Service<Request<Body>> for EndRevokedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let identity = request.extensions().get().and_then(Caller::identity);
        let revoked = identity.map(|identity| self.cache.revoked(identity));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Some(revoked) = revoked else { return answer.await };
            let mut revoked: Revoked = Box::pin(revoked);
            tokio::select! {
                biased;
                () = &mut revoked => Ok(ended().into_http()),
                answer = answer => Ok(answer?.map(|body| Body::new(Until { body, revoked: Some(revoked) }))),
            }
        })
    }
}

/// An answer that goes on until its token is revoked.
struct Until {
    body: Body,
    /// Nothing once it is.
    revoked: Option<Revoked>,
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(revoked) = &mut self.revoked else { return Poll::Ready(None) };
        if revoked.as_mut().poll(cx).is_pending() {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.revoked = None;
        // The method is not asked for more.
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(ended().add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.revoked.is_none() || self.body.is_end_stream()
    }
}

/// What the client is told. It may have a newer token: whether that is good is decided when it calls again.
fn ended() -> Status {
    let detail =
        "The call was ended because its token can no longer be confirmed; call again with a valid one.";
    let mut status = Status::unavailable(detail);
    let reason = MetadataValue::from_static(Reason::TemporarilyUnavailable.as_str());
    status.metadata_mut().insert("voicegain-reason", reason);
    status
}
