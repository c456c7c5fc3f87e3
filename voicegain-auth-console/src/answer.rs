//! What the admin API answers with.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use voicegain_auth_core::{Day, WebConfig};

use crate::refusal::Refusal;

/// A web config as it is shown: all of it but the secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record<'a> {
    id: String,
    account_id: &'a str,
    context_id: &'a str,
    name: &'a str,
    allowed_origins: &'a [String],
    generation: u64,
    created_at: u64,
    secret_created_at: u64,
}

impl<'a> From<&'a WebConfig> for Record<'a> {
    fn from(config: &'a WebConfig) -> Self {
        Self {
            id: config.id.to_string(),
            account_id: config.account_id.as_str(),
            context_id: config.context_id.as_str(),
            name: &config.name,
            allowed_origins: &config.allowed_origins,
            generation: config.generation.get(),
            created_at: config.created_at,
            secret_created_at: config.secret_created_at,
        }
    }
}

/// A web config as it is read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Read<'a> {
    #[serde(flatten)]
    record: Record<'a>,
    last_used: Option<String>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(config: &'a WebConfig, last_used: Option<&Day>) -> Self {
        Self { record: config.into(), last_used: last_used.map(Day::to_string) }
    }
}

#[derive(Serialize)]
pub(crate) struct Created<'a> {
    #[serde(flatten)]
    pub(crate) record: Record<'a>,
    pub(crate) jwt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

#[derive(Serialize)]
pub(crate) struct Regenerated<'a> {
    #[serde(flatten)]
    pub(crate) record: Record<'a>,
    pub(crate) jwt: &'a str,
    pub(crate) others: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<'a> {
    pub(crate) web_configs: Vec<Read<'a>>,
    pub(crate) next: Option<String>,
}

/// How many web configs a bulk end has ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(crate) ended: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof_age_seconds: Option<f64>,
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_string(value) else {
        // None of the types above has a value that JSON cannot hold.
        return Refusal::unavailable("The answer could not be written; try again shortly.").into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
