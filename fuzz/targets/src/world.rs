//! A deployment in which nothing moves but what an input moves: its web configs, its cache, and a clock that stands.
//!
//! The feed has proved at the one time that the boot clock ever shows that it knows all there is, so every decision is made at
//! once: nothing waits, and no task runs after the beginning.

use std::cell::Cell;
use std::future::Future;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sha2::{Digest as _, Sha512};
use tokio::runtime::Runtime;
use voicegain_auth_core::clock::Reading;
use voicegain_auth_core::{
    Clock, Issuer, MemoryStore, NewWebConfig, Secret, SecretCache, SecretStore, WebConfigId,
};

use reference::decision::Config;

pub const API_URL: &str = "https://api.voicegain.ai/v1";

/// In the year 2262: the wall clock may stand anywhere before the time at which the proof was asked for. Later ones are on the
/// safe side, which is no decision: what is published of a proof counts nanoseconds in 63 bits.
const LATEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// The time unless an input says another.
pub const NOW: Duration = Duration::from_secs(1_800_000_000);

/// The web configs' ids, the last of one that was deleted.
pub const IDS: [&str; 6] = [
    "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729",
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "abcdef01-2345-4678-9abc-def012345678",
    "ffffffff-ffff-4fff-bfff-ffffffffffff",
    "dddddddd-dddd-4ddd-8ddd-dddddddddddd",
];

const ALLOWED_ORIGINS: [&[&str]; 6] = [
    &[],
    &["https://allowed.example.com", "*.example.org:*", "http://[::1]:8080"],
    &["*"],
    &["localhost:8080", "capacitor://localhost", "b\u{fc}cher.example", "192.0.2.1"],
    &["https://*.xn--bcher-kva.example", "*.internal", "https://api.example.net:8443"],
    &["*"],
];

thread_local! {
    /// Each thread's own, so that two targets may be replayed side by side: whoever decides reads it itself.
    static WALL: Cell<Duration> = const { Cell::new(NOW) };
}

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn read(&self) -> Reading {
        Reading { boot: Duration::from_secs(1_000), wall: WALL.get() }
    }
}

/// Sets the wall clock, to the latest there is at most.
pub fn set_wall(now: Duration) -> Duration {
    let now = now.min(LATEST);
    WALL.set(now);
    now
}

/// A web config's secret in a generation. Their lengths are those that matter to a MAC.
pub fn secret(config: usize, generation: u8) -> Vec<u8> {
    let length = [32, 64, 65, 256, 33, 32][config % 6];
    let seed = Sha512::digest([config as u8, generation]);
    seed.iter().copied().cycle().take(length).collect()
}

/// The id of a web config.
pub fn id(config: usize) -> WebConfigId {
    IDS[config].parse().expect("an id")
}

pub struct World {
    pub cache: SecretCache,
    pub issuer: Issuer,
    /// Those that live. The first three were regenerated.
    pub configs: Vec<Config>,
    /// Holds the tasks that the cache has begun.
    _runtime: Runtime,
}

/// The one there is.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

impl World {
    fn new() -> Self {
        set_wall(LATEST);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (cache, configs) = runtime.block_on(async {
            let store = MemoryStore::new().expect("a store");
            let mut configs = Vec::new();
            for config in 0..IDS.len() {
                configs.push(create(&store, config).await);
            }
            store.delete(id(5)).await.expect("deleted");
            configs.truncate(5);
            let cache = SecretCache::builder(store).clock(Standing).preload(true).build().expect("a cache");
            while !cache.ready().await || cache.status().preloading {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(cache.status().cached, 5);
            (cache, configs)
        });
        set_wall(NOW);
        let issuer = Issuer::new(cache.clone(), API_URL).expect("an API URL");
        Self { cache, issuer, configs, _runtime: runtime }
    }
}

async fn create(store: &MemoryStore, config: usize) -> Config {
    let allowed_origins: Vec<String> = ALLOWED_ORIGINS[config].iter().map(|&it| it.to_owned()).collect();
    let key = |generation| Secret::from_bytes(&secret(config, generation)).expect("a secret");
    let new = NewWebConfig {
        id: id(config),
        account_id: format!("account-{}", config / 2).parse().expect("an account"),
        context_id: format!("context-{config}").parse().expect("a context"),
        name: "n".to_owned(),
        allowed_origins: allowed_origins.clone(),
        secret: key(1),
        revive: false,
    };
    store.create(new).await.expect("created");
    let newest = if config < 3 { 2 } else { 1 };
    if newest == 2 {
        store.regenerate(id(config), key(2)).await.expect("regenerated");
    }
    Config { id: id(config), secret: secret(config, newest), allowed_origins }
}

/// The output of a future that has nothing to wait for.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
