//! Signing in by OpenID Connect: off to the provider, and back.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::attempts::Attempts;
use super::operator::Operator;
use super::problem::Problem;
use super::sessions::random;
use super::sign_in::{Next, own_page, with_cookie};
use super::visitor::{Visitor, base, cookie_of};
use super::{Console, guard};
use crate::oidc::{CALLBACK, Failure, OidcConfig, Pending, Person, Provider, shown};

/// Says which browser has begun a sign-in.
const COOKIE_NAME: &str = "voicegain-console-oidc";
/// The longest place to go on to that is kept, in bytes.
const MAX_NEXT: usize = 1024;
/// How much of what the provider says of an error is shown, in characters.
const SAID: usize = 200;
/// How many problems are kept to be shown; the oldest makes room.
const PROBLEMS: usize = 100;

/// What signing in works with.
pub(super) struct SignIn {
    provider: Provider,
    pending: Pending,
    /// Begun and failed ones. Apart from wrong admin tokens: when the provider is down, that is the way in.
    attempts: Attempts,
    /// What has come of sign-ins that failed, each by a name of its own.
    problems: Mutex<VecDeque<(String, Instant, Problem)>>,
}

impl SignIn {
    pub(super) fn new(config: OidcConfig) -> Self {
        Self {
            provider: Provider::new(config),
            pending: Pending::default(),
            attempts: Attempts::default(),
            problems: Mutex::default(),
        }
    }

    /// What the provider is called.
    pub(super) fn name(&self) -> &str {
        self.provider.name()
    }

    fn may_try(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Problem> {
        let Some(wait) = self.attempts.wait(from, now) else { return Ok(()) };
        let seconds = wait.as_secs().saturating_add(1);
        let text = format!("Too many sign-ins were begun or have failed from here; wait {seconds} seconds.");
        Err(Problem::not_signed_in(StatusCode::TOO_MANY_REQUESTS, "Not now", text))
    }

    /// Keeps a problem to be shown at a place of its own, and answers the name it is kept by.
    fn keep(&self, problem: Problem, now: Instant) -> Result<String, getrandom::Error> {
        let name = random()?;
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.retain(|(_, since, _)| now.saturating_duration_since(*since) < Pending::LIFE);
        problems.push_back((name.clone(), now, problem));
        if problems.len() > PROBLEMS {
            problems.pop_front();
        }
        Ok(name)
    }
}

pub(super) fn router() -> Router<Arc<Console>> {
    Router::new()
        .route("/oidc/begin", get(begin))
        .route(CALLBACK, get(callback))
        .route("/oidc/problem/{name}", get(problem))
}

fn of(console: &Console) -> Result<&SignIn, Problem> {
    console.oidc.as_ref().ok_or_else(Problem::no_such_page)
}

fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip())
}

/// To the provider.
async fn begin(
    State(console): State<Arc<Console>>,
    Query(next): Query<Next>,
    request: Request,
) -> Result<Response, Problem> {
    let (sign_in, base, now) = (of(&console)?, base(request.extensions()), console.now());
    let is_signed_in = Visitor::of(&console, request.headers(), request.extensions()).is_some();
    // No other site begins one, so that whoever comes back has meant to.
    if is_signed_in || !guard::may_be_ours(request.headers()) {
        return Ok(Redirect::to(&format!("{base}/sign-in")).into_response());
    }
    let from = peer(&request);
    sign_in.may_try(from, now)?;
    sign_in.attempts.wrong(from, now);
    let next = Some(next.next).filter(|next| next.len() <= MAX_NEXT).unwrap_or_default();
    let begun = sign_in.provider.begin(next).await;
    let (url, state, flow) = begun.map_err(|failure| failed(sign_in.name(), &failure))?;
    let browser = random()?;
    sign_in.pending.begin(&state, &browser, flow, now);
    let response = Redirect::to(&url).into_response();
    with_browser(response, sign_in, &base, &browser, Pending::LIFE)
}

