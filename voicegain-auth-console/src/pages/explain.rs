//! Why a token was refused: what the gateway would decide about a request with it, check by check.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use voicegain_auth_core::{Explanation, Field, Outcome, RequestHead, Verifier};

use super::Console;
use super::form::Sent;
use super::problem::Problem;
use super::visitor::{Frame, Visitor, html, of_html};

const TITLE: &str = "Why was it refused?";

/// What is asked about: a request as its client would send it.
#[derive(Default)]
struct Asked {
    authorization: String,
    method: String,
    path: String,
    query: Option<String>,
    origin: String,
    host: String,
}

impl RequestHead for Asked {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let value = match field {
            Field::Authorization => &self.authorization,
            Field::Origin => &self.origin,
            Field::Host => &self.host,
            _ => "",
        };
        (!value.is_empty()).then_some(value.as_bytes()).into_iter()
    }
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage<'a> {
    frame: Frame<'a>,
    /// As they stand in the form. The token does not.
    method: &'a str,
    path: &'a str,
    origin: &'a str,
    host: &'a str,
    explanation: Option<Explanation>,
    /// What the token says, whether or not it is to be believed.
    said: Option<String>,
}

fn verifier(console: &Console) -> Result<&Verifier, Problem> {
    console.verifier.as_ref().ok_or_else(Problem::no_such_page)
}

#[derive(Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    shown: String,
}

/// The form, or what was explained under this name.
pub(super) async fn page(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(Shown { shown }): Query<Shown>,
) -> Result<Response, Problem> {
    let path = format!("{}/", verifier(&console)?.policy().base_path());
    if let Some(page) = console.sessions.kept(&visitor.signed_in, &shown) {
        return Ok(of_html(page.to_string()));
    }
    let frame = Frame::of(&visitor, TITLE);
    let (method, origin, host) = ("GET", "", "");
    Ok(html(&ExplainPage { frame, method, path: &path, origin, host, explanation: None, said: None }))
}

/// The token is looked at, and neither kept nor shown again.
pub(super) async fn explain(State(console): State<Arc<Console>>, sent: Sent) -> Result<Response, Problem> {
    let verifier = verifier(&console)?;
    let Sent { visitor, mut form } = sent;
    let token = form.take("token");
    let token = token.trim();
    // Who copies a header copies its scheme too.
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let [method, target, origin, host] = ["method", "path", "origin", "host"].map(|name| form.text(name));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.clone(), None),
    };
    let authorization = if token.is_empty() { String::new() } else { format!("Bearer {token}") };
    let asked = Asked {
        authorization,
        method: method.clone(),
        path,
        query,
        origin: origin.clone(),
        host: host.clone(),
    };
    let explanation = Some(verifier.explain(&asked).await);
    let frame = Frame::of(&visitor, TITLE);
    let (method, path, origin, host) = (&*method, &*target, &*origin, &*host);
    let page = ExplainPage { frame, method, path, origin, host, explanation, said: said(token) };
    let name = console.sessions.keep(&visitor.signed_in, page.render().unwrap_or_default())?;
    Ok(Redirect::to(&format!("{}/explain?shown={name}", visitor.base)).into_response())
}

/// The payload of a token, if it has one that can be shown.
fn said(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    serde_json::to_string_pretty(&value).ok()
}
