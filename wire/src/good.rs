//! The client that must not notice: its requests go on while an attack runs, and every one of them must succeed.

mod service;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::judge::GOOD;
use crate::subject::{Subject, Tokens};
pub use service::Service;

/// How long a good request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests of a lane.
const PACE: Duration = Duration::from_millis(5);

/// The client. It ends when dropped.
#[derive(Debug)]
pub struct Good {
    shared: Arc<Shared>,
    _lanes: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    samples: Mutex<Service>,
    /// How many requests each lane has begun and ended.
    rounds: [AtomicU64; LANES.len()],
}

struct Lane {
    name: &'static str,
    http2: bool,
    keeps_connection: bool,
    long_lived: bool,
    body: usize,
}

const LANES: [Lane; 4] = [
    Lane { name: "h1", http2: false, keeps_connection: true, long_lived: true, body: 0 },
    Lane { name: "h1-new", http2: false, keeps_connection: false, long_lived: false, body: 3000 },
    Lane { name: "h2", http2: true, keeps_connection: true, long_lived: false, body: 3000 },
    Lane { name: "h2-new", http2: true, keeps_connection: false, long_lived: true, body: 0 },
];

impl Good {
    /// Begins.
    #[must_use]
    pub fn start(subject: &Subject, http2: bool) -> Self {
        let shared = Arc::new(Shared::default());
        let mut lanes = JoinSet::new();
        for (number, lane) in LANES.iter().enumerate() {
            if lane.http2 && !http2 {
                shared.rounds[number].store(u64::MAX / 2, Ordering::Relaxed);
                continue;
            }
            lanes.spawn(lane.go_on(number, subject.addr, subject.tokens.clone(), shared.clone()));
        }
        Self { shared, _lanes: lanes }
    }

    /// Waits until each lane has done a whole request that began after this.
    pub async fn settle(&self) {
        let rounds = || self.shared.rounds.iter().map(|round| round.load(Ordering::Relaxed));
        let before: Vec<u64> = rounds().collect();
        let limit = Instant::now() + PATIENCE * 2;
        // The one under way may have begun before; the next one has not.
        while rounds().zip(&before).any(|(now, before)| now < before + 2 && now < u64::MAX / 2) {
            if Instant::now() > limit {
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// What came of the requests since the last time.
    pub fn take(&self) -> Service {
        let mut samples = self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let mut service = std::mem::take(&mut *samples);
        service.took.sort();
        service
    }
}

impl Lane {
    async fn go_on(&'static self, number: usize, addr: SocketAddr, tokens: Tokens, shared: Arc<Shared>) {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = |connector| {
            Client::builder(TokioExecutor::new()).http2_only(self.http2).build::<_, Full<Bytes>>(connector)
        };
        let mut kept = client(connector.clone());
        let token = if self.long_lived { tokens.good_long } else { tokens.good_short };
        for count in 0_u64.. {
            if !self.keeps_connection {
                kept = client(connector.clone());
            }
            let path = format!("/v1{GOOD}{}/{count}", self.name);
            let begun = Instant::now();
            let outcome = timeout(PATIENCE, self.request(&kept, addr, &path, &token)).await;
            let took = begun.elapsed();
            {
                let mut samples = shared.samples.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
                    Ok(()) => samples.took.push(took),
                    Err(problem) => samples.failures.push(format!("{path}: {problem}")),
                }
            }
            shared.rounds[number].fetch_add(1, Ordering::Relaxed);
            sleep(PACE).await;
        }
    }

    /// One request, whose answer must be its own.
    async fn request(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        addr: SocketAddr,
        path: &str,
        token: &str,
    ) -> Result<(), String> {
        let method = if self.body > 0 { Method::POST } else { Method::GET };
        let expected = format!("{method} {path} {}", self.body);
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{addr}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::from(vec![b'g'; self.body])))
            .map_err(|error| error.to_string())?;
        let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if status == 200 && body == expected.as_bytes() {
            return Ok(());
        }
        Err(format!("{status} {}", body[..body.len().min(200)].escape_ascii()))
    }
}