/// From the provider, with a code in the URL: whatever comes of it is shown elsewhere, where none is in the history and no link
/// gives it away.
async fn callback(State(console): State<Arc<Console>>, request: Request) -> Result<Response, Problem> {
    let (sign_in, base, now) = (of(&console)?, base(request.extensions()), console.now());
    let from = peer(&request);
    let (parts, _) = request.into_parts();
    let response = match signed_in(sign_in, &parts, from, now).await {
        Ok((operator, next)) => {
            let cookie = console.sessions.begin(operator, now)?;
            let is_https = console.https || sign_in.provider.config().is_https();
            with_cookie(Redirect::to(&own_page(next, &base)).into_response(), is_https, &base, &cookie, None)?
        }
        Err(problem) => {
            let name = problem.map_or(Ok("over".to_owned()), |problem| sign_in.keep(problem, now))?;
            Redirect::to(&format!("{base}/oidc/problem/{name}")).into_response()
        }
    };
    let mut response = with_browser(response, sign_in, &base, "", Duration::ZERO)?;
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Who has signed in, and where to go on to. No problem is what there is to say of a sign-in that is not known here.
async fn signed_in(
    sign_in: &SignIn,
    request: &Parts,
    from: Option<IpAddr>,
    now: Instant,
) -> Result<(Operator, String), Option<Problem>> {
    let query = request.uri.query().unwrap_or_default();
    // What another site has a browser ask for comes without the cookie, and does not count.
    let browser = cookie_of(&request.headers, COOKIE_NAME).ok_or(None)?;
    sign_in.may_try(from, now)?;
    let state = parameter(query, "state").unwrap_or_default();
    let Some(flow) = sign_in.pending.take(&state, browser, now) else {
        sign_in.attempts.wrong(from, now);
        return Err(None);
    };
    let provider = &sign_in.provider;
    if parameter(query, "iss").is_some_and(|issuer| !provider.is_issuer(&issuer)) {
        return Err(Some(failed(provider.name(), &Failure::IdToken("another issuer has answered"))));
    }
    if let Some(error) = parameter(query, "error") {
        let description = parameter(query, "error_description").unwrap_or_default();
        return Err(Some(refused(provider.name(), &error, &description)));
    }
    let code = parameter(query, "code").ok_or(None)?;
    let next = flow.next.clone();
    match provider.person(code, flow).await {
        Ok(person) if provider.allows(&person) => {
            tracing::info!(%person, "somebody signed in to the console by OpenID Connect");
            Ok((Operator::Person(person.to_string().into()), next))
        }
        Ok(person) => {
            sign_in.attempts.wrong(from, now);
            tracing::warn!(%person, "somebody who is not allowed tried to sign in to the console");
            Err(Some(stranger(provider.name(), &person)))
        }
        Err(failure) => {
            sign_in.attempts.wrong(from, now);
            Err(Some(failed(provider.name(), &failure)))
        }
    }
}

async fn problem(State(console): State<Arc<Console>>, Path(name): Path<String>) -> Problem {
    let Ok(sign_in) = of(&console) else { return Problem::no_such_page() };
    let problems = sign_in.problems.lock().unwrap_or_else(PoisonError::into_inner);
    let lives = |since: Instant| console.now().saturating_duration_since(since) < Pending::LIFE;
    let kept = problems.iter().find(|(have, since, _)| *have == name && lives(*since));
    kept.map_or_else(over, |(_, _, problem)| problem.clone())
}

/// The one value of a parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(have, _)| have == name);
    values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.into_owned())
}

fn over() -> Problem {
    let text = "This sign-in was not begun in this browser, is over already, or took longer than ten minutes. Begin anew.";
    Problem::not_signed_in(StatusCode::FORBIDDEN, "Not signed in", text)
}

fn stranger(provider: &str, person: &Person) -> Problem {
    let rule = person.own_rule();
    let email = match (person.verified_email(), &person.email) {
        (Some(email), _) => format!(" or email:{}", shown(email, SAID)),
        (None, Some(_)) => {
            "; rules about the e-mail address do not count, since the provider does not say that it is verified".to_owned()
        }
        (None, None) => String::new(),
    };
    let text = format!(
        "{provider} has signed you in as {person}, and nobody has allowed that here. Whoever runs this console can: with the \
         rule {rule}{email} (--oidc-allow of the gateway)."
    );
    Problem::not_signed_in(StatusCode::FORBIDDEN, "Not allowed", text)
}

/// The provider has not signed anybody in.
fn refused(provider: &str, error: &str, description: &str) -> Problem {
    let (error, description) = (shown(error, SAID), shown(description, SAID));
    tracing::warn!(error, "the provider has not signed somebody in to the console");
    let said = if description.is_empty() { String::new() } else { format!(" It says: “{description}”") };
    let text = match &*error {
        "access_denied" => format!("{provider} did not let you in, or you told it not to.{said}"),
        _ => format!("{provider} has not signed you in, and calls that “{error}”.{said}"),
    };
    Problem::not_signed_in(StatusCode::FORBIDDEN, "Not signed in", text)
}

fn failed(provider: &str, failure: &Failure) -> Problem {
    tracing::warn!(%failure, "nobody could be signed in to the console by OpenID Connect");
    let (status, text) = match failure {
        Failure::Discovery(_) | Failure::Exchange(_) => {
            let text = format!(
                "{provider} does not answer, or not as OpenID Connect has it; the log of this console says more. Try again \
                 shortly, or sign in with the admin token."
            );
            (StatusCode::BAD_GATEWAY, text)
        }
        Failure::CodeRefused(error) => {
            let text = format!(
                "{provider} did not take the code that it had sent you here with, and calls that “{error}”. Begin anew; if it \
                 stays so, compare the client's id, secret and redirect URL with what the provider has."
            );
            (StatusCode::BAD_GATEWAY, text)
        }
        Failure::IdToken(fault) => {
            let text =
                format!("The ID token that came from {provider} is not good: {fault}. Nobody was signed in.");
            (StatusCode::FORBIDDEN, text)
        }
    };
    Problem::not_signed_in(status, "Not signed in", text)
}

/// Says which browser has begun a sign-in, to the callback alone. The provider leads back there from another site, which
/// `SameSite=Lax` allows.
fn with_browser(
    mut response: Response,
    sign_in: &SignIn,
    base: &str,
    value: &str,
    life: Duration,
) -> Result<Response, Problem> {
    let secure = if sign_in.provider.config().is_https() { "; Secure" } else { "" };
    let life = life.as_secs();
    let cookie = format!(
        "{COOKIE_NAME}={value}; Path={base}{CALLBACK}; HttpOnly; SameSite=Lax; Max-Age={life}{secure}"
    );
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Problem::no_such_page())?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
