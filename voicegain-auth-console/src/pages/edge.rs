//! The Edges beside this deployment, as each answers now. They are deployments of their own: nothing is done to them from here.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use voicegain_auth_core::Explanation;

use super::problem::Problem;
use super::visitor::{Frame, Visitor, html};
use super::{Beside, Console};
use crate::deployment::{Document, Readiness};
use crate::edges::{Edge, shown};

/// A deployment, as it is shown.
struct Card {
    /// What it is called here.
    name: String,
    is_ready: bool,
    /// How it is, in words, and what to look at if that is not well.
    state: String,
    said: Option<Said>,
    /// Where it was asked, and where its console is, if it is another one.
    elsewhere: Option<(String, String)>,
}

/// What a deployment says of itself.
struct Said {
    name: String,
    version: String,
    base_path: String,
    api_url: String,
    revocation_delay: String,
    store: String,
}

#[derive(Template)]
#[template(path = "edge.html")]
struct EdgePage<'a> {
    frame: Frame<'a>,
    own: Card,
    edges: Vec<Card>,
}

pub(super) async fn page(State(console): State<Arc<Console>>, visitor: Visitor) -> Result<Response, Problem> {
    let Beside { own, ask } = console.beside.as_ref().ok_or_else(Problem::no_such_page)?;
    let edges = ask().await.iter().map(Card::of).collect();
    let verifier = console.explains.as_ref().map(|explains| &explains.verifier);
    let own = Card::said_by(&own.document(&console.issuer, verifier));
    Ok(html(&EdgePage { frame: Frame::of(&visitor, "Edge"), own, edges }))
}

/// Says of a token that this deployment does not know whose it may be. The Edges are asked only then.
pub(super) async fn compare(console: &Console, explanation: &mut Explanation) {
    if explanation.unverified_api_url.is_none() {
        return;
    }
    let edges = match &console.beside {
        Some(Beside { ask, .. }) => ask().await,
        None => Vec::new(),
    };
    let others = edges.iter().map(|edge| (edge.name(), edge.api_url()));
    explanation.compare_deployments(console.issuer.api_url(), others);
}

impl Card {
    fn of(edge: &Edge) -> Self {
        let card = match edge.said() {
            Ok(document) => Self::said_by(document),
            Err(why) => Self {
                name: String::new(),
                is_ready: false,
                state: format!("No status. {why}"),
                said: None,
                elsewhere: None,
            },
        };
        let elsewhere = Some((edge.url().to_owned(), edge.console_url()));
        Self { name: edge.name().to_owned(), elsewhere, ..card }
    }

    fn said_by(document: &Document) -> Self {
        let state = match (document.status, &document.detail) {
            (Readiness::Ready, _) => "Ready.".to_owned(),
            (Readiness::NotReady, Some(detail)) => format!("Not ready. It says: {}", shown(detail)),
            (Readiness::NotReady, None) => "Not ready, and it does not say why; look at its log.".to_owned(),
        };
        Self {
            name: shown(&document.name),
            is_ready: document.status == Readiness::Ready,
            state,
            said: Some(Said::of(document)),
            elsewhere: None,
        }
    }
}

impl Said {
    fn of(document: &Document) -> Self {
        let Document { name, version, configuration, .. } = document;
        let or_unknown = |text: &Option<String>| text.as_deref().map_or_else(|| "not told".to_owned(), shown);
        let delay = configuration.max_revocation_delay_seconds;
        Self {
            name: shown(name),
            version: shown(version),
            base_path: or_unknown(&configuration.base_path),
            api_url: shown(&configuration.api_url),
            // No deployment can be set to more than an hour.
            revocation_delay: if (0.0..=3_600.0).contains(&delay) {
                format!("{delay} s")
            } else {
                "no time that can be".to_owned()
            },
            store: or_unknown(&configuration.store),
        }
    }
}
