use bytes::Bytes;
use http::HeaderValue;
use voicegain_auth_core::Rejection;

/// Makes the body of a refusal, in the type of body that the inner service answers with. Status and headers
/// are none of its business.
pub trait RejectionBody<B> {
    /// The body of a refusal and its media type, if it has one.
    fn body(&self, rejection: &Rejection) -> (B, Option<HeaderValue>);

    /// A body without content: for gRPC clients, whose refusals have no other, and for `HEAD` over HTTP/2.
    fn empty(&self) -> B;
}

/// The API's error body (rule E), for all bodies that can be made from [`Bytes`]: axum's,
/// `http_body_util::Full`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl<B: From<Bytes>> RejectionBody<B> for Json {
    fn body(&self, rejection: &Rejection) -> (B, Option<HeaderValue>) {
        let content_type = HeaderValue::from_static(Rejection::CONTENT_TYPE);
        (Bytes::from(rejection.body()).into(), Some(content_type))
    }

    fn empty(&self) -> B {
        Bytes::new().into()
    }
}

/// No body, for services that speak gRPC alone, such as tonic's. What is to be said stands in the headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grpc;

impl<B: Default> RejectionBody<B> for Grpc {
    fn body(&self, _: &Rejection) -> (B, Option<HeaderValue>) {
        (B::default(), None)
    }

    fn empty(&self) -> B {
        B::default()
    }
}

/// A body from a closure, see [`rejection_body_fn`].
#[derive(Debug, Clone, Copy)]
pub struct RejectionBodyFn<F>(F);

/// Makes a [`RejectionBody`] from a closure that returns the body and its media type.
pub fn rejection_body_fn<F, B>(body: F) -> RejectionBodyFn<F>
where
    F: Fn(&Rejection) -> (B, HeaderValue),
    B: Default,
{
    RejectionBodyFn(body)
}

impl<F, B> RejectionBody<B> for RejectionBodyFn<F>
where
    F: Fn(&Rejection) -> (B, HeaderValue),
    B: Default,
{
    fn body(&self, rejection: &Rejection) -> (B, Option<HeaderValue>) {
        let (body, content_type) = (self.0)(rejection);
        (body, Some(content_type))
    }

    fn empty(&self) -> B {
        B::default()
    }
}
