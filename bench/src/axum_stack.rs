//! axum 0.8, in the process: a `Router` with one route, called as hyper would call it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use futures_util::future::Either;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use jwt_authorizer::{AuthError, Authorizer, IntoLayer, JwtAuthorizer};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::validate_request::ValidateRequestHeaderLayer;
use voicegain_auth_tower::AuthLayer;

use crate::peer::{Claims, Jsonwebtoken};
use crate::sample::Role;
use crate::stack::{Door, drive};
use crate::tokens::{self, API_URL, Case, PATH, SECRET, Sent};

/// What a request is made from.
pub(crate) struct Prepared {
    uri: Uri,
    headers: HeaderMap,
}

pub(crate) fn prepare(sent: &Sent) -> Prepared {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static(tokens::HOST));
    headers.insert(AUTHORIZATION, sent.authorization().parse().expect("a token is a header's value"));
    if let Some(origin) = sent.origin {
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
    }
    Prepared { uri: Uri::from_static(PATH), headers }
}

pub(crate) fn doors(case: &Case<'_>) -> Vec<Door<Prepared>> {
    let tower_http = tower_http_layer();
    let ours = AuthLayer::new(case.verifier.clone());
    vec![
        door("bare", Role::Bare, app()),
        door("presence check", Role::Presence, app().layer(Presence::new(None))),
        door(
            "presence check, inserts an extension",
            Role::Presence,
            app().layer(Presence::new(Some(Arc::new(Found)))),
        ),
        door("voicegain-auth-tower", Role::Ours, app().layer(ours.clone())),
        // For a layer of its own, `Router` boxes three things for each request; around it, a layer costs what it does itself.
        door("voicegain-auth-tower, around the router", Role::Ours, ours.outermost().layer(app())),
        door("jwt-authorizer 0.15", Role::Peer, app().layer(jwt_authorizer_layer(case.expires))),
        door(
            "jwt-authorizer 0.15, around the router",
            Role::Peer,
            jwt_authorizer_layer(case.expires).layer(app()),
        ),
        door("axum-jwt-auth 0.7", Role::Peer, axum_jwt_auth_app()),
        door("tower-http 0.7 + jsonwebtoken 11", Role::Peer, app().layer(tower_http.clone())),
        door("tower-http 0.7 + jsonwebtoken 11, around the router", Role::Peer, tower_http.layer(app())),
    ]
}

fn app() -> Router {
    Router::new().route(PATH, get(async || {}))
}

fn door(
    name: &'static str,
    role: Role,
    mut service: impl Service<Request, Response = Response, Error = Infallible> + 'static,
) -> Door<Prepared> {
    Door::new(name, role, move |prepared: &Prepared| {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = prepared.uri.clone();
        *request.headers_mut() = prepared.headers.clone();
        let Ok(response) = drive(service.call(request));
        response.status().as_u16()
    })
}

/// What the presence check inserts.
struct Found;

/// Looks for an `Authorization` header, and no further.
#[derive(Clone)]
struct Presence<S = ()> {
    insert: Option<Arc<Found>>,
    inner: S,
}

impl Presence {
    fn new(insert: Option<Arc<Found>>) -> Self {
        Self { insert, inner: () }
    }
}

impl<S> Layer<S> for Presence {
    type Service = Presence<S>;

    fn layer(&self, inner: S) -> Presence<S> {
        Presence { insert: self.insert.clone(), inner }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Presence<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Either::Right(ready(Ok(StatusCode::UNAUTHORIZED.into_response())));
        }
        if let Some(found) = &self.insert {
            request.extensions_mut().insert(Arc::clone(found));
        }
        Either::Left(self.inner.call(request))
    }
}

/// tower-http's layer with a closure, which leaves the claims where handlers find them.
#[allow(clippy::result_large_err, reason = "tower-http wants the refusal as a response")]
fn tower_http_layer() -> ValidateRequestHeaderLayer<
    impl FnMut(&mut Request) -> Result<(), Response> + Clone + Send + Sync + 'static,
> {
    let verifier = Arc::new(Jsonwebtoken::new());
    ValidateRequestHeaderLayer::custom(move |request: &mut Request| {
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let claims = token.and_then(|token| verifier.claims(token));
        let claims = claims.ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?;
        request.extensions_mut().insert(claims);
        Ok(())
    })
}

/// jwt-authorizer's layer. It cannot leave `aud` alone, and cannot check `exp` without demanding it.
///
/// It is built on axum 0.7, and makes its refusals into that version's response. The layer itself is any
/// Tower service's, so all it takes is a response type that it can make a refusal into: two moves of a
/// response.
fn jwt_authorizer_layer<S>(
    expires: bool,
) -> impl Layer<
    S,
    Service: Service<Request, Response = Response, Error = S::Error, Future: Send>
                 + Clone
                 + Send
                 + Sync
                 + 'static,
> + Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Request, Response = Response, Future: Send> + Clone + Send + Sync + 'static,
{
    let validation = jwt_authorizer::Validation::new().aud(&[API_URL, tokens::ORIGIN]).exp(expires).nbf(true);
    let authorizer: Authorizer =
        drive(JwtAuthorizer::from_secret(SECRET).validation(validation).build()).expect("a secret will do");
    ServiceBuilder::new()
        .map_response(|Answer(response)| response)
        .layer(authorizer.into_layer())
        .map_response(Answer)
        .into_inner()
}

/// A response of axum 0.8's that a refusal of jwt-authorizer's can become.
struct Answer(Response);

impl From<AuthError> for Answer {
    fn from(error: AuthError) -> Self {
        let of_axum_07: http::Response<_> = error.into();
        Self(of_axum_07.map(Body::new))
    }
}

/// axum-jwt-auth has an extractor and no layer. Its decoder will not be built without an audience, checked or
/// not.
fn axum_jwt_auth_app() -> Router {
    let mut validation = jsonwebtoken_10::Validation::new(jsonwebtoken_10::Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.set_audience(&[API_URL]);
    validation.validate_aud = false;
    let decoder = axum_jwt_auth::LocalDecoder::builder()
        .keys(vec![jsonwebtoken_10::DecodingKey::from_secret(SECRET.as_bytes())])
        .validation(validation)
        .build()
        .expect("one key and its settings");
    let decoder: axum_jwt_auth::Decoder<Claims> = Arc::new(decoder);
    Router::new().route(PATH, get(async |_: axum_jwt_auth::Claims<Claims>| {})).with_state(decoder)
}
