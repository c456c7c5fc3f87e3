//! Why a token was refused: what would be decided about a request with it, check by check, and what was decided lately.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Request};
use serde::Deserialize;
use voicegain_auth_core::{Explanation, Field, Outcome, RecentRefusal, RequestHead, RequestId};

use super::form::Sent;
use super::problem::Problem;
use super::times::Time;
use super::visitor::{Frame, Visitor, html, of_html};
use super::{Console, Explains, edge};

const TITLE: &str = "Why was it refused?";
/// How much of a token's payload is shown, in bytes.
const MOST_SAID: usize = 4_000;

/// A request as its client would send it.
struct Asked<'a>(&'a Parts);

impl RequestHead for Asked<'_> {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn path(&self) -> &str {
        self.0.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri.query()
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(field.name()).iter().map(HeaderValue::as_bytes)
    }
}

/// What stands in the form. The token does not.
#[derive(Default)]
struct Typed {
    method: String,
    /// Without its query: a token may be there.
    path: String,
    origin: String,
    host: String,
}

/// A refusal in the list.
struct Row {
    request: Option<String>,
    at: Time,
    target: String,
    status: u16,
    reason: &'static str,
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage<'a> {
    frame: Frame<'a>,
    typed: Typed,
    problem: Option<String>,
    /// Whether all that decides is asked, and not the verifier alone.
    is_whole: bool,
    /// Whether a token is looked for in the `Authorization` header, where this one is said to have been.
    reads_header: bool,
    explanation: Option<Explanation>,
    /// Which request is explained, if it was one that came.
    request: Option<&'a RecentRefusal>,
    /// What the token says, whether or not it is to be believed.
    said: Option<String>,
    recent: Vec<Row>,
    /// The id that was looked for and is not there.
    missing: Option<String>,
}

impl<'a> ExplainPage<'a> {
    fn of(visitor: &'a Visitor, explains: &Explains, recent: &[RecentRefusal]) -> Self {
        Self {
            frame: Frame::of(visitor, TITLE),
            typed: Typed {
                method: "GET".to_owned(),
                path: format!("{}/", explains.verifier.policy().base_path()),
                host: "localhost".to_owned(),
                ..Typed::default()
            },
            problem: None,
            is_whole: explains.request.is_some(),
            reads_header: explains.verifier.policy().token_sources().header,
            explanation: None,
            request: None,
            said: None,
            recent: recent.iter().filter_map(Row::of).collect(),
            missing: None,
        }
    }
}

impl Row {
    fn of(refusal: &RecentRefusal) -> Option<Self> {
        let rejection = refusal.explanation.rejection.as_ref()?;
        Some(Self {
            request: refusal.request.map(|id| id.to_string()),
            at: Time::of(refusal.at.as_secs()),
            target: refusal.target.clone(),
            status: rejection.status(),
            reason: rejection.reason().as_str(),
        })
    }
}

fn explains(console: &Console) -> Result<&Explains, Problem> {
    console.explains.as_ref().ok_or_else(Problem::no_such_page)
}

#[derive(Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    shown: String,
    #[serde(default)]
    request: String,
}

/// The form, what was explained under this name, or the refusal of the request with this id.
pub(super) async fn page(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(Shown { shown, request }): Query<Shown>,
) -> Result<Response, Problem> {
    let explains = explains(&console)?;
    if let Some(page) = console.sessions.kept(&visitor.signed_in, &shown) {
        return Ok(of_html(page.to_string()));
    }
    let recent = explains.verifier.recent_refusals();
    let page = ExplainPage::of(&visitor, explains, &recent);
    let asked = request.trim();
    if asked.is_empty() {
        return Ok(html(&page));
    }
    let id: Option<RequestId> = asked.parse().ok();
    let found = id.and_then(|id| recent.iter().find(|refusal| refusal.request == Some(id)));
    let missing =
        found.is_none().then(|| asked.chars().take(64).collect::<String>().escape_debug().to_string());
    let mut explanation = found.map(|refusal| refusal.explanation.clone());
    if let Some(explanation) = &mut explanation {
        edge::compare(&console, explanation).await;
    }
    Ok(html(&ExplainPage { explanation, request: found, missing, ..page }))
}

