use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::ACCEPT;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use voicegain_auth_console::Edge;

use super::{DeploymentsError, name_of, web_url};
use crate::cli::Args;
use crate::store::chain;

/// How long an Edge may take, from the first step of a connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The configured Edges, and what asks them. No other URL is ever asked, whatever one of them answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edges {
    edges: Arc<[Configured]>,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

struct Configured {
    name: String,
    url: String,
    /// Where its status document is.
    document: Uri,
}

impl fmt::Debug for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges").field("count", &self.edges.len()).finish_non_exhaustive()
    }
}

impl Edges {
    /// Those of the flags; `None` if there are none.
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, DeploymentsError> {
        let mut edges: Vec<Configured> = Vec::new();
        for text in &args.edge {
            let edge = Configured::of(text)?;
            if edges.iter().any(|other| other.name == edge.name) {
                return Err(DeploymentsError::EdgeTwice(edge.name));
            }
            edges.push(edge);
        }
        if edges.is_empty() {
            return Ok(None);
        }
        let mut authorities = RootCertStore::empty();
        if let Some(by_https) = edges.iter().find(|edge| edge.document.scheme_str() == Some("https")) {
            // What of them cannot be read is left out: a system has more of them than an Edge needs.
            authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if authorities.is_empty() {
                return Err(DeploymentsError::NoAuthorities(by_https.name.clone()));
            }
        }
        Ok(Some(Self::trusting(authorities, edges)?))
    }

    fn trusting(authorities: RootCertStore, edges: Vec<Configured>) -> Result<Self, DeploymentsError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            // What is asked once in a while needs no connection in between.
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { edges: edges.into(), client })
    }

    /// Asks all of them at once. Each comes back, in the order of the flags.
    pub(crate) async fn ask(&self) -> Vec<Edge> {
        join_all(self.edges.iter().map(async |edge| {
            let Configured { name, url, document } = edge;
            let late = "It does not answer within 2 s; check that it runs, that its admin port can be reached from here, and \
                        how busy it is.";
            match tokio::time::timeout(PATIENCE, self.document(document)).await {
                Ok(Ok((status, body))) => Edge::answered(name, url, status, &body),
                Ok(Err(why)) => Edge::silent(name, url, why),
                Err(_late) => Edge::silent(name, url, late),
            }
        }))
        .await
    }

    /// Asks one, as nobody in particular. A redirect is an answer like any other.
    async fn document(&self, document: &Uri) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = document.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                format!(
                    "No connection to it comes to be; check that it runs, that its admin port can be reached from here, and \
                     whether the URL begins with http:// or https:// as it should: {}.",
                    chain(&error)
                )
            } else {
                format!("It does not speak HTTP as it should; check whether the URL begins with http:// or https:// as it should: {}.", chain(&error))
            }
        })?;
        let status = answer.status();
        match Limited::new(answer.into_body(), Edge::MAX_BYTES).collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => Err(broken_off(&*error)),
        }
    }
}

fn broken_off(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if error.is::<LengthLimitError>() {
        return "It answers with more than a status document can be; check that the URL is that of its admin port."
            .to_owned();
    }
    format!("Its answer breaks off; look at its log: {}.", chain(error))
}

impl Configured {
    fn of(text: &str) -> Result<Self, DeploymentsError> {
        let (name, url) = text.split_once('=').ok_or(DeploymentsError::EdgeName)?;
        // Without a name, a URL with a query would begin with one.
        let name = name_of(name).filter(|name| !name.contains(['/', '@']));
        let name = name.ok_or(DeploymentsError::EdgeName)?.to_owned();
        let url = url.trim();
        let document = web_url(url)
            .and_then(|_| format!("{}/deployment", url.trim_end_matches('/')).parse().ok())
            .ok_or_else(|| DeploymentsError::EdgeUrl(name.clone()))?;
        Ok(Self { name, url: url.to_owned(), document })
    }
}

#[cfg(test)]
mod tests;
