//! Signing in with the admin token, and out again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{ORIGIN, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::Console;
use super::form::{Form, Sent};
use super::operator::Operator;
use super::problem::Problem;
use super::visitor::{Frame, Visitor, base, html, with_status};
use crate::acting::client;

pub(super) const COOKIE_NAME: &str = "voicegain-console";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame<'a>,
    problem: Option<String>,
    next: &'a str,
    /// Who signs people in besides, and whether they have just been signed out here of what goes on there.
    provider: Option<&'a str>,
    goes_on: bool,
}

/// Where to go on to.
#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    pub(super) next: String,
    /// There if somebody has signed out whom a provider had signed in.
    signed_out: Option<String>,
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Query(next): Query<Next>,
    request: Request,
) -> Response {
    let base = base(request.extensions());
    if Visitor::of(&console, request.headers(), request.extensions()).is_some() {
        return Redirect::to(&format!("{base}/contexts")).into_response();
    }
    let frame = Frame::of_nobody(&base, "Sign in");
    let goes_on = next.signed_out.is_some();
    html(&SignInPage { frame, problem: None, next: &next.next, provider: console.provider(), goes_on })
}

pub(super) async fn sign_in(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Problem> {
    let base = base(request.extensions());
    let from = client(request.extensions());
    // A browser that came by HTTPS says so, whatever stands in between.
    let is_https =
        request.headers().get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let mut form = Form::read(request, Form::OF_ANYBODY).await?;
    let (token, next) = (form.take("token"), form.text("next"));
    let again = |problem: String, status, wait: Option<u64>| {
        let frame = Frame::of_nobody(&base, "Sign in");
        let (problem, provider) = (Some(problem), console.provider());
        let page = html(&SignInPage { frame, problem, next: &next, provider, goes_on: false });
        let mut response = with_status(status, page);
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Ok(response)
    };
    let now = console.now();
    if let Some(wait) = console.attempts.wait(from, now) {
        let seconds = wait.as_secs().saturating_add(1);
        let problem = format!("Too many wrong tokens came from here; wait {seconds} seconds.");
        return again(problem, StatusCode::TOO_MANY_REQUESTS, Some(seconds));
    }
    if !console.token.is(token.trim().as_bytes()) {
        console.attempts.wrong(from, now);
        tracing::warn!("a wrong admin token was sent to the console");
        let problem =
            "That is not the admin token. The gateway prints it at its start, unless it was given one.";
        return again(problem.to_owned(), StatusCode::UNAUTHORIZED, None);
    }
    let cookie = console.sessions.begin(Operator::AdminToken, now)?;
    tracing::info!("somebody signed in to the console");
    let response = Redirect::to(&own_page(next, &base)).into_response();
    with_cookie(response, console.https || is_https, &base, &cookie, None)
}

/// Where to go on to: only to a page of the console's own.
pub(super) fn own_page(next: String, base: &str) -> String {
    let is_own = next.strip_prefix(base).is_some_and(|rest| rest.starts_with('/') && !rest.starts_with("//"));
    let is_plain =
        !next.contains("..") && !next.contains(|letter: char| letter == '\\' || letter.is_control());
    if is_own && is_plain { next } else { format!("{base}/contexts") }
}

pub(super) async fn sign_out(State(console): State<Arc<Console>>, sent: Sent) -> Result<Response, Problem> {
    let Visitor { base, signed_in, .. } = sent.visitor;
    console.sessions.end(&signed_in);
    // Whom a provider has signed in is told that this ends here alone.
    let goes_on = if *signed_in.operator() == Operator::AdminToken { "" } else { "?signed_out" };
    let response = Redirect::to(&format!("{base}/sign-in{goes_on}")).into_response();
    with_cookie(response, console.https, &base, "", Some(0))
}

/// Sets the cookie of a session.
pub(super) fn with_cookie(
    mut response: Response,
    is_https: bool,
    base: &str,
    value: &str,
    max_age: Option<u64>,
) -> Result<Response, Problem> {
    let mut cookie = format!("{COOKIE_NAME}={value}; Path={base}; HttpOnly; SameSite=Lax");
    if is_https {
        cookie.push_str("; Secure");
    }
    if let Some(seconds) = max_age {
        cookie.push_str(&format!("; Max-Age={seconds}"));
    }
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Problem::no_such_page())?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}
