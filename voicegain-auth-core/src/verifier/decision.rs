//! The rules themselves, in the order of rule V9, without I/O.

use std::time::Duration;

use crate::claims::Claims;
use crate::credentials::TokenSource;
use crate::head::{Field, RequestHead, Single, is_websocket_upgrade, own_authority, single};
use crate::origin::{AnyOrigin, Origin, audience_matches, stands_for_itself};
use crate::policy::Policy;
use crate::record::Record;
use crate::rejection::{Reason, Rejection};

/// What a request says about where it comes from.
#[derive(Debug, Clone, Copy)]
enum Provenance<'a> {
    NoOrigin,
    /// Several, or one that is no serialised origin (rule O2).
    Invalid,
    Origin(Origin<'a>),
}

impl<'a> Provenance<'a> {
    fn of(origin: Single<'a>) -> Self {
        match origin {
            Single::Absent => Self::NoOrigin,
            Single::Several => Self::Invalid,
            Single::One(value) => Origin::parse(value).map_or(Self::Invalid, Self::Origin),
        }
    }
}

/// Refuses a request with several `Origin` headers, or one that is no serialised origin (rule O2), whatever else is in it.
///
/// # Errors
/// `origin_not_allowed`.
pub fn check_origin_header<H: RequestHead>(head: &H) -> Result<(), Rejection> {
    match Provenance::of(single(head, Field::Origin)) {
        Provenance::Invalid => Err(malformed_origin()),
        Provenance::NoOrigin | Provenance::Origin(_) => Ok(()),
    }
}

fn malformed_origin() -> Rejection {
    let detail = "The Origin header is not one serialised origin; send it as scheme://host[:port].";
    Rejection::new(Reason::OriginNotAllowed, detail).because("malformed Origin")
}

/// Whether a browser says that no other site had a hand in this request (Fetch Metadata; rule O1).
fn is_same_origin_fetch<H: RequestHead>(head: &H) -> bool {
    matches!(single(head, Field::SecFetchSite), Single::One(b"same-origin" | b"none"))
}

/// Decides about claims whose signature holds: `exp`, `nbf`, Origin, path, in this order (rule V9).
pub(super) fn check<H: RequestHead>(
    claims: &Claims<'_>,
    record: &Record,
    head: &H,
    source: TokenSource,
    policy: &Policy,
    wall: Duration,
) -> Result<(), Rejection> {
    if claims.expires_at().is_some_and(|exp| exp.is_reached(wall.saturating_sub(policy.leeway))) {
        return Err(Rejection::new(Reason::TokenExpired, "The token has expired; get a new one."));
    }
    if claims.not_before().is_some_and(|nbf| !nbf.is_reached(wall.saturating_add(policy.leeway))) {
        let detail = "The token is not valid; check that it was copied whole and is the newest one.";
        return Err(Rejection::new(Reason::InvalidToken, detail).because("not yet valid"));
    }
    check_origin(claims, record, head, source, policy)?;
    if let Some(api_path) = claims.subject().api_path()
        && !api_path.covers(&policy.base_path, head.path())
    {
        let detail = "The token is limited to another API path; use one that is good for this path.";
        return Err(Rejection::new(Reason::InsufficientScope, detail).because("api path"));
    }
    Ok(())
}

fn check_origin<H: RequestHead>(
    claims: &Claims<'_>,
    record: &Record,
    head: &H,
    source: TokenSource,
    policy: &Policy,
) -> Result<(), Rejection> {
    let origin = single(head, Field::Origin);
    if let Single::One(value) = origin
        && claims.audience().names(value)
        && stands_for_itself(value)
    {
        return Ok(());
    }
    let origin = match Provenance::of(origin) {
        Provenance::Invalid => return Err(malformed_origin()),
        Provenance::Origin(origin) => origin,
        Provenance::NoOrigin => {
            // A cookie travels by itself, and a link carries its query along (rule O1).
            let from_page = match source {
                TokenSource::Header | TokenSource::Protocol => false,
                TokenSource::Query => !is_websocket_upgrade(head),
                TokenSource::Cookie => true,
            };
            return if !from_page || is_same_origin_fetch(head) {
                Ok(())
            } else {
                let detail = "A token in a cookie or in the query needs an Origin header, or a request of the same site; \
                              send it in the Authorization header.";
                Err(Rejection::new(Reason::OriginNotAllowed, detail).because("no Origin"))
            };
        }
    };
    let any = if source == TokenSource::Cookie { AnyOrigin::Ignored } else { AnyOrigin::Counts };
    if claims.audience().iter().any(|audience| audience_matches(audience, &origin, any)) {
        return Ok(());
    }
    if claims.expires_at().is_some() {
        let detail = "This page's origin is not the one the token was made for; get a token for this origin.";
        return Err(Rejection::new(Reason::OriginNotAllowed, detail).because("aud"));
    }
    // A long-lived token belongs on a server (rule O8).
    let allowed = own_authority(head).is_some_and(|authority| origin.is_authority(authority))
        || record.allowed_origins.matches(&origin, any)
        || (policy.long_lived_from_any_origin && source != TokenSource::Cookie);
    if allowed {
        Ok(())
    } else {
        let detail = "A long-lived token must not be used by a web page; let a server mint a short-lived one for this \
                      origin.";
        Err(Rejection::new(Reason::OriginNotAllowed, detail).because("long-lived token in a page"))
    }
}
