use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use voicegain_auth_core as core;
use voicegain_auth_core::Rejection;

use crate::auth::Auth;
use crate::rejected::Rejected;

/// Extractor: who calls, as [`Auth`] found out. Dereferences to [`voicegain_auth_core::Caller`].
///
/// Middlewares find core's own in the request's extensions.
///
/// Where the request did not pass through [`Auth`], extraction fails with [`MissingAuth`].
#[derive(Debug, Clone)]
pub struct Caller(core::Caller);

impl Caller {
    /// Core's own, to match on.
    #[must_use]
    pub fn into_inner(self) -> core::Caller {
        self.0
    }
}

impl From<core::Caller> for Caller {
    fn from(caller: core::Caller) -> Self {
        Self(caller)
    }
}

impl Deref for Caller {
    type Target = core::Caller;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller_of(request).map(Self).map_err(Error::from))
    }
}

/// Extractor: the verified caller. Dereferences to [`voicegain_auth_core::Identity`].
///
/// A caller without an identity is refused with `missing_token`: an anonymous one, and a preflight that no
/// route answers. Where the request did not pass through [`Auth`], extraction fails with [`MissingAuth`].
///
/// **`Option<Identity>` is not for optional mode.** actix makes `None` of every failure, the missing [`Auth`]
/// included, so that a forgotten `wrap` looks like an anonymous caller (it is logged as an error all the
/// same). Use [`Caller`].
#[derive(Debug, Clone)]
pub struct Identity(core::Identity);

impl Identity {
    /// Core's own.
    #[must_use]
    pub fn into_inner(self) -> core::Identity {
        self.0
    }
}

impl From<core::Identity> for Identity {
    fn from(identity: core::Identity) -> Self {
        Self(identity)
    }
}

impl Deref for Identity {
    type Target = core::Identity;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for Identity {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match caller_of(request) {
            Ok(core::Caller::Identified(identity)) => Ok(Self(identity)),
            Ok(core::Caller::Anonymous | core::Caller::Preflight) => Err(missing_token(request).into()),
            Err(error) => Err(error.into()),
        })
    }
}

fn caller_of(request: &HttpRequest) -> Result<core::Caller, MissingAuth> {
    let caller = request.extensions().get::<core::Caller>().cloned();
    caller.ok_or_else(|| {
        let route = request.match_pattern().unwrap_or_default();
        tracing::error!(route, "a handler asks who calls, and no `Auth` wraps it");
        MissingAuth(())
    })
}

fn missing_token(request: &HttpRequest) -> Rejected {
    let rejection = Rejection::missing_token();
    match request.extensions().get::<Auth>() {
        Some(auth) => {
            let realm = auth.verifier().policy().realm();
            auth.rejected(request.head(), rejection.in_realm(realm))
        }
        None => Rejected::new(rejection),
    }
}

/// A handler asks who calls, and no [`Auth`] wraps it: a mistake in the application. It is answered 500
/// without a word to the client, and logged as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingAuth(());

impl std::fmt::Display for MissingAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request did not pass through `Auth`")
    }
}

impl std::error::Error for MissingAuth {}

impl ResponseError for MissingAuth {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError().insert_header((CACHE_CONTROL, "no-store")).finish()
    }
}
