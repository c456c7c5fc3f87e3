//! A short-lived token for a page, and how to use it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use voicegain_auth_core::{IssueError, MintError, WebConfig};

use super::Console;
use super::form::Sent;
use super::meaning::{self, Meaning};
use super::problem::Problem;
use super::visitor::{Frame, Visitor, html, with_status};
use super::web_configs::read;

#[derive(Template)]
#[template(path = "mint.html")]
struct MintPage<'a> {
    frame: Frame<'a>,
    config: &'a WebConfig,
    /// As they stand in the form.
    aud: &'a str,
    seconds: &'a str,
    api: &'a str,
    meanings: Vec<Meaning>,
    /// One that the token is good for.
    origin: &'a str,
    problem: Option<&'a str>,
    minted: Option<Minted<'a>>,
}

struct Minted<'a> {
    token: String,
    api_url: &'a str,
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let config = read(&console, &id).await?;
    let frame = Frame::of(&visitor, "Token for a page");
    let (aud, meanings) = ("", Vec::new());
    Ok(html(&MintPage {
        frame,
        config: &config,
        aud,
        seconds: "300",
        api: "",
        meanings,
        origin: "",
        problem: None,
        minted: None,
    }))
}

fn query(aud: &str, seconds: &str, api: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("aud", aud).append_pair("expInSec", seconds);
    if !api.is_empty() {
        query.append_pair("api", api);
    }
    query.finish()
}

/// Mints by the rules that `GET <base>/security/jwt` has (rule M2), with the web config's newest secret.
pub(super) async fn mint(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let Sent { visitor, mut form } = sent;
    let [aud, seconds, api] = ["aud", "seconds", "api"].map(|name| form.text(name));
    let config = read(&console, &id).await?;
    let minted = visitor.issuer.mint_for(config.id, &query(&aud, &seconds, &api)).await;
    let (status, minted, problem) = match minted {
        Ok(token) => (StatusCode::OK, Some(Minted { token, api_url: console.issuer.api_url() }), None),
        Err(MintError::Store(error)) => return Err(console.problem(IssueError::Store(error))),
        Err(MintError::Untold(error)) => return Err(console.problem(error)),
        Err(MintError::Rejected(rejection)) => {
            (StatusCode::BAD_REQUEST, None, Some(rejection.detail().to_owned()))
        }
        Err(error) => (StatusCode::BAD_REQUEST, None, Some(error.to_string())),
    };
    let meanings = meaning::of_lines(&aud);
    // The audience itself need not be an origin: it may have no scheme, or stand for many.
    let origin = meanings.first().and_then(|meaning| meaning.matches().first()).cloned().unwrap_or_default();
    let page = MintPage {
        frame: Frame::of(&visitor, "Token for a page"),
        config: &config,
        aud: &aud,
        seconds: &seconds,
        api: &api,
        meanings,
        origin: &origin,
        problem: problem.as_deref(),
        minted,
    };
    Ok(with_status(status, html(&page)))
}
