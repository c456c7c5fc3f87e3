use std::ops::Deref;
use std::sync::atomic::Ordering;

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::{Request, async_trait};
use voicegain_auth_core as core;

use crate::decision::Decision;

/// Request guard: who calls, as [`Auth`](crate::Auth) found out. Without that fairing it fails with 500.
#[derive(Debug, Clone)]
pub struct Caller(pub core::Caller);

/// Request guard: the verified caller. A caller without an identity is refused with `missing_token`: an anonymous one, and a
/// preflight. Without the fairing it fails with 500.
///
/// **`Option<Identity>` is not for optional mode.** Rocket makes `None` of every failure, a missing fairing included. Use
/// [`Caller`].
#[derive(Debug, Clone)]
pub struct Identity(pub core::Identity);

impl Deref for Identity {
    type Target = core::Identity;

    fn deref(&self) -> &core::Identity {
        &self.0
    }
}

/// Why a guard fails, for Rocket's log.
const MISSING: &str = "the fairing `Auth` is not attached";
const REFUSED: &str = "the request was refused, and a fairing behind `Auth` has sent it here";
const ANONYMOUS: &str = "nobody is known to call";

#[async_trait]
impl<'r> FromRequest<'r> for Caller {
    type Error = &'static str;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, &'static str> {
        match Decision::of(request) {
            Decision::Admitted { admitted, .. } => Outcome::Success(Self(admitted.caller().clone())),
            Decision::Refused(rejection) => Outcome::Error((Status::new(rejection.status()), REFUSED)),
            Decision::Missing => Outcome::Error((Status::InternalServerError, MISSING)),
        }
    }
}

#[async_trait]
impl<'r> FromRequest<'r> for Identity {
    type Error = &'static str;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, &'static str> {
        match Decision::of(request) {
            Decision::Admitted { admitted, asked } => match admitted.caller().identity() {
                Some(identity) => Outcome::Success(Self(identity.clone())),
                None => {
                    // The fairing will say so in the words of the rules.
                    asked.store(true, Ordering::Relaxed);
                    Outcome::Error((Status::Unauthorized, ANONYMOUS))
                }
            },
            Decision::Refused(rejection) => Outcome::Error((Status::new(rejection.status()), REFUSED)),
            Decision::Missing => Outcome::Error((Status::InternalServerError, MISSING)),
        }
    }
}
