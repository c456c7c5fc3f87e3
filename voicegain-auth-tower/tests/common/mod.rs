//! A store, a cache over it and tokens, for all tests.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use voicegain_auth_core::store::{
    Ended, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope, Snapshot, StoredPage,
};
use voicegain_auth_core::{
    Caller, ChangeFeed, CreateRequest, Identity, Issued, Issuer, MemoryStore, NewWebConfig, Policy,
    RestoredWebConfig, Secret, SecretCache, SecretStore, StoreError, StoredWebConfig, Verifier, WebConfig,
    WebConfigId, WebConfigPatch,
};
use voicegain_auth_tower::AuthLayer;

pub const API_URL: &str = "https://api.voicegain.ai/v1";

/// A store whose look-ups a test can hold up, or make fail.
#[derive(Clone)]
pub struct TestStore {
    inner: MemoryStore,
    pub loads: Arc<Semaphore>,
    pub broken: Arc<AtomicBool>,
}

impl SecretStore for TestStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        let _permit = self.loads.acquire().await.unwrap();
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        self.inner.load(id).await
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        self.inner.load_page(after, limit).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        self.inner.list(query).await
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        self.inner.create(new).await
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        self.inner.regenerate(id, secret).await
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        self.inner.update(id, patch).await
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        self.inner.delete(id).await
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        self.inner.end(scope).await
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.inner.restore(restored).await
    }
}

impl ChangeFeed for TestStore {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        self.inner.living(after, limit).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.inner.read_log(after, limit).await
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.inner.prove(after, limit).await
    }

    async fn changed(&self, seen: Revision) {
        self.inner.changed(seen).await;
    }
}

pub struct World {
    pub store: TestStore,
    pub cache: SecretCache,
    pub issuer: Issuer,
}

impl World {
    pub async fn new() -> Self {
        let store = TestStore {
            inner: MemoryStore::new().unwrap(),
            loads: Arc::new(Semaphore::new(1_000)),
            broken: Arc::default(),
        };
        let cache = SecretCache::builder(store.clone()).wait_limit(Duration::from_secs(20)).build().unwrap();
        let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
        assert!(cache.ready().await);
        Self { store, cache, issuer }
    }

    /// Holds up all look-ups until permits are added again.
    pub async fn park_loads(&self) {
        self.store.loads.acquire_many(1_000).await.unwrap().forget();
    }

    pub fn release_loads(&self) {
        self.store.loads.add_permits(1_000);
    }

    pub fn verifier(&self, policy: Policy) -> Verifier {
        Verifier::new(self.cache.clone(), policy)
    }

    /// A layer with the default policy.
    pub fn layer(&self) -> AuthLayer {
        AuthLayer::new(self.verifier(Policy::default()))
    }

    pub async fn create(&self) -> Issued {
        let request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
        self.issuer.create(request).await.unwrap()
    }

    pub async fn long_lived(&self) -> String {
        self.create().await.jwt
    }

    /// Mints a short-lived token with a long-lived one.
    pub async fn short_lived(&self, long_lived: &str, query: &str) -> String {
        self.issuer.mint(&self.identity(long_lived).await, Some(query)).unwrap()
    }

    /// A token for `https://app.test` that is good for `/data-prep` alone.
    pub async fn data_prep(&self) -> String {
        self.short_lived(&self.long_lived().await, "aud=https://app.test&api=/data-prep").await
    }

    pub async fn identity(&self, token: &str) -> Identity {
        let response = self.layer().layer(service_fn(tell)).oneshot(bearer("/v1/x", token)).await.unwrap();
        match response.extensions().get::<Caller>() {
            Some(Caller::Identified(identity)) => identity.clone(),
            other => panic!("{:?}, {other:?}", response.status()),
        }
    }
}

/// A service that answers 200 with who calls in the response's extensions.
pub async fn tell<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    response.extensions_mut().extend(request.extensions().clone());
    Ok(response)
}

pub fn get(uri: &str) -> Request<String> {
    Request::get(uri).body(String::new()).unwrap()
}

pub fn bearer(uri: &str, token: &str) -> Request<String> {
    Request::get(uri).header("authorization", format!("Bearer {token}")).body(String::new()).unwrap()
}

pub async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub fn header<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The `reason` of a refusal's JSON body.
pub async fn reason<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let body = text(response).await;
    let rest = body.split_once(r#"{"error":{"reason":""#).unwrap_or_else(|| panic!("{body:?}")).1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// Keeps what is logged.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// All that this thread logs until the guard is dropped.
    pub fn begin() -> (Self, DefaultGuard) {
        // `tracing` asks once whether anybody wants an event, and while there is but one subscriber it asks that of
        // the thread that comes first: one without any would switch it off for this one too. So all threads have one.
        _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}
