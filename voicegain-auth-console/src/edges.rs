//! The Edges beside this deployment, and what each said when it was asked. All of that is text of strangers: nothing of it is
//! believed, and it is shown short and in one line.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{StatusCode, Uri};

use crate::deployment::Document;

/// An Edge that an operator has configured, and what came of asking it for its status document just now.
#[derive(Debug, Clone)]
pub struct Edge {
    name: String,
    url: String,
    /// What it said, or else what to tell the operator.
    said: Result<Box<Document>, String>,
}

impl Edge {
    /// The longest status document that is looked at, in bytes. What asks the Edge reads no more either.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// One that answered `GET <url>/deployment` like this. `url` is that of its admin port; it must not hold a password.
    pub fn answered(
        name: impl Into<String>,
        url: impl Into<String>,
        status: StatusCode,
        body: &[u8],
    ) -> Self {
        let said = match status {
            StatusCode::OK => read(body),
            status => Err(instead(status)),
        };
        Self { name: name.into(), url: url.into(), said }
    }

    /// One that did not, and what to tell the operator, in a sentence.
    pub fn silent(name: impl Into<String>, url: impl Into<String>, why: impl Into<String>) -> Self {
        let why: String = why.into();
        Self { name: name.into(), url: url.into(), said: Err(clipped(&why, 500)) }
    }

    /// What the operator calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API URL that it says it has, if it answered.
    #[must_use]
    pub fn api_url(&self) -> Option<&str> {
        self.said().ok().map(|said| said.configuration.api_url.as_str())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn said(&self) -> Result<&Document, &str> {
        self.said.as_deref().map_err(String::as_str)
    }

    /// Where its console is: as it says, or else below the URL that it was asked at.
    pub(crate) fn console_url(&self) -> String {
        let said = self.said().ok().and_then(|said| said.console_url.clone());
        said.filter(|url| is_web_url(url))
            .unwrap_or_else(|| format!("{}/console/", self.url.trim_end_matches('/')))
    }
}

/// Asks every Edge at once.
pub(crate) type AskEdges = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Edge>> + Send>> + Send + Sync>;

fn read(body: &[u8]) -> Result<Box<Document>, String> {
    if body.len() > Edge::MAX_BYTES {
        return Err("It answers with more than a status document can be; check that the URL is that of its admin port.".to_owned());
    }
    serde_json::from_slice(body).map_err(|_| {
        "It answers, but not with the status document of a gateway; check that the URL is that of its admin port, and not of \
         something else."
            .to_owned()
    })
}

/// What an answer that is no status document comes of.
fn instead(status: StatusCode) -> String {
    let code = status.as_u16();
    match code {
        300..=399 => format!("It answers {code}, a redirect, which is not followed; configure the URL that it leads to."),
        400 => "It answers 400, as an admin port does that is asked by a name it does not know; start that Edge with \
                --admin-host and the host of this URL."
            .to_owned(),
        404 => "It answers 404; check that the URL is that of its admin port, and that it runs a version that has GET \
                /deployment."
            .to_owned(),
        _ => format!("It answers {code} and no status document; look at its log."),
    }
}

/// Whether a text may become a link.
fn is_web_url(text: &str) -> bool {
    const LONGEST: usize = 256;

    let is_plain = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain
        && text.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        })
}

/// What others have written, for people: in one line, and no longer than need be.
pub(crate) fn shown(text: &str) -> String {
    clipped(text, 200)
}

fn clipped(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        if matches!(letter, '"' | '\'' | '\\') {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_debug());
        }
        if shown.len() > most {
            shown.push('…');
            break;
        }
    }
    shown
}

/// Lets the builder hold what asks.
pub(crate) fn asking<F, R>(ask: F) -> AskEdges
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Vec<Edge>> + Send + 'static,
{
    Arc::new(move || Box::pin(ask()))
}
