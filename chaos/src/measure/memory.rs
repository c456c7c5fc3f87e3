use std::fs;

use tokio::time::{Duration, sleep};
use voicegain_auth_core::store::{
    Ended, EntryId, ListQuery, Living, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    Snapshot, StoredPage,
};
use voicegain_auth_core::{
    AccountId, ChangeFeed, ContextId, Generation, NewWebConfig, RestoredWebConfig, Secret, SecretCache,
    SecretStore, StoreError, StoredWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

use super::text;

/// A store that only says which web configs live, and a cache that learns of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    web_configs: u64,
    /// How many of them share a context
    #[arg(long, default_value_t = 2)]
    in_a_context: u64,
}

struct MadeUp {
    args: Args,
}

const HEAD: LogPosition = LogPosition { revision: Revision::new(1), entry: EntryId::from_bytes([1; 16]) };

fn none<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable("this store only says which web configs live"))
}

impl SecretStore for MadeUp {
    async fn load(&self, _: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        none()
    }
    async fn load_page(&self, _: Option<WebConfigId>, _: usize) -> Result<Snapshot<StoredPage>, StoreError> {
        none()
    }
    async fn list(&self, _: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        none()
    }
    async fn create(&self, _: NewWebConfig) -> Result<WebConfig, StoreError> {
        none()
    }
    async fn regenerate(&self, _: WebConfigId, _: Secret) -> Result<Regenerated, StoreError> {
        none()
    }
    async fn update(&self, _: WebConfigId, _: WebConfigPatch) -> Result<WebConfig, StoreError> {
        none()
    }
    async fn delete(&self, _: WebConfigId) -> Result<Revision, StoreError> {
        none()
    }
    async fn end(&self, _: Scope) -> Result<Ended, StoreError> {
        none()
    }
    async fn restore(&self, _: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        none()
    }
}

fn number(id: WebConfigId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

fn web_config(number: u64) -> WebConfigId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    WebConfigId::from_bytes(bytes)
}

impl ChangeFeed for MadeUp {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        let first = after.map_or(0, |id| number(id) + 1);
        let last = (first + limit as u64).min(self.args.web_configs);
        let living = (first..last).map(|number| {
            let context = number / self.args.in_a_context;
            let parsed = |text: String| text.parse().map_err(StoreError::damaged);
            let account_id: AccountId = parsed(format!("account-{}", context / 10))?;
            let context_id: ContextId = format!("context-{context}").parse().map_err(StoreError::damaged)?;
            Ok(Living {
                id: web_config(number),
                position: HEAD,
                generation: Generation::FIRST,
                account_id,
                context_id,
            })
        });
        Ok(LivingPage {
            head: HEAD,
            living: living.collect::<Result<_, StoreError>>()?,
            next: (last < self.args.web_configs).then(|| web_config(last - 1)),
        })
    }
    async fn read_log(&self, _: LogPosition, _: usize) -> Result<LogRead, StoreError> {
        Ok(LogRead::Entries { entries: Vec::new(), more: false })
    }
    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read_log(after, limit).await
    }
    async fn changed(&self, _: Revision) {
        std::future::pending().await
    }
}

/// What this process holds in memory, in bytes.
fn resident() -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(text)?;
    Ok(kib * 1024)
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    let (web_configs, in_a_context) = (args.web_configs, args.in_a_context);
    let before = resident()?;
    let begun = tokio::time::Instant::now();
    let cache = SecretCache::builder(MadeUp { args }).build().map_err(text)?;
    while !cache.status().ready {
        sleep(Duration::from_millis(50)).await;
    }
    let took = begun.elapsed();
    let each = (resident()? - before) as f64 / web_configs as f64;
    println!(
        "| web configs that live | in a context | bytes for each | seconds to learn of all |\n| --- | --- | --- | --- |"
    );
    println!("| {web_configs} | {in_a_context} | {each:.0} | {:.1} |", took.as_secs_f64());
    Ok(())
}
