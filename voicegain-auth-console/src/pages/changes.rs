//! Who has changed what, the latest first.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::problem::Problem;
use super::visitor::{Frame, Visitor, html};
use crate::router::BoxFuture;

/// How many a page shows.
const PAGE: usize = 50;

/// A change, as an audit log tells of it, in words for people. They may hold what others have typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its number: later ones have higher ones.
    pub number: u64,
    /// When it was begun, in UTC, as RFC 3339 writes it.
    pub time: String,
    /// Who has made it.
    pub who: String,
    /// What was done, and to what.
    pub what: String,
    /// What became of it.
    pub outcome: String,
}

type Read = dyn Fn(Option<u64>, usize) -> BoxFuture<Result<Vec<LoggedChange>, String>> + Send + Sync;

/// Reads an audit log.
#[derive(Clone)]
pub(crate) struct ReadChanges(Arc<Read>);

impl ReadChanges {
    pub(crate) fn new<F, R>(read: F) -> Self
    where
        F: Fn(Option<u64>, usize) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<LoggedChange>, String>> + Send + 'static,
    {
        Self(Arc::new(move |before, most| Box::pin(read(before, most))))
    }
}

impl fmt::Debug for ReadChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadChanges(…)")
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage<'a> {
    frame: Frame<'a>,
    changes: Vec<LoggedChange>,
    is_first: bool,
    /// Before which number the next page ends.
    older: Option<u64>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(Asked { before }): Query<Asked>,
) -> Result<Response, Problem> {
    let read = console.changes.as_ref().ok_or_else(Problem::no_such_page)?;
    // One more than the page holds tells whether there is another page.
    let mut changes = (read.0)(before, PAGE.saturating_add(1)).await.map_err(|error| {
        tracing::error!(error, "the audit log cannot be read");
        Problem::no_audit_log()
    })?;
    changes.reverse();
    let more = changes.len() > PAGE;
    changes.truncate(PAGE);
    let older = changes.last().filter(|_| more).map(|change| change.number);
    let frame = Frame::of(&visitor, "Changes");
    Ok(html(&ChangesPage { frame, changes, is_first: before.is_none(), older }))
}
