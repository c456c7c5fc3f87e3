//! How the provider is spoken to: by HTTPS, without following redirects, and for no longer and no more than what is usual.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// How long an exchange may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How large an answer may be, in bytes: key sets are the largest, of some ten thousand.
const MAX_ANSWER: usize = 256 * 1024;

/// Why there is no answer. None of it shows what was sent or answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("the provider names an address that is neither https nor http on loopback")]
    NotSafe,
    #[error("the provider did not answer within {} seconds", TIMEOUT.as_secs())]
    Slow,
    #[error("the provider's answer is larger than {} KiB", MAX_ANSWER >> 10)]
    TooLarge,
    #[error("the provider cannot be reached: {0}")]
    Connection(String),
    #[error("the provider's answer broke off")]
    BrokenOff,
}

/// Speaks to the provider.
#[derive(Debug, Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Body>);

impl Http {
    /// One that trusts the certificate authorities that the system trusts.
    pub(super) fn new() -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        // Sign-ins are rare: a connection that is kept would have been closed by then.
        Ok(Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri();
        if !is_safe(uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default()) {
            return Err(HttpError::NotSafe);
        }
        let answer = self.0.request(request.map(Body::from)).await;
        let (head, body) = answer.map_err(|error| HttpError::Connection(causes(&error)))?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { HttpError::TooLarge } else { HttpError::BrokenOff }
        })?;
        Ok(HttpResponse::from_parts(head, body.to_bytes().into()))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let exchange = async move { tokio::time::timeout(TIMEOUT, self.exchange(request)).await };
        Box::pin(async move { exchange.await.map_err(|_| HttpError::Slow)? })
    }
}

/// What kept a connection from being made: names, addresses and certificates.
fn causes(error: &hyper_util::client::legacy::Error) -> String {
    let mut cause = error.source();
    let mut causes = Vec::new();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}

/// Whether nobody on the way can read or change what is sent there.
pub(super) fn is_safe(scheme: &str, host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_loopback =
        host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    !host.is_empty() && (scheme == "https" || (scheme == "http" && is_loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_loopback() {
        for (scheme, host, safe) in [
            ("https", "id.example", true),
            ("http", "localhost", true),
            ("http", "127.0.0.2", true),
            ("http", "[::1]", true),
            ("http", "id.example", false),
            ("http", "localhost.evil.test", false),
            ("http", "192.0.2.1", false),
            ("http", "[2001:db8::1]", false),
            ("https", "", false),
            ("file", "localhost", false),
            ("javascript", "id.example", false),
        ] {
            assert_eq!(is_safe(scheme, host), safe, "{scheme}://{host}");
        }
    }
}
