//! A store that can be parked and broken, and a clock that is set by hand.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::subscriber::{DefaultGuard, set_default};

use crate::clock::{Clock, Reading, SystemClock};
use crate::day::Day;
use crate::ids::WebConfigId;
use crate::secret::Secret;
use crate::store::{
    ChangeFeed, Ended, ListQuery, LivingPage, LogPosition, LogRead, MemoryStore, Regenerated, Revision,
    Scope, SecretStore, Snapshot, StoreError, StoredPage,
};
use crate::web_config::{NewWebConfig, RestoredWebConfig, StoredWebConfig, WebConfig, WebConfigPatch};
use crate::{CreateRequest, Issued, Issuer, Policy, SecretCache, Verifier};

/// The real clocks plus what tests add to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Arc<Mutex<(Duration, Duration)>>);

impl TestClock {
    /// Time passes on both clocks.
    pub(crate) fn advance(&self, by: Duration) {
        let mut added = self.0.lock().unwrap();
        added.0 += by;
        added.1 += by;
    }

    /// The wall clock alone is set forward.
    pub(crate) fn jump_wall(&self, by: Duration) {
        self.0.lock().unwrap().1 += by;
    }
}

impl Clock for TestClock {
    fn read(&self) -> Reading {
        let real = SystemClock.read();
        let (boot, wall) = *self.0.lock().unwrap();
        Reading { boot: real.boot + boot, wall: real.wall + wall }
    }
}

/// Clocks that stand still with the runtime's, in a test that has paused it.
#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for PausedClock {
    fn read(&self) -> Reading {
        let now = Duration::from_secs(1_000_000) + self.0.elapsed();
        Reading { boot: now, wall: now }
    }
}

/// What a test does to a store.
#[derive(Debug)]
pub(crate) struct Controls {
    /// Look-ups that have read their snapshot wait for a permit before they return.
    park_loads: AtomicBool,
    pub(crate) release: Semaphore,
    /// Look-ups that were parked fail.
    pub(crate) fail_parked: AtomicBool,
    /// Look-ups fail.
    pub(crate) fail_loads: AtomicBool,
    /// The log cannot be read.
    pub(crate) fail_feed: AtomicBool,
    /// Reading the log panics, once.
    pub(crate) panic_feed: AtomicBool,
    /// No hint of a change gets through.
    pub(crate) deaf: AtomicBool,
    pub(crate) loads: AtomicUsize,
    pub(crate) parked: AtomicUsize,
    pub(crate) log_reads: AtomicUsize,
    /// The log can be read, but nothing can be proved: an isolated primary.
    pub(crate) no_proofs: AtomicBool,
    pub(crate) proofs: AtomicUsize,
    /// There always is a hint.
    pub(crate) cries_wolf: AtomicBool,
    /// How long reading the log takes.
    pub(crate) slow_reads: Mutex<Duration>,
    /// How long a page of the listing takes.
    pub(crate) slow_pages: Mutex<Duration>,
    /// A page of the listing that is not the first leads back to where it began.
    pub(crate) page_leads_to_itself: AtomicBool,
    /// How many web configs a page of the listing or of loading ahead holds at most.
    pub(crate) page: AtomicUsize,
    pub(crate) pages: AtomicUsize,
    /// Loading ahead panics.
    pub(crate) panic_preload: AtomicBool,
    /// The quick road does not know the last entry.
    pub(crate) quick_road_lags: AtomicBool,
    /// The quick road leads to a server that is away.
    pub(crate) quick_road_fails: AtomicBool,
    /// How often it could not be.
    pub(crate) fails: AtomicUsize,
    /// How far apart proofs must be; zero at first.
    pub(crate) proof_interval: Mutex<Duration>,
    /// What loading many at once leaves out, as if its secret could not be opened.
    pub(crate) left_out: Mutex<Vec<WebConfigId>>,
    /// What is regenerated once as soon as a page was loaded.
    pub(crate) regenerated_by_load_page: Mutex<Option<WebConfigId>>,
    /// What becomes of noting uses.
    pub(crate) uses: Mutex<Noting>,
    /// How many were noted at once, each time that it was asked for.
    pub(crate) noted: Mutex<Vec<usize>>,
}

/// What becomes of noting uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noting {
    Works,
    Fails,
    Hangs,
    Panics,
}

