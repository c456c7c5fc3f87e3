//! Web configs: those of a context, one by itself, and what can be done to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;
use voicegain_auth_core::store::ListQuery;
use voicegain_auth_core::{AccountId, ContextId, CreateRequest, Day, WebConfig, WebConfigId, WebConfigPatch};

use super::Console;
use super::form::{Sent, SentOnce};
use super::meaning::{self, Meaning};
use super::problem::Problem;
use super::times::{Time, lasting};
use super::visitor::{Frame, Visitor, html, with_status};
use crate::answer::json;
use crate::handlers::last_uses;

/// How many web configs of a context are shown.
const SHOWN: usize = 1_000;

type Page = Result<Response, Problem>;

/// An id of a path. What is none leads nowhere.
fn read_id(id: &str) -> Result<WebConfigId, Problem> {
    id.parse().map_err(|_| Problem::no_such_page())
}

/// A web config as it is shown in a list.
struct Row {
    config: WebConfig,
    made: Time,
}

impl Row {
    fn of(config: WebConfig) -> Self {
        Self { made: Time::of(config.secret_created_at), config }
    }
}

async fn rows(console: &Console, account: AccountId, context: ContextId) -> Result<Vec<Row>, Problem> {
    let query = ListQuery { account_id: Some(account), context_id: Some(context), after: None, limit: SHOWN };
    let configs = console.issuer.list(query).await.map_err(|error| console.problem(error))?;
    Ok(configs.into_iter().map(Row::of).collect())
}

/// The other web configs of its context, whose tokens stay valid whatever is done to it.
async fn others(console: &Console, config: &WebConfig) -> Result<Vec<Row>, Problem> {
    let mut rows = rows(console, config.account_id.clone(), config.context_id.clone()).await?;
    rows.retain(|row| row.config.id != config.id);
    Ok(rows)
}

/// The web config that a path names.
pub(super) async fn read(console: &Console, id: &str) -> Result<WebConfig, Problem> {
    console.issuer.get(read_id(id)?).await.map_err(|error| console.problem(error))
}

/// On which day its tokens were last used.
async fn last_use(console: &Console, config: &WebConfig) -> Option<Day> {
    last_uses(&console.issuer, [config.id]).await.get(&config.id).copied()
}

#[derive(Template)]
#[template(path = "context.html")]
struct ContextPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    context: &'a str,
    rows: Vec<Row>,
    used: BTreeMap<WebConfigId, Day>,
    once: String,
}

/// The web configs of a context.
pub(super) async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path((account, context)): Path<(String, String)>,
) -> Page {
    let none = |_| Problem::no_such_page();
    let rows = rows(&console, account.parse().map_err(none)?, context.parse().map_err(none)?).await?;
    let used = last_uses(&console.issuer, rows.iter().map(|row| row.config.id)).await;
    let once = console.sessions.form(&visitor.signed_in)?;
    let frame = Frame::of(&visitor, "API security");
    Ok(html(&ContextPage { frame, account: &account, context: &context, rows, used, once }))
}

/// What is wrong with what was typed into a form that is shown again.
#[derive(Template)]
#[template(path = "create.html")]
struct CreatePage<'a> {
    frame: Frame<'a>,
    problem: &'a str,
    account: &'a str,
    context: &'a str,
    name: &'a str,
    origins: &'a str,
    once: String,
}

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage<'a> {
    frame: Frame<'a>,
    config: &'a WebConfig,
    token: &'a str,
    is_new: bool,
    /// `None`: they could not be read.
    others: Option<Vec<Row>>,
}

/// Creates a web config, in a context that may be new, and shows its token: in this answer and nowhere else.
pub(super) async fn create(State(console): State<Arc<Console>>, SentOnce(sent): SentOnce) -> Page {
    let Sent { visitor, mut form } = sent;
    let [account, context, name, origins] =
        ["account", "context", "name", "origins"].map(|name| form.text(name));
    let created = match new(&account, &context, &name, &origins) {
        Ok(new) => visitor.issuer.create(new).await.map_err(|error| console.problem(error)),
        Err(problem) => Err(problem),
    };
    let issued = match created {
        Ok(issued) => issued,
        Err(problem) => {
            let once = console.sessions.form(&visitor.signed_in)?;
            let (account, context, name, origins) = (&*account, &*context, &*name, &*origins);
            let frame = Frame::of(&visitor, "Create a web config");
            let page = CreatePage { frame, problem: problem.text(), account, context, name, origins, once };
            return Ok(with_status(problem.status(), html(&page)));
        }
    };
    // It has been created, whether or not the others can be listed.
    let others = others(&console, &issued.config).await.ok();
    let frame = Frame::of(&visitor, "Your new token");
    Ok(html(&TokenPage { frame, config: &issued.config, token: &issued.jwt, is_new: true, others }))
}

fn new(account: &str, context: &str, name: &str, origins: &str) -> Result<CreateRequest, Problem> {
    let account = account.parse().map_err(|error| Problem::field("Account", &error))?;
    let context = context.parse().map_err(|error| Problem::field("Context", &error))?;
    let mut new = CreateRequest::new(account, context, name);
    new.allowed_origins = meaning::lines(origins).map(str::to_owned).collect();
    Ok(new)
}

#[derive(Template)]
#[template(path = "web_config.html")]
struct WebConfigPage<'a> {
    frame: Frame<'a>,
    config: &'a WebConfig,
    created: Time,
    made: Time,
    last_used: Option<Day>,
    /// As they stand in the form, which may be what was typed.
    name: &'a str,
    origins: &'a str,
    meanings: Vec<Meaning>,
    problem: Option<&'a str>,
    is_saved: bool,
}

