//! `AuthLayer` as a poem middleware.
//!
//! poem's own bridge to Tower layers, `tower-compat`, takes layers over poem's request, which `AuthLayer` is none of; and
//! the one to Tower services loses the connection's upgrade. This one carries what poem knows of a request past the layer
//! as the body of an `http` request, whose head is all the layer looks at. It holds no rule.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use poem::{Body, Endpoint, Middleware, Request, RequestParts, Response, ResponseParts, Result, http};
use tower_layer::Layer as _;
use tower_service::Service;
use voicegain_auth_tower::{AuthLayer, AuthService};

/// The middleware: lets a request through with a [`Caller`](voicegain_auth_core::Caller) in its extensions, or refuses it.
///
/// Inside of [`Route::nest`](poem::Route::nest) the path the client sent can be told apart from what is left of it, so that
/// tokens limited to an API path are refused there. Put it around the outermost route.
#[derive(Debug, Clone)]
pub struct Auth(pub AuthLayer);

impl<E: Endpoint + 'static> Middleware<E> for Auth {
    type Output = AuthEndpoint<E>;

    fn transform(&self, endpoint: E) -> AuthEndpoint<E> {
        AuthEndpoint { auth: self.0.clone(), endpoint: Arc::new(endpoint) }
    }
}

/// The endpoint that [`Auth`] makes.
pub struct AuthEndpoint<E> {
    auth: AuthLayer,
    endpoint: Arc<E>,
}

impl<E: Endpoint + 'static> Endpoint for AuthEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let untouched = request.uri() == request.original_uri();
        let auth = if untouched { self.auth.clone().outermost() } else { self.auth.clone() };
        let mut service: AuthService<Inside<E>> = auth.layer(Inside(Arc::clone(&self.endpoint)));
        let Ok(response) = service.call(to_http(request)).await;
        Ok(from_http(response))
    }
}

/// What poem knows of a request besides its head, and its body.
type Rest = (RequestParts, Body);

fn to_http(request: Request) -> http::Request<Rest> {
    let (mut rest, body) = request.into_parts();
    let mut head = http::Request::new(());
    *head.method_mut() = rest.method.clone();
    *head.version_mut() = rest.version;
    *head.uri_mut() = mem::take(&mut rest.uri);
    *head.headers_mut() = mem::take(&mut rest.headers);
    *head.extensions_mut() = mem::take(&mut rest.extensions);
    head.map(|()| (rest, body))
}

/// The application behind the layer. An error becomes its answer here, so that the layer can say what is to be said about
/// caches: middleware that catches errors goes inside of [`Auth`].
struct Inside<E>(Arc<E>);

impl<E> Clone for Inside<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Endpoint + 'static> Service<http::Request<Rest>> for Inside<E> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Rest>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, (mut rest, body)) = request.into_parts();
            (rest.uri, rest.headers, rest.extensions) = (head.uri, head.headers, head.extensions);
            let (answer, body) = endpoint.get_response(Request::from_parts(rest, body)).await.into_parts();
            let mut response = http::Response::new(body);
            *response.status_mut() = answer.status;
            *response.version_mut() = answer.version;
            *response.headers_mut() = answer.headers;
            *response.extensions_mut() = answer.extensions;
            Ok(response)
        })
    }
}

fn from_http(response: http::Response<Body>) -> Response {
    let (http::response::Parts { status, version, headers, extensions, .. }, body) = response.into_parts();
    Response::from_parts(ResponseParts { status, version, headers, extensions }, body)
}