/// The token is looked at, and neither kept nor shown again.
pub(super) async fn explain(State(console): State<Arc<Console>>, sent: Sent) -> Result<Response, Problem> {
    let explains = explains(&console)?;
    let Sent { visitor, mut form } = sent;
    let token = form.take("token");
    let token = token.trim();
    // Who copies a header copies its scheme too.
    let is_scheme = |start: &str| start.eq_ignore_ascii_case("bearer ");
    let token = token
        .split_at_checked(7)
        .filter(|(start, _)| is_scheme(start))
        .map_or(token, |(_, rest)| rest)
        .trim();
    let [method, target, origin, host] = ["method", "path", "origin", "host"].map(|name| form.text(name));
    let head = head(
        &method,
        &target,
        [(AUTHORIZATION, bearer(token)), (ORIGIN, origin.clone()), (HOST, host.clone())],
    );
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let recent = explains.verifier.recent_refusals();
    let page = ExplainPage {
        typed: Typed { method, path, origin, host },
        ..ExplainPage::of(&visitor, explains, &recent)
    };
    let page = match head {
        Err(problem) => ExplainPage { problem: Some(problem.to_owned()), ..page },
        Ok(head) => {
            let mut explanation = match &explains.request {
                Some(explain) => explain(head).await,
                None => explains.verifier.explain(&Asked(&head)).await,
            };
            edge::compare(&console, &mut explanation).await;
            ExplainPage { explanation: Some(explanation), said: said(token), ..page }
        }
    };
    let name = console.sessions.keep(&visitor.signed_in, page.render().unwrap_or_default())?;
    Ok(Redirect::to(&format!("{}/explain?shown={name}", visitor.base)).into_response())
}

fn bearer(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("Bearer {token}") }
}

/// The head that was asked about. A field that is empty is not there.
fn head<const N: usize>(
    method: &str,
    target: &str,
    fields: [(http::HeaderName, String); N],
) -> Result<Parts, &'static str> {
    if !target.starts_with('/') {
        return Err("A path begins with a slash; write it as the client sends it, as in /v1/asr/transcribe.");
    }
    let mut request = Request::builder().method(method).uri(target);
    for (name, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
        let value = HeaderValue::try_from(text).map_err(
            |_| "The token, the origin or the host holds what cannot stand in a header; copy it once more.",
        )?;
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|_| {
        "No client can send this method and this path; write them as they were sent, as in GET and /v1/asr/transcribe."
    })?;
    Ok(request.into_parts().0)
}

/// The payload of a token as it stands there, if it is text: two members of one name are seen as two. What turns a line around
/// or cannot be seen is written out.
fn said(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let mut said = String::new();
    for letter in text.chars() {
        if matches!(letter, '"' | '\'' | '\\' | '\n') {
            said.push(letter)
        } else {
            said.extend(letter.escape_debug())
        }
        if said.len() > MOST_SAID {
            said.push('…');
            break;
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_says_is_shown_as_it_stands_there() {
        let token = |payload: &str| format!("a.{}.c", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(said(&token(r#"{"sub":"a","sub":"b"}"#)).as_deref(), Some(r#"{"sub":"a","sub":"b"}"#));
        assert_eq!(said(&token("\u{202e}x\u{7}")).as_deref(), Some("\\u{202e}x\\u{7}"));
        assert!(said(&token(&"x".repeat(100_000))).is_some_and(|said| said.len() < MOST_SAID + 8));
        for none in ["", "a", "a.*.c"] {
            assert_eq!(said(none), None, "{none}");
        }
    }

    #[test]
    fn what_no_client_can_send_is_told() {
        let of = |method, target, host: &str| {
            head(method, target, [(HOST, host.to_owned())]).map(|head| head.headers.len())
        };
        assert_eq!(of("GET", "/v1/a?b", "x"), Ok(1));
        assert_eq!(of("GET", "/v1/a?b", ""), Ok(0));
        for (method, target, host) in
            [("G T", "/", ""), ("GET", "v1", ""), ("GET", "/a b", ""), ("GET", "/", "a\nb")]
        {
            assert!(of(method, target, host).is_err(), "{method} {target} {host}");
        }
    }
}
