use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};

use super::exchanges::{self, Exchanges};
use super::feed::{self, FeedStatus};
use super::load::LookUps;
use super::near::Near;
use super::preload;
use super::published::Published;
use super::uses::{self, Uses};
use super::waiters::{self, Waiters};
use super::{Owner, SecretCache, Shared};
use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::freshness::Freshness;
use crate::long_lived::LongLivedForm;
use crate::store::ErasedStore;

/// Sets up a [`SecretCache`].
#[must_use = "a builder does nothing until it is built"]
pub struct SecretCacheBuilder {
    store: Arc<dyn ErasedStore>,
    clock: Arc<dyn Clock>,
    runtime: Option<Handle>,
    max_revocation_delay: Duration,
    wait_limit: Duration,
    capacity: u64,
    preload: bool,
    last_use_interval: Duration,
    api_url: Cow<'static, str>,
}

impl SecretCacheBuilder {
    /// The default of [`max_revocation_delay`](Self::max_revocation_delay).
    pub const MAX_REVOCATION_DELAY: Duration = Duration::from_secs(30);
    /// How many web configs are cached unless [`capacity`](Self::capacity) says otherwise.
    pub const CAPACITY: u64 = 100_000;
    /// The default of [`api_url`](Self::api_url).
    pub const API_URL: &'static str = "https://api.voicegain.ai/v1";
    /// The default of [`last_use_interval`](Self::last_use_interval).
    pub const LAST_USE_INTERVAL: Duration = Duration::from_secs(60);
    /// How many look-ups run at once, whatever is asked.
    const LOOK_UPS_AT_ONCE: usize = 64;

    pub(super) fn new(store: Arc<dyn ErasedStore>) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            runtime: None,
            max_revocation_delay: Self::MAX_REVOCATION_DELAY,
            wait_limit: Duration::from_secs(3),
            capacity: Self::CAPACITY,
            preload: false,
            last_use_interval: Self::LAST_USE_INTERVAL,
            api_url: Cow::Borrowed(Self::API_URL),
        }
    }

    /// The promise of rule C1: how long a decision may still follow an old record after a change has returned, whatever
    /// fails. 2 seconds to 1 hour; 30 seconds by default. A store outage longer than this is an outage.
    pub fn max_revocation_delay(mut self, bound: Duration) -> Self {
        self.max_revocation_delay = bound;
        self
    }

    /// How long a request may wait for the store before it is answered `temporarily_unavailable` (rule V6); 3 seconds by
    /// default.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// How many web configs are cached at most; 100,000 by default. The least recently used make room.
    pub fn capacity(mut self, web_configs: u64) -> Self {
        self.capacity = web_configs;
        self
    }

    /// Whether to load all web configs at the start, up to the capacity, instead of each when it is first asked for.
    pub fn preload(mut self, preload: bool) -> Self {
        self.preload = preload;
        self
    }

    /// The `aud` of the long-lived tokens that are used here, as given to [`Issuer::new`](crate::Issuer::new);
    /// [`API_URL`](Self::API_URL) by default. Tokens with this one are verified in a fraction of the time, by comparison with
    /// what they must be (rule W2); no other is refused for it.
    pub fn api_url(mut self, api_url: impl Into<String>) -> Self {
        self.api_url = Cow::Owned(api_url.into());
        self
    }

    /// How often it is written to the store which web configs have been used that day, see
    /// [`last_uses`](crate::Issuer::last_uses); every minute by default, and no more often than ten times a second. What was
    /// not written at the end of a process is forgotten, unless [`write_uses`](SecretCache::write_uses) is called.
    pub fn last_use_interval(mut self, interval: Duration) -> Self {
        self.last_use_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Where the feed and the look-ups run. By default the runtime that is current when this is built. In actix-web, whose
    /// workers are runtimes of their own, give one that outlives them.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Where time comes from; the operating system by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the cache and starts its feed.
    ///
    /// # Errors
    /// If the bound or the capacity is out of range, or there is no runtime.
    pub fn build(self) -> Result<SecretCache, ConfigError> {
        let allowed = Duration::from_secs(2)..=Duration::from_secs(3600);
        if !allowed.contains(&self.max_revocation_delay) {
            return Err(ConfigError::RevocationDelay(self.max_revocation_delay));
        }
        if self.capacity == 0 {
            return Err(ConfigError::Capacity);
        }
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| ConfigError::NoRuntime)?,
        };
        let machine = Freshness::new();
        let started = FeedStatus { unproved_since: Some(self.clock.read().wall), ..FeedStatus::default() };
        let shared = Arc::new(Shared {
            store: self.store,
            clock: self.clock,
            runtime,
            bound: self.max_revocation_delay,
            wait_limit: self.wait_limit,
            // Under moka's default policy a live id just over the capacity can miss many times in a row.
            records: moka::sync::Cache::builder()
                .max_capacity(self.capacity)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            near: Near::new(self.capacity),
            long_lived: LongLivedForm::new(&self.api_url),
            published: Published::new(machine.epoch()),
            machine: Mutex::new(machine),
            status: watch::Sender::new(started),
            changes: watch::Sender::new(()),
            exchanges: Exchanges::default(),
            waiters: Waiters::default(),
            wanted: Notify::new(),
            changed_here: Notify::new(),
            look_ups: Mutex::new(LookUps::default()),
            permits: Semaphore::new(Self::LOOK_UPS_AT_ONCE),
            waiting_for_proof: AtomicUsize::new(0),
            waiting_for_record: AtomicUsize::new(0),
            capacity: self.capacity,
            preloading: watch::Sender::new(self.preload),
            uses: Uses::default(),
            last_use_interval: self.last_use_interval,
            work: Mutex::default(),
        });
        let mut tasks = vec![
            shared.runtime.spawn(feed::run(Arc::clone(&shared))).abort_handle(),
            shared.runtime.spawn(exchanges::run(Arc::clone(&shared))).abort_handle(),
            shared.runtime.spawn(waiters::run(Arc::clone(&shared))).abort_handle(),
            shared.runtime.spawn(uses::run(Arc::clone(&shared))).abort_handle(),
        ];
        if self.preload {
            tasks.push(shared.runtime.spawn(preload::run(Arc::clone(&shared))).abort_handle());
        }
        Ok(SecretCache { inner: Arc::new(Owner { shared, tasks }) })
    }
}

impl fmt::Debug for SecretCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCacheBuilder")
            .field("max_revocation_delay", &self.max_revocation_delay)
            .field("capacity", &self.capacity)
            .field("preload", &self.preload)
            .finish_non_exhaustive()
    }
}
