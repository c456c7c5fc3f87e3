//! A small client.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// An answer, or why there is none.
pub type Reply = Result<(u16, Value), String>;

/// A client with connections of its own.
#[derive(Debug, Clone)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self(Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector))
    }
}

impl Http {
    /// One request. What is no JSON is answered as a text.
    ///
    /// # Errors
    /// If no whole answer came in time.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        token: &str,
        origin: Option<&str>,
        body: Option<Value>,
        limit: Duration,
    ) -> Reply {
        let mut request =
            Request::builder().method(method).uri(url).header("authorization", format!("Bearer {token}"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
        };
        timeout(limit, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

/// The reason of a refusal.
#[must_use]
pub fn reason(body: &Value) -> &str {
    body.pointer("/error/reason").and_then(Value::as_str).unwrap_or_default()
}

/// What a refusal says.
#[must_use]
pub fn detail(body: &Value) -> &str {
    body.pointer("/error/detail").and_then(Value::as_str).unwrap_or_default()
}