impl Controls {
    pub(crate) fn park_loads(&self, park: bool) {
        self.park_loads.store(park, Ordering::SeqCst);
        if !park {
            self.release.add_permits(1_000);
        }
    }
}

pub(crate) struct TestStore {
    /// Which store the process is connected to.
    road: Arc<Mutex<MemoryStore>>,
    pub(crate) controls: Arc<Controls>,
}

impl TestStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        let controls = Controls {
            park_loads: AtomicBool::new(false),
            release: Semaphore::new(0),
            fail_parked: AtomicBool::new(false),
            fail_loads: AtomicBool::new(false),
            fail_feed: AtomicBool::new(false),
            panic_feed: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            log_reads: AtomicUsize::new(0),
            no_proofs: AtomicBool::new(false),
            proofs: AtomicUsize::new(0),
            cries_wolf: AtomicBool::new(false),
            slow_reads: Mutex::new(Duration::ZERO),
            slow_pages: Mutex::new(Duration::ZERO),
            page_leads_to_itself: AtomicBool::new(false),
            page: AtomicUsize::new(usize::MAX),
            pages: AtomicUsize::new(0),
            panic_preload: AtomicBool::new(false),
            quick_road_lags: AtomicBool::new(false),
            quick_road_fails: AtomicBool::new(false),
            fails: AtomicUsize::new(0),
            proof_interval: Mutex::new(Duration::ZERO),
            left_out: Mutex::default(),
            regenerated_by_load_page: Mutex::default(),
            uses: Mutex::new(Noting::Works),
            noted: Mutex::default(),
        };
        Self { road: Arc::new(Mutex::new(inner)), controls: Arc::new(controls) }
    }

    fn inner(&self) -> MemoryStore {
        self.road.lock().unwrap().clone()
    }

    async fn log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.controls.log_reads.fetch_add(1, Ordering::SeqCst);
        let slow = *self.controls.slow_reads.lock().unwrap();
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        assert!(!self.controls.panic_feed.swap(false, Ordering::SeqCst), "as the test wants it");
        if self.controls.fail_feed.load(Ordering::SeqCst) {
            self.controls.fails.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::unavailable("broken by the test"));
        }
        self.inner().read_log(after, limit).await
    }
}

impl SecretStore for TestStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        self.controls.loads.fetch_add(1, Ordering::SeqCst);
        if self.controls.fail_loads.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        let snapshot = self.inner().load(id).await;
        if self.controls.park_loads.load(Ordering::SeqCst) {
            self.controls.parked.fetch_add(1, Ordering::SeqCst);
            self.controls.release.acquire().await.unwrap().forget();
            if self.controls.fail_parked.load(Ordering::SeqCst) {
                return Err(StoreError::unavailable("broken by the test"));
            }
        }
        snapshot
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        self.controls.loads.fetch_add(1, Ordering::SeqCst);
        assert!(!self.controls.panic_preload.load(Ordering::SeqCst), "as the test wants it");
        if self.controls.fail_loads.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        let limit = limit.min(self.controls.page.load(Ordering::SeqCst));
        let mut snapshot = self.inner().load_page(after, limit).await?;
        let left_out = self.controls.left_out.lock().unwrap().clone();
        snapshot.value.stored.retain(|stored| !left_out.contains(&stored.config.id));
        let regenerated = self.controls.regenerated_by_load_page.lock().unwrap().take();
        if let Some(id) = regenerated {
            self.inner().regenerate(id, Secret::generate().unwrap()).await?;
        }
        Ok(snapshot)
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        self.inner().list(query).await
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        self.inner().create(new).await
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        self.inner().regenerate(id, secret).await
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        self.inner().update(id, patch).await
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        self.inner().delete(id).await
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        self.inner().end(scope).await
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.inner().restore(restored).await
    }

    async fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
        self.controls.noted.lock().unwrap().push(uses.len());
        let noting = *self.controls.uses.lock().unwrap();
        match noting {
            Noting::Works => self.inner().note_uses(uses).await,
            Noting::Fails => Err(StoreError::unavailable("broken by the test")),
            Noting::Hangs => std::future::pending().await,
            Noting::Panics => panic!("as the test wants it"),
        }
    }

    async fn last_uses(&self, ids: Vec<WebConfigId>) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
        self.inner().last_uses(ids).await
    }
}

