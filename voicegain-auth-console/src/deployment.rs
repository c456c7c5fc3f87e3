//! What a deployment says of itself to whoever reaches its admin port: `GET /deployment`, for consoles of other deployments.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use voicegain_auth_core::{Issuer, Verifier};

use crate::answer::json;
use crate::probes::{seconds, why_not_ready};

/// How a deployment is called and set up, beside what its issuer and its verifier know. All of it is told to whoever asks, so
/// nothing secret belongs here.
#[derive(Debug, Clone)]
pub struct Deployment {
    name: Option<String>,
    version: String,
    store: Option<String>,
    console_url: Option<String>,
}

impl Deployment {
    /// One whose program has this version.
    pub fn new(version: impl Into<String>) -> Self {
        Self { name: None, version: version.into(), store: None, console_url: None }
    }

    /// What it is called, the same in all of its processes; by default as the host of its API.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The kind of its store, as in `sqlite`; never the store's URL, which may hold a password.
    #[must_use]
    pub fn store(mut self, kind: impl Into<String>) -> Self {
        self.store = Some(kind.into());
        self
    }

    /// Where browsers find its console, as in `https://console.example/console`.
    #[must_use]
    pub fn console_url(mut self, url: impl Into<String>) -> Self {
        self.console_url = Some(url.into());
        self
    }

    /// What it says now.
    pub(crate) fn document(&self, issuer: &Issuer, verifier: Option<&Verifier>) -> Document {
        let status = issuer.cache().status();
        let detail = why_not_ready(&status);
        let base_path = verifier.map(|verifier| match verifier.policy().base_path().as_str() {
            "" => "/".to_owned(),
            path => path.to_owned(),
        });
        Document {
            name: self.name.clone().unwrap_or_else(|| host(issuer.api_url()).to_owned()),
            version: self.version.clone(),
            status: if detail.is_none() { Readiness::Ready } else { Readiness::NotReady },
            not_ready_since: status.not_ready_since.filter(|_| detail.is_some()).map(|since| since.as_secs()),
            detail,
            configuration: Configuration {
                base_path,
                api_url: issuer.api_url().to_owned(),
                max_revocation_delay_seconds: seconds(status.max_revocation_delay),
                store: self.store.clone(),
            },
            console_url: self.console_url.clone(),
        }
    }
}

/// The host of an API URL, with its port.
fn host(api_url: &str) -> &str {
    let (_, rest) = api_url.split_once("://").unwrap_or(("", api_url));
    rest.split('/').next().unwrap_or_default()
}

/// As it is sent, and as it is read of others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) status: Readiness,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_ready_since: Option<u64>,
    pub(crate) configuration: Configuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) console_url: Option<String>,
}

/// What `/readyz` tells by its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    Ready,
    NotReady,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Configuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_path: Option<String>,
    pub(crate) api_url: String,
    pub(crate) max_revocation_delay_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
}

/// `GET /deployment`. It is 200 in any case: whoever wants to know by the status asks `/readyz`.
pub(crate) async fn deployment(
    State(deployment): State<Arc<Deployment>>,
    State(issuer): State<Issuer>,
    State(verifier): State<Option<Verifier>>,
) -> Response {
    json(StatusCode::OK, &deployment.document(&issuer, verifier.as_ref()))
}
