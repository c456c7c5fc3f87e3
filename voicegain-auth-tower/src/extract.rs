use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use voicegain_auth_core as core;
use voicegain_auth_core::Rejection;

use crate::body::Json;
use crate::response::{Form, refusal};
use crate::service::Realm;

/// Extractor: who calls, as the [`AuthLayer`](crate::AuthLayer) in front found out. Dereferences to
/// [`voicegain_auth_core::Caller`].
///
/// Where there is no such layer, extraction fails with [`MissingLayer`].
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

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        caller::<Self>(parts).cloned().map(Self)
    }
}

/// Extractor: the verified caller. Dereferences to [`voicegain_auth_core::Identity`].
///
/// A caller without an identity is refused with `missing_token`: an anonymous one, and a preflight that
/// reaches a handler. `Option<Identity>` is `None` for both; [`Caller`] tells them apart.
///
/// Where there is no [`AuthLayer`](crate::AuthLayer) in front, extraction fails with [`MissingLayer`], of
/// `Option<Identity>` too.
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

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = IdentityRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match caller::<Self>(parts)?.identity() {
            Some(identity) => Ok(Self(identity.clone())),
            None => {
                let mut rejection = Rejection::missing_token();
                if let Some(Realm(realm)) = parts.extensions.get() {
                    rejection = rejection.in_realm(Arc::clone(realm));
                }
                let form = Form::of(&parts.method, parts.version, &parts.headers);
                Err(IdentityRejection { cause: Cause::NoIdentity(rejection, form) })
            }
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = MissingLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(caller::<Option<Self>>(parts)?.identity().cloned().map(Self))
    }
}

fn caller<Extractor>(parts: &Parts) -> Result<&core::Caller, MissingLayer> {
    parts.extensions.get().ok_or_else(|| {
        let extractor = std::any::type_name::<Extractor>();
        tracing::error!(extractor, "a handler asks who calls, and there is no `AuthLayer` in front of it");
        MissingLayer(())
    })
}

/// A handler asks who calls, and there is no [`AuthLayer`](crate::AuthLayer) in front of it: a mistake in the
/// application. It is answered 500 without a word to the client, and logged as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingLayer(());

impl fmt::Display for MissingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no `AuthLayer` in front of the handler")
    }
}

impl std::error::Error for MissingLayer {}

impl IntoResponse for MissingLayer {
    fn into_response(self) -> Response {
        let no_store = HeaderValue::from_static("no-store");
        (StatusCode::INTERNAL_SERVER_ERROR, [(header::CACHE_CONTROL, no_store)]).into_response()
    }
}

/// Why there is no [`Identity`] to extract.
#[derive(Debug, Clone)]
pub struct IdentityRejection {
    cause: Cause,
}

#[derive(Debug, Clone)]
enum Cause {
    MissingLayer(MissingLayer),
    NoIdentity(Rejection, Form),
}

impl IdentityRejection {
    /// The refusal, if the caller has no identity; `None` if the layer is missing.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match &self.cause {
            Cause::MissingLayer(_) => None,
            Cause::NoIdentity(rejection, _) => Some(rejection),
        }
    }
}

impl From<MissingLayer> for IdentityRejection {
    fn from(missing: MissingLayer) -> Self {
        Self { cause: Cause::MissingLayer(missing) }
    }
}

impl fmt::Display for IdentityRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::MissingLayer(missing) => missing.fmt(f),
            Cause::NoIdentity(rejection, _) => rejection.fmt(f),
        }
    }
}

impl std::error::Error for IdentityRejection {}

impl IntoResponse for IdentityRejection {
    fn into_response(self) -> Response {
        match self.cause {
            Cause::MissingLayer(missing) => missing.into_response(),
            Cause::NoIdentity(rejection, form) => refusal::<Body>(rejection, form, &Json),
        }
    }
}