impl ChangeFeed for TestStore {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        if self.controls.fail_feed.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        let slow = *self.controls.slow_pages.lock().unwrap();
        tokio::time::sleep(slow).await;
        self.controls.pages.fetch_add(1, Ordering::SeqCst);
        let mut page =
            self.inner().living(after, limit.min(self.controls.page.load(Ordering::SeqCst))).await?;
        if after.is_some() && self.controls.page_leads_to_itself.load(Ordering::SeqCst) {
            page.next = after;
        }
        Ok(page)
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        if self.controls.quick_road_lags.load(Ordering::SeqCst) {
            return Ok(LogRead::Gone);
        }
        if self.controls.quick_road_fails.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        self.log(after, limit).await
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        if self.controls.no_proofs.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("broken by the test"));
        }
        self.controls.proofs.fetch_add(1, Ordering::SeqCst);
        self.log(after, limit).await
    }

    fn proof_interval(&self) -> Duration {
        *self.controls.proof_interval.lock().unwrap()
    }

    async fn changed(&self, seen: Revision) {
        if self.controls.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.controls.cries_wolf.load(Ordering::SeqCst) {
            return;
        }
        self.inner().changed(seen).await;
    }
}

/// A store, a cache over it, and everything a test needs.
pub(crate) struct World {
    /// The store without its faults: changes made here are those of another process.
    pub(crate) store: MemoryStore,
    pub(crate) controls: Arc<Controls>,
    /// What the cache is connected to: another store in its place is a failover.
    pub(crate) road: Arc<Mutex<MemoryStore>>,
    pub(crate) clock: TestClock,
    pub(crate) cache: SecretCache,
    pub(crate) issuer: Issuer,
}

pub(crate) const API_URL: &str = "https://api.voicegain.ai/v1";

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_log_capacity(MemoryStore::LOG_CAPACITY).await
    }

    pub(crate) async fn with_log_capacity(capacity: usize) -> Self {
        let store = MemoryStore::with_log_capacity(capacity).unwrap();
        let faulty = TestStore::new(store.clone());
        let controls = Arc::clone(&faulty.controls);
        let road = Arc::clone(&faulty.road);
        let clock = TestClock::default();
        let cache = SecretCache::builder(faulty)
            .clock(clock.clone())
            .wait_limit(Duration::from_secs(20))
            .build()
            .unwrap();
        let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
        assert!(cache.ready().await);
        Self { store, controls, road, clock, cache, issuer }
    }

    pub(crate) fn verifier(&self, policy: Policy) -> Verifier {
        Verifier::new(self.cache.clone(), policy)
    }

    pub(crate) async fn create(&self) -> Issued {
        self.create_for(&[]).await
    }

    pub(crate) async fn create_for(&self, allowed_origins: &[&str]) -> Issued {
        let mut request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
        request.allowed_origins = allowed_origins.iter().map(|origin| (*origin).to_owned()).collect();
        self.issuer.create(request).await.unwrap()
    }

    pub(crate) async fn create_in(&self, account: &str, context: &str) -> Issued {
        let request = CreateRequest::new(account.parse().unwrap(), context.parse().unwrap(), "test");
        self.issuer.create(request).await.unwrap()
    }

    /// As across a network: from now on proofs are this far apart.
    pub(crate) async fn rare_proofs(&self, interval: Duration) {
        *self.controls.proof_interval.lock().unwrap() = interval;
        // The feed learns of it when it next rests, and then takes the quick road.
        for _ in 0..100 {
            let reads = self.controls.log_reads.load(Ordering::SeqCst);
            let created = self.create_in("nobody", "nowhere").await.config.revision;
            while self.cache.status().revision < created {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if self.controls.log_reads.load(Ordering::SeqCst) > reads {
                return;
            }
        }
        panic!("the feed does not learn of it");
    }
}

/// Lets other tasks run until this holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

/// What is logged by this thread while it is there.
pub(crate) struct Logged {
    lines: Lines,
    _guard: DefaultGuard,
}

impl Logged {
    pub(crate) fn begin() -> Self {
        // `tracing` asks once whether anybody wants an event, and while there is but one subscriber it asks that of
        // the thread that comes first: one without any would switch it off for this one too. So all threads have one.
        _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        Self { lines, _guard: set_default(subscriber.finish()) }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
