//! The way to the collector.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

/// How long a batch may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an answer is read.
const MAX_ANSWER: usize = 1 << 20;

/// How often the log is told that spans do not arrive.
const PAUSE: Duration = Duration::from_secs(60);

/// Sends batches on a runtime: the SDK asks for it on a thread of its own.
#[derive(Debug)]
pub(super) struct CollectorClient {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
    told: Mutex<Option<Instant>>,
}

impl CollectorClient {
    /// Has to be called on a runtime.
    pub(super) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, runtime: Handle::current(), told: Mutex::new(None) }
    }

    fn tell(&self, error: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= PAUSE) {
            *told = Some(Instant::now());
            tracing::warn!(error, "the collector takes no spans; requests are answered without");
        }
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.client.request(request.map(Full::new));
        let exchange = async {
            let (head, body) = sent.await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The timer has to be made on the runtime, too.
        let exchange = self.runtime.spawn(async { tokio::time::timeout(TIMEOUT, exchange).await });
        let answer = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("it did not answer in time".into()),
            Err(error) => Err(error.into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.tell(&format!("status {}", answer.status())),
            Err(error) => self.tell(&chain(error.as_ref())),
        }
        answer
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    crate::store::chain(error)
}
