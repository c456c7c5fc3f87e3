//! A web config with a past, and everything that refuses its tokens.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use voicegain_auth_core::clock::{Clock, Reading};
use voicegain_auth_core::fuzzing_timing::InHand;
use voicegain_auth_core::{
    Field, MemoryStore, NewWebConfig, Policy, Progress, RequestHead, Secret, SecretCache, SecretStore,
    Verifier, WebConfigId,
};

use crate::cpu;
use crate::measure::VARIANTS;

pub(crate) const API_URL: &str = "https://api.voicegain.ai/v1";

/// Everything, alive.
pub(crate) struct Ground {
    pub(crate) id: WebConfigId,
    /// Of a web config that there never was.
    pub(crate) unknown_id: WebConfigId,
    /// The secrets before this one, one after the other.
    pub(crate) superseded: Vec<Secret>,
    pub(crate) secret: Secret,
    /// Level A.
    pub(crate) in_hand: InHand,
    /// The same of another web config.
    pub(crate) another: InHand,
    /// Level B.
    pub(crate) verifier: Verifier,
    /// What time it is, and stays, in seconds.
    pub(crate) now: u64,
    /// Carries the feed, on another core if there is one.
    _runtime: Runtime,
}

/// Time that stands still: so every proof is as new as every request, and a refusal waits for nothing (rule C7).
#[derive(Debug)]
struct Still(Reading);

impl Clock for Still {
    fn read(&self) -> Reading {
        self.0
    }
}

impl Ground {
    pub(crate) fn make() -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(cpu::keep_off_the_measuring_core)
            .enable_time()
            .build()?;
        let store = MemoryStore::new()?;
        let (id, mut secret, mut superseded) = (WebConfigId::generate()?, Secret::generate()?, Vec::new());
        let new = NewWebConfig {
            id,
            account_id: "account".parse()?,
            context_id: "context".parse()?,
            name: "timed".into(),
            allowed_origins: Vec::new(),
            secret: secret.clone(),
            revive: false,
        };
        runtime.block_on(store.create(new))?;
        for _ in 0..VARIANTS {
            superseded.push(secret);
            secret = Secret::generate()?;
            runtime.block_on(store.regenerate(id, secret.clone()))?;
        }
        let stored = runtime.block_on(store.load(id))?.value.ok_or("the web config is gone")?;
        assert_eq!(stored.secret, secret);
        let mut another = stored.clone();
        another.secret = Secret::generate()?;

        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let still = Still(Reading { boot: Duration::from_secs(1_000), wall: Duration::from_secs(now) });
        let cache = SecretCache::builder(store)
            .api_url(API_URL)
            .clock(still)
            .max_revocation_delay(Duration::from_secs(3_600))
            .runtime(runtime.handle().clone())
            .build()?;
        if !runtime.block_on(cache.ready()) {
            return Err("the cache does not get ready".into());
        }
        Ok(Self {
            id,
            unknown_id: WebConfigId::generate()?,
            superseded,
            secret,
            in_hand: InHand::new(API_URL, stored),
            another: InHand::new(API_URL, another),
            verifier: Verifier::new(cache, Policy::default()),
            now,
            _runtime: runtime,
        })
    }

    /// Has the verifier let a token in, waiting for what it waits for.
    pub(crate) fn admit(&self, authorization: &[u8]) {
        let admitted = self._runtime.block_on(self.verifier.authorize(&Head(authorization)));
        assert!(admitted.is_ok(), "a right token was refused: {admitted:?}");
    }

    /// Whether the verifier refuses at once.
    pub(crate) fn refuses(&self, authorization: &[u8]) -> bool {
        matches!(self.verifier.decide(&Head(authorization)), Progress::Decided(Err(_)))
    }
}

/// As much of a request as the rules look at.
struct Head<'a>(&'a [u8]);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/v1/asr/transcribe"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        (field == Field::Authorization).then_some(self.0).into_iter()
    }
}
