//! actix-web 4, in the process: an `App` with one resource, called as actix's dispatcher would call it.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_http::Request;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::ErrorUnauthorized;
use actix_web::http::Uri;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::test::init_service;
use actix_web::{App, Error, HttpMessage, HttpResponse, web};
use actix_web_httpauth::extractors::bearer::BearerAuth;
use actix_web_httpauth::middleware::HttpAuthentication;
use futures_util::future::Either;
use voicegain_auth_actix::Auth;

use crate::peer::Jsonwebtoken;
use crate::sample::Role;
use crate::stack::{Door, drive};
use crate::tokens::{self, Case, PATH, Sent};

/// What a request is made from.
pub(crate) struct Prepared {
    uri: Uri,
    headers: HeaderMap,
}

pub(crate) fn prepare(sent: &Sent) -> Prepared {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static(tokens::HOST));
    let authorization = HeaderValue::from_str(&sent.authorization());
    headers.insert(AUTHORIZATION, authorization.expect("a token is a header's value"));
    if let Some(origin) = sent.origin {
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
    }
    Prepared { uri: Uri::from_static(PATH), headers }
}

pub(crate) fn doors(case: &Case<'_>) -> Vec<Door<Prepared>> {
    let auth = Auth::new(case.verifier.clone());
    vec![
        door("bare", Role::Bare, drive(init_service(App::new().route(PATH, web::get().to(ok))))),
        door(
            "presence check",
            Role::Presence,
            drive(init_service(App::new().wrap(Presence::new(None)).route(PATH, web::get().to(ok)))),
        ),
        door(
            "presence check, inserts an extension",
            Role::Presence,
            drive(init_service(
                App::new().wrap(Presence::new(Some(Arc::new(Found)))).route(PATH, web::get().to(ok)),
            )),
        ),
        door(
            "voicegain-auth-actix",
            Role::Ours,
            drive(init_service(App::new().wrap(auth).route(PATH, web::get().to(ok)))),
        ),
        door(
            "actix-web-httpauth 0.8 + jsonwebtoken 11",
            Role::Peer,
            drive(init_service(
                App::new()
                    .app_data(web::Data::new(Jsonwebtoken::new()))
                    .wrap(HttpAuthentication::bearer(validate))
                    .route(PATH, web::get().to(ok)),
            )),
        ),
    ]
}

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn door<S, B>(name: &'static str, role: Role, service: S) -> Door<Prepared>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody,
{
    Door::new(name, role, move |prepared: &Prepared| {
        let mut request = Request::new();
        let head = request.head_mut();
        head.uri = prepared.uri.clone();
        head.headers = prepared.headers.clone();
        match drive(service.call(request)) {
            Ok(response) => response.status().as_u16(),
            // The dispatcher makes an answer of it.
            Err(error) => HttpResponse::from_error(error).status().as_u16(),
        }
    })
}

/// What actix-web-httpauth asks about a token. It leaves the claims where handlers find them.
async fn validate(
    request: ServiceRequest,
    bearer: BearerAuth,
) -> Result<ServiceRequest, (Error, ServiceRequest)> {
    let verifier = request.app_data::<web::Data<Jsonwebtoken>>();
    match verifier.and_then(|verifier| verifier.claims(bearer.token())) {
        Some(claims) => {
            request.extensions_mut().insert(claims);
            Ok(request)
        }
        None => Err((ErrorUnauthorized("invalid token"), request)),
    }
}

/// What the presence check inserts.
struct Found;

/// Looks for an `Authorization` header, and no further.
struct Presence<S = ()> {
    insert: Option<Arc<Found>>,
    inner: S,
}

impl Presence {
    fn new(insert: Option<Arc<Found>>) -> Self {
        Self { insert, inner: () }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Presence
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = Presence<S>;
    type InitError = ();
    type Future = Ready<Result<Presence<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Presence { insert: self.insert.clone(), inner }))
    }
}

impl<S, B> Service<ServiceRequest> for Presence<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<ServiceResponse<B>, Error>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Either::Right(ready(Err(ErrorUnauthorized("no token"))));
        }
        if let Some(found) = &self.insert {
            request.extensions_mut().insert(Arc::clone(found));
        }
        Either::Left(self.inner.call(request))
    }
}