impl<'a> WebConfigPage<'a> {
    fn of(
        visitor: &'a Visitor,
        config: &'a WebConfig,
        last_used: Option<Day>,
        name: &'a str,
        origins: &'a str,
    ) -> Self {
        Self {
            frame: Frame::of(visitor, "Web config"),
            config,
            created: Time::of(config.created_at),
            made: Time::of(config.secret_created_at),
            last_used,
            name,
            origins,
            meanings: meaning::of_lines(origins),
            problem: None,
            is_saved: false,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Saved {
    #[serde(default)]
    saved: String,
}

/// One web config.
pub(super) async fn page(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(Saved { saved }): Query<Saved>,
) -> Page {
    let config = read(&console, &id).await?;
    let origins = config.allowed_origins.join("\n");
    let last_used = last_use(&console, &config).await;
    let page = WebConfigPage::of(&visitor, &config, last_used, &config.name, &origins);
    Ok(html(&WebConfigPage { is_saved: saved == "yes", ..page }))
}

/// Changes its name and its allowed origins. What does not fit is shown again, as it was typed.
pub(super) async fn change(State(console): State<Arc<Console>>, Path(id): Path<String>, sent: Sent) -> Page {
    let Sent { visitor, mut form } = sent;
    let [name, origins, had_name, had_origins] =
        ["name", "origins", "had_name", "had_origins"].map(|name| form.text(name));
    let before = read(&console, &id).await?;
    let is_as_shown =
        before.name.trim() == had_name && had_origins.split_whitespace().eq(&before.allowed_origins);
    if !is_as_shown {
        // What somebody else has taken out meanwhile must not come back unseen.
        let problem = "It was changed meanwhile. What it is now stands above; what you typed is still here.";
        let last_used = last_use(&console, &before).await;
        let page = WebConfigPage::of(&visitor, &before, last_used, &name, &origins);
        return Ok(with_status(
            StatusCode::CONFLICT,
            html(&WebConfigPage { problem: Some(problem), ..page }),
        ));
    }
    let typed: Vec<String> = meaning::lines(&origins).map(str::to_owned).collect();
    let patch = WebConfigPatch {
        name: (name != had_name).then(|| name.clone()),
        allowed_origins: (typed != before.allowed_origins).then_some(typed),
    };
    match visitor.issuer.update(before.id, patch).await {
        Ok(config) => {
            // A page that a form led to cannot be gone back to.
            let page = format!("{}/web-configs/{}?saved=yes", visitor.base, config.id);
            Ok(Redirect::to(&page).into_response())
        }
        Err(error) => {
            let problem = console.problem(error);
            let config = read(&console, &id).await?;
            let last_used = last_use(&console, &config).await;
            let page = WebConfigPage::of(&visitor, &config, last_used, &name, &origins);
            Ok(with_status(problem.status(), html(&WebConfigPage { problem: Some(problem.text()), ..page })))
        }
    }
}

/// What patterns mean, while they are typed.
pub(super) async fn origins(State(_): State<Arc<Console>>, sent: Sent) -> Page {
    let Sent { mut form, .. } = sent;
    Ok(json(StatusCode::OK, &meaning::of_lines(&form.text("origins"))))
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage<'a> {
    frame: Frame<'a>,
    config: &'a WebConfig,
    made: Time,
    last_used: Option<Day>,
    /// Whether it is about deleting it.
    deletes: bool,
    bound: String,
    others: Option<Vec<Row>>,
    once: String,
}

async fn ask(console: &Console, visitor: &Visitor, id: &str, deletes: bool) -> Page {
    let config = read(console, id).await?;
    let others = Some(others(console, &config).await?);
    let last_used = last_use(console, &config).await;
    let once = console.sessions.form(&visitor.signed_in)?;
    let frame = Frame::of(visitor, if deletes { "Delete?" } else { "Regenerate?" });
    let made = Time::of(config.secret_created_at);
    let bound = lasting(console.issuer.cache().status().max_revocation_delay);
    Ok(html(&AskPage { frame, config: &config, made, last_used, deletes, bound, others, once }))
}

/// Says what will stop working.
pub(super) async fn ask_regenerate(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    ask(&console, &visitor, &id, false).await
}

/// Says what will stop working.
pub(super) async fn ask_delete(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Page {
    ask(&console, &visitor, &id, true).await
}

/// Replaces the secret and shows the new token: in this answer and nowhere else (rule M1).
pub(super) async fn regenerate(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    SentOnce(Sent { visitor, .. }): SentOnce,
) -> Page {
    let issued = visitor.issuer.regenerate(read_id(&id)?).await.map_err(|error| console.problem(error))?;
    let others = Some(issued.others.iter().cloned().map(Row::of).collect());
    let frame = Frame::of(&visitor, "Your new token");
    Ok(html(&TokenPage { frame, config: &issued.config, token: &issued.jwt, is_new: false, others }))
}

/// Deletes a web config for good.
pub(super) async fn delete(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    SentOnce(Sent { visitor, .. }): SentOnce,
) -> Page {
    let id = read_id(&id)?;
    visitor.issuer.delete(id).await.map_err(|error| console.problem(error))?;
    Ok(Redirect::to(&format!("{}/contexts", visitor.base)).into_response())
}
