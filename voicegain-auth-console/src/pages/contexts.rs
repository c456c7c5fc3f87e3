//! The first page: which contexts there are.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use voicegain_auth_core::{ContextQuery, ContextSummary};

use super::Console;
use super::problem::Problem;
use super::visitor::{Frame, Visitor, html};

/// How many a page shows.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Asked {
    account: String,
    part: String,
    after_account: String,
    after_context: String,
}

#[derive(Template)]
#[template(path = "contexts.html")]
struct ContextsPage<'a> {
    frame: Frame<'a>,
    asked: &'a Asked,
    contexts: Vec<ContextSummary>,
    next: Option<ContextSummary>,
    once: String,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    if !console.issuer.cache().status().ready {
        return Err(Problem::not_known());
    }
    let mut contexts = match query(&asked) {
        Some(query) => console.issuer.cache().contexts(&query),
        // No id is like that.
        None => Vec::new(),
    };
    let more = contexts.len() > PAGE;
    contexts.truncate(PAGE);
    let next = contexts.last().filter(|_| more).cloned();
    let once = console.sessions.form(&visitor.signed_in)?;
    let frame = Frame::of(&visitor, "Contexts");
    Ok(html(&ContextsPage { frame, asked: &asked, contexts, next, once }))
}

/// `None`: nothing can be found by that.
fn query(asked: &Asked) -> Option<ContextQuery> {
    let account = asked.account.trim();
    let account_id = if account.is_empty() { None } else { Some(account.parse().ok()?) };
    let after = match (&*asked.after_account, &*asked.after_context) {
        ("", _) | (_, "") => None,
        (account, context) => Some((account.parse().ok()?, context.parse().ok()?)),
    };
    let contains = asked.part.trim().to_owned();
    Some(ContextQuery { account_id, contains, after, limit: PAGE.saturating_add(1) })
}
