//! What is asked of a process from outside, without a token. What the store said stays in the log.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use voicegain_auth_core::{CacheStatus, Decisions, Issuer, Reason, Refused, Verifier};

use crate::answer::{Status, json};
use crate::refusal::Refusal;
use crate::router::Metrics;
use crate::utc::rfc3339;

/// `GET /healthz`
pub(crate) async fn health() -> Response {
    json(StatusCode::OK, &Status { status: "ok", proof_age_seconds: None })
}

/// `GET /readyz`
pub(crate) async fn readiness(State(issuer): State<Issuer>) -> Result<Response, Refusal> {
    let status = issuer.cache().status();
    match why_not_ready(&status) {
        None => {
            let proof_age_seconds = status.proof_age.map(seconds);
            Ok(json(StatusCode::OK, &Status { status: "ready", proof_age_seconds }))
        }
        Some(detail) => Err(Refusal::not_ready(detail, status.not_ready_since)),
    }
}

/// `GET /metrics`, in the text format of Prometheus.
pub(crate) async fn metrics(
    State(issuer): State<Issuer>,
    State(verifier): State<Option<Verifier>>,
    State(more): State<Option<Metrics>>,
) -> Response {
    let decisions = verifier.map(|verifier| verifier.decisions());
    let mut text = exposition(&issuer.cache().status(), decisions.as_ref());
    if let Some(more) = more {
        text.push_str(&more());
    }
    let mut response = Response::new(Body::from(text));
    let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

/// Why requests cannot be decided, or not yet as quickly as they will be.
pub(crate) fn why_not_ready(status: &CacheStatus) -> Option<String> {
    if status.ready {
        let loading =
            "The web configs are still being loaded ahead; requests are decided already, but more slowly.";
        return status.preloading.then(|| loading.to_owned());
    }
    let bound = status.max_revocation_delay;
    let why = match status.proof_age {
        None => "There is no proof of freshness: the store's change log could not be read yet".to_owned(),
        Some(age) if age <= bound => {
            "A clock has jumped, so that the last proof of freshness counts no more".to_owned()
        }
        Some(age) => format!(
            "The last proof of freshness is {} s old and {} s are allowed",
            age.as_secs(),
            bound.as_secs()
        ),
    };
    let since = status.not_ready_since.map(|since| format!(" since {}", rfc3339(since)));
    Some(format!("{why}, so no request can be decided{}; see the log.", since.unwrap_or_default()))
}

/// To the millisecond: more digits would say nothing.
pub(crate) fn seconds(time: Duration) -> f64 {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

fn exposition(status: &CacheStatus, decisions: Option<&Decisions>) -> String {
    let ready = u8::from(why_not_ready(status).is_none());
    // An alert on a proof that is too old should go off without one, too.
    let age = status.proof_age.map_or_else(|| "+Inf".to_owned(), |age| seconds(age).to_string());
    let mut text = String::new();
    for (name, help, value) in [
        ("ready", "Whether /readyz answers 200.", ready.to_string()),
        (
            "proof_age_seconds",
            "How old the last proof of freshness is; requests are refused once it is older than \
             voicegain_auth_max_revocation_delay_seconds.",
            age,
        ),
        (
            "max_revocation_delay_seconds",
            "How long a revoked token may still be accepted, whatever fails.",
            seconds(status.max_revocation_delay).to_string(),
        ),
        ("living_web_configs", "How many web configs are known to live.", status.living.to_string()),
        ("cached_web_configs", "How many of them are cached, about.", status.cached.to_string()),
        (
            "log_revision",
            "The last revision of the store's log that is known here.",
            status.revision.get().to_string(),
        ),
    ] {
        family(&mut text, name, "gauge", help, &[(String::new(), value)]);
    }
    let work = &status.work;
    let by_result = |counts: &[(&str, u64)]| -> Vec<(String, String)> {
        counts.iter().map(|(result, count)| (format!("{{result=\"{result}\"}}"), count.to_string())).collect()
    };
    let lookups = by_result(&[("found", work.found), ("absent", work.absent), ("failed", work.failed)]);
    let help = "Look-ups of web configs in the store.";
    family(&mut text, "lookups_total", "counter", help, &lookups);
    let proofs = by_result(&[("proved", work.proved), ("failed", work.unproved)]);
    let help = "Attempts to prove that what is cached is current.";
    family(&mut text, "proofs_total", "counter", help, &proofs);
    if let Some(decisions) = decisions {
        let plain = |count: u64| [(String::new(), count.to_string())];
        let help = "Requests whose token was accepted, or that were let in without one; what comes behind may still refuse.";
        family(&mut text, "accepted_total", "counter", help, &plain(decisions.accepted));
        let help = "Decisions that had to wait for the store.";
        family(&mut text, "waited_total", "counter", help, &plain(decisions.waited));
        let help = "Requests that were refused, by what the client was told.";
        family(&mut text, "refused_total", "counter", help, &by_reason(decisions));
        let help = "Requests that were refused, by what only the operator may know.";
        if !decisions.refused.is_empty() {
            family(&mut text, "refused_by_cause_total", "counter", help, &by_cause(decisions));
        }
    }
    text
}

/// Every reason, also those that have not come yet: an alert on an increase would miss the first.
fn by_reason(decisions: &Decisions) -> Vec<(String, String)> {
    let sample = |reason: Reason| {
        let of_it = decisions.refused.iter().filter(|refused| refused.reason == reason);
        let count = of_it.fold(0_u64, |sum, refused| sum.saturating_add(refused.count));
        (format!("{{reason=\"{reason}\"}}"), count.to_string())
    };
    Reason::ALL.into_iter().map(sample).collect()
}

/// Which of the things that look the same to a client it was (rule V5), as they come.
fn by_cause(decisions: &Decisions) -> Vec<(String, String)> {
    let sample = |refused: &Refused| {
        let (reason, cause) = (refused.reason, refused.cause);
        (format!("{{reason=\"{reason}\",cause=\"{cause}\"}}"), refused.count.to_string())
    };
    decisions.refused.iter().map(sample).collect()
}

/// A metric with its values, each behind its labels. No label's value holds what would have to be escaped.
fn family(text: &mut String, name: &str, kind: &str, help: &str, values: &[(String, String)]) {
    // Nothing can go wrong when a string is written to.
    let _ = writeln!(text, "# HELP voicegain_auth_{name} {help}");
    let _ = writeln!(text, "# TYPE voicegain_auth_{name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(text, "voicegain_auth_{name}{labels} {value}");
    }
}
