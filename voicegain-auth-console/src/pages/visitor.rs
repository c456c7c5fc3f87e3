//! Who looks at a page, and what stands around each.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{FromRequestParts, NestedPath};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use voicegain_auth_core::Issuer;
use voicegain_auth_core::audit::{Actor, ActorKind};

use super::operator::Operator;
use super::sessions::SignedIn;
use super::{Console, sign_in};
use crate::acting::from_request;

/// What the console has besides contexts, as whoever put it together has given it what that takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sections {
    pub(super) explain: bool,
    pub(super) changes: bool,
    pub(super) edge: bool,
}

/// Somebody who is signed in, on a page.
pub(super) struct Visitor {
    /// What the console's paths begin with, as the browser knows them.
    pub(super) base: String,
    pub(super) signed_in: SignedIn,
    /// Makes changes in their name. What only reads has the console's own.
    pub(super) issuer: Issuer,
    has: Sections,
}

impl Visitor {
    /// Whoever sends this cookie, if it is good.
    pub(super) fn of(console: &Console, headers: &HeaderMap, extensions: &Extensions) -> Option<Self> {
        let signed_in = cookie(headers).and_then(|cookie| console.sessions.find(cookie, console.now()))?;
        let issuer = console.issuer.acting_as(from_request(actor(&signed_in), extensions));
        let has = Sections {
            explain: console.explains.is_some(),
            changes: console.changes.is_some(),
            edge: console.beside.is_some(),
        };
        Some(Self { base: base(extensions), signed_in, issuer, has })
    }
}

/// Who that is, in the audit log and in the log.
fn actor(signed_in: &SignedIn) -> Actor {
    let kind = match signed_in.operator() {
        Operator::AdminToken => ActorKind::Console,
        #[cfg(feature = "oidc")]
        Operator::Person(_) => ActorKind::Oidc,
    };
    Actor::new(kind, signed_in.who())
}

impl FromRequestParts<Arc<Console>> for Visitor {
    /// To the sign-in page, which leads back.
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Response> {
        Self::of(console, &parts.headers, &parts.extensions).ok_or_else(|| {
            let base = base(&parts.extensions);
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let mut next = form_urlencoded::Serializer::new(String::new());
            next.append_pair("next", &format!("{base}{path}"));
            Redirect::to(&format!("{base}/sign-in?{}", next.finish())).into_response()
        })
    }
}

/// What the console's paths begin with, wherever it was mounted.
pub(crate) fn base(extensions: &Extensions) -> String {
    extensions
        .get::<NestedPath>()
        .map_or(String::new(), |path| path.as_str().trim_end_matches('/').to_owned())
}

/// From where the console was mounted to its first page.
pub(super) async fn to_first_page(extensions: Extensions) -> Redirect {
    Redirect::to(&format!("{}/contexts", base(&extensions)))
}

/// The cookie of a session. Two of one name are somebody's attempt to fix one.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_of(headers, sign_in::COOKIE_NAME)
}

/// The one cookie of this name.
pub(super) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut ours = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    ours.next().filter(|_| ours.next().is_none())
}

/// What stands around a page.
pub(super) struct Frame<'a> {
    pub(super) base: &'a str,
    pub(super) title: &'a str,
    /// Who is signed in, and what stands in their forms.
    pub(super) signed_in: Option<&'a SignedIn>,
    pub(super) has: Sections,
}

impl<'a> Frame<'a> {
    pub(super) fn of(visitor: &'a Visitor, title: &'a str) -> Self {
        let Visitor { base, signed_in, has, .. } = visitor;
        Self { base, title, signed_in: Some(signed_in), has: *has }
    }

    pub(super) fn of_nobody(base: &'a str, title: &'a str) -> Self {
        Self { base, title, signed_in: None, has: Sections::default() }
    }
}

/// A page.
pub(super) fn html(page: &impl Template) -> Response {
    // Writing to a string does not fail, and no template calls what can.
    of_html(page.render().unwrap_or_default())
}

/// The same, which says that something is wrong.
pub(super) fn with_status(status: StatusCode, mut page: Response) -> Response {
    *page.status_mut() = status;
    page
}

/// A page that was made before.
pub(super) fn of_html(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_counts_and_two_do_not() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            cookie(&headers).map(str::to_owned)
        };
        assert_eq!(with(&["voicegain-console=a"]).as_deref(), Some("a"));
        assert_eq!(with(&["x=y; voicegain-console=a", "z=1"]).as_deref(), Some("a"));
        for none in [&[][..], &["voicegain-consoles=a"], &["voicegain-console=a; voicegain-console=b"]] {
            assert_eq!(with(none), None, "{none:?}");
        }
    }
}
