//! Why a token is refused, or is not: what the gateway would decide about a request with it, check by check.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use voicegain_auth_core::{Explanation, Issuer, Outcome, Reason, Rejection, TokenSources, Verifier};

use super::Args;
use super::job::fail;
use super::terminal::{plain, token};
use super::web_config::opened;
use crate::deployments::Edges;
use crate::explain;
use crate::setup::{self, SetupError};

/// A request as its client would send it, but for the token.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The path and perhaps the query, as a client sends it; the base path by default
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// The Origin header that a browser sends for a page; none by default
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// The Host header; that of the API URL by default
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

pub(super) fn command(program: &str, flags: impl Fn(Command) -> Command) -> Command {
    <Asked as clap::Args>::augment_args(flags(Command::new("explain")))
        .about("Says why a token is refused, or is not, check by check; it is read from the standard input")
        .long_about(None)
        .after_help(format!(
            "The token is read from the standard input, as in `{program} explain <token`; at a terminal it does not show. It \
             is neither kept nor shown. Of several token sources the first one that is enabled carries it: header, query, \
             protocol, cookie. Ends with 0 if the request is accepted, 1 if it is refused, and 2 if it cannot be told.",
        ))
}

/// How it ends if nothing can be decided.
const UNDECIDED: u8 = 2;

pub(super) async fn run(args: &Args, asked: &Asked) -> ExitCode {
    match explained(args, asked).await {
        Ok((text, outcome)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::from(outcome)
        }
        Err(problem) => fail(args, &problem, UNDECIDED),
    }
}

async fn explained(args: &Args, asked: &Asked) -> Result<(String, u8), String> {
    let placed = |error: SetupError| error.placed(args).to_string();
    let policy = setup::policy(args).map_err(placed)?;
    let edges = Edges::of(args).map_err(|error| placed(error.into()))?;
    let head = {
        let token = token().map_err(|error| format!("no token can be read: {error}"))?;
        if token.is_empty() {
            return Err("there is no token: write it to the standard input".to_owned());
        }
        head(args, asked, &token)?
    };
    let issuer = opened(args, false).await?;
    let verifier = Verifier::new(issuer.cache().clone(), policy);
    Ok(decide(&verifier, &issuer, edges.as_ref(), &head).await)
}

/// The request that is asked about, with the token where the gateway looks for one.
fn head(args: &Args, asked: &Asked, token: &str) -> Result<Parts, String> {
    let authority = |uri: Uri| uri.authority().map(ToString::to_string);
    let host = asked.host.clone().or_else(|| args.api_url.parse().ok().and_then(authority));
    let mut path = asked.path.clone().unwrap_or_else(|| format!("{}/", args.base_path.trim_end_matches('/')));
    let sources = &args.token_sources;
    if carrier(sources) == Carrier::Query {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.extend(["access_token=", &utf8_percent_encode(token, NON_ALPHANUMERIC).to_string()]);
    }
    if !path.starts_with('/') && path != "*" {
        return Err("--path: write a path that begins with a slash, as in /v1/data".to_owned());
    }
    // What it says of itself could show a token that is in the query.
    let uri =
        path.parse::<Uri>().map_err(|_| "--path: no client can send this; percent-encode it".to_owned())?;
    let request = Request::builder().method(asked.method.as_str()).uri(uri);
    let (mut head, ()) =
        request.body(()).map_err(|_| "--method: this is no method, such as GET".to_owned())?.into_parts();
    let mut insert = |name, flag: &str, text: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| format!("{flag} has characters that no header can carry; leave them out"))?;
        value.set_sensitive(true);
        head.headers.insert(name, value);
        Ok::<_, String>(())
    };
    if let Some(host) = host {
        insert(HOST, "--host", &host)?;
    }
    if let Some(origin) = &asked.origin {
        insert(ORIGIN, "--origin", origin)?;
    }
    match carrier(sources) {
        Carrier::Header => insert(AUTHORIZATION, "the token", &format!("Bearer {token}"))?,
        Carrier::Query => {}
        Carrier::Protocol => {
            insert(CONNECTION, "", "Upgrade")?;
            insert(UPGRADE, "", "websocket")?;
            insert(SEC_WEBSOCKET_PROTOCOL, "the token", &format!("bearer.{token}, chat"))?;
        }
        Carrier::Cookie => {
            let name = sources.cookie.as_deref().unwrap_or_default();
            insert(COOKIE, "the token", &format!("{name}={token}"))?;
        }
    }
    Ok(head)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Header,
    Query,
    Protocol,
    Cookie,
}

/// Of the enabled sources the first one.
fn carrier(sources: &TokenSources) -> Carrier {
    match sources {
        TokenSources { header: true, .. } => Carrier::Header,
        TokenSources { query: true, .. } => Carrier::Query,
        TokenSources { protocol: true, .. } => Carrier::Protocol,
        _ => Carrier::Cookie,
    }
}

/// What the gateway would do, step by step, and what the program ends with.
async fn decide(verifier: &Verifier, issuer: &Issuer, edges: Option<&Edges>, head: &Parts) -> (String, u8) {
    let mut explanation = explain::explain(verifier, issuer, head).await;
    if explanation.unverified_api_url.is_some() {
        let edges = match edges {
            Some(edges) => edges.ask().await,
            None => Vec::new(),
        };
        let others = edges.iter().map(|edge| (edge.name(), edge.api_url()));
        explanation.compare_deployments(issuer.api_url(), others);
    }
    let Explanation { rejection, steps, web_config, .. } = explanation;
    let mut text = String::new();
    for step in &steps {
        let outcome = match step.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            _ => "not reached",
        };
        line(&mut text, outcome, step.check.title(), &plain(&step.compared));
    }
    if let Some(id) = web_config {
        // Writing into a String does not fail.
        let _ = writeln!(text, "\nweb config {id}");
    }
    match &rejection {
        Some(rejection) => refused(&mut text, rejection),
        None => text.push_str("\naccepted\n"),
    }
    let outcome = match rejection.map(|rejection| rejection.reason()) {
        None => 0,
        Some(Reason::TemporarilyUnavailable) => UNDECIDED,
        Some(_) => 1,
    };
    (text, outcome)
}

fn line(text: &mut String, outcome: &str, title: &str, compared: &str) {
    let _ = writeln!(text, "{outcome:<12} {title}");
    if !compared.is_empty() {
        let _ = writeln!(text, "{:12} {compared}", "");
    }
}

fn refused(text: &mut String, rejection: &Rejection) {
    let (status, reason) = (rejection.status(), rejection.reason().as_str());
    let _ = writeln!(text, "\nrefused: {status} {reason}: {}", plain(rejection.detail()));
}

#[cfg(test)]
mod tests;
