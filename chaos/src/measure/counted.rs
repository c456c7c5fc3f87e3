//! A PostgreSQL that counts what it is asked, and web configs in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use test_servers::{Postgres, Shutdown};
use tokio::task::{JoinSet, block_in_place};
use voicegain_auth_core::{CreateRequest, Issuer, SecretCache, WebConfigId};
use voicegain_auth_store::postgres::PostgresOptions;
use voicegain_auth_store::sealing::{MasterKeys, Sealing};

use super::text;
use crate::gateway::MASTER_KEYS;
use crate::store::{Road, Servers};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    LookUp,
    PreloadPage,
    ListingPage,
    LogRead,
    Heartbeat,
    /// `BEGIN` and `COMMIT`.
    Transaction,
    Other,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::LookUp,
        Self::PreloadPage,
        Self::ListingPage,
        Self::LogRead,
        Self::Heartbeat,
        Self::Transaction,
        Self::Other,
    ];

    /// What the tables call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "look-ups of a web config",
            Self::PreloadPage => "pages of records (preload)",
            Self::ListingPage => "pages of living ids",
            Self::LogRead => "reads of the log",
            Self::Heartbeat => "heartbeats",
            Self::Transaction => "BEGIN and COMMIT",
            Self::Other => "others",
        }
    }

    /// Which kind this statement is; none for those of whoever counts.
    fn of(statement: &str) -> Option<Self> {
        let has = |part: &str| statement.contains(part);
        Some(if has("pg_stat_statements") {
            return None;
        } else if has("INSERT INTO heartbeats") {
            Self::Heartbeat
        } else if has("FROM change_log WHERE revision >") {
            Self::LogRead
        } else if has("FROM living_web_configs WHERE id =") {
            Self::LookUp
        } else if has("FROM living_web_configs") && has("w.secret_format") {
            Self::PreloadPage
        } else if has("FROM living_web_configs") {
            Self::ListingPage
        } else if has("BEGIN") || has("COMMIT") {
            Self::Transaction
        } else {
            Self::Other
        })
    }
}

/// How often what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Calls(BTreeMap<Kind, u64>);

impl Calls {
    fn parse(rows: &str) -> Self {
        let mut calls = Self::default();
        for (number, statement) in rows.lines().filter_map(|line| line.split_once('|')) {
            if let (Ok(number), Some(kind)) = (number.parse::<u64>(), Kind::of(statement)) {
                *calls.0.entry(kind).or_default() += number;
            }
        }
        calls
    }

    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// What was asked since these.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().map(|(kind, calls)| (*kind, calls - earlier.of(*kind))).collect())
    }
}

/// A server with nothing between it and whoever counts.
pub(super) struct Counted {
    pub(super) servers: Servers,
}

impl Drop for Counted {
    fn drop(&mut self) {
        // One that is killed leaves shared memory behind.
        if let Ok(primary) = self.primary() {
            let _ = primary.stop(Shutdown::Fast);
        }
    }
}

/// A web config, and its token.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: WebConfigId,
    pub(super) jwt: String,
}

impl Counted {
    pub(super) fn start() -> Result<Self, String> {
        let start = || {
            let builder = Postgres::builder().max_connections(200);
            let primary = builder.setting("shared_preload_libraries", "pg_stat_statements").start()?;
            primary.execute("CREATE EXTENSION pg_stat_statements")?;
            Ok::<_, test_servers::ServerError>(primary)
        };
        let primary = block_in_place(start).map_err(text)?;
        Ok(Self { servers: Servers::Postgres { primary, standby: None, small_disk: false } })
    }

    fn primary(&self) -> Result<&Postgres, String> {
        match &self.servers {
            Servers::Postgres { primary, .. } => Ok(primary),
            Servers::Etcd(_) => Err("only PostgreSQL counts its statements".to_owned()),
        }
    }

    pub(super) fn road(&self) -> Result<Road, String> {
        self.servers.road().map_err(text)
    }

    /// All that was asked of it so far.
    pub(super) fn calls(&self) -> Result<Calls, String> {
        const SQL: &str =
            "SELECT calls, translate(query, E'\\n|', '  ') FROM pg_stat_statements ORDER BY queryid";
        let primary = self.primary()?;
        block_in_place(|| primary.execute(SQL)).map(|rows| Calls::parse(&rows)).map_err(text)
    }

    /// An issuer of its own, that the gateways learn of only by the store.
    pub(super) async fn issuer(&self) -> Result<Issuer, String> {
        let sealing = Sealing::Keys(MasterKeys::parse(MASTER_KEYS).map_err(text)?);
        let options = PostgresOptions::new().connections(16);
        let store = options.open(&self.servers.url(), sealing).await.map_err(text)?;
        let cache = SecretCache::builder(store).build().map_err(text)?;
        Issuer::new(cache, "https://api.voicegain.ai/v1").map_err(text)
    }

    /// Creates this many, without waiting for the disk.
    pub(super) async fn create(&self, issuer: &Issuer, web_configs: usize) -> Result<Vec<Made>, String> {
        const AT_ONCE: usize = 16;
        self.begin_filling()?;
        let mut tasks = JoinSet::new();
        for first in 0..AT_ONCE {
            let issuer = issuer.clone();
            tasks.spawn(async move {
                let mut made = Vec::new();
                for number in (first..web_configs).step_by(AT_ONCE) {
                    let account = format!("account-{}", number / 20).parse().map_err(text)?;
                    let context = format!("context-{}", number / 2).parse().map_err(text)?;
                    let request = CreateRequest::new(account, context, format!("web config {number}"));
                    let issued = issuer.create(request).await.map_err(text)?;
                    made.push(Made { id: issued.config.id, jwt: issued.jwt });
                }
                Ok::<_, String>(made)
            });
        }
        let mut all = Vec::new();
        while let Some(made) = tasks.join_next().await {
            all.extend(made.map_err(text)??);
        }
        self.end_filling()?;
        Ok(all)
    }

    /// From now on no change waits for the disk.
    pub(super) fn begin_filling(&self) -> Result<(), String> {
        let primary = self.primary()?;
        block_in_place(|| primary.set("fsync", "off")).map_err(text)
    }

    /// Inserts rows, each a line as `COPY` has it.
    pub(super) fn insert(&self, table: &str, rows: &str) -> Result<(), String> {
        // As many as are inserted within the time that one statement may take.
        const AT_ONCE: usize = 50_000;
        let lines: Vec<_> = rows.lines().collect();
        for lines in lines.chunks(AT_ONCE) {
            self.execute(&format!("COPY {table} FROM STDIN;\n{}\n\\.\n", lines.join("\n")))?;
        }
        Ok(())
    }

    pub(super) fn execute(&self, sql: &str) -> Result<(), String> {
        self.primary()?.execute(sql).map(drop).map_err(text)
    }

    /// Brings all that was filled in to the disk, and leaves the server as one is that has had time for its chores.
    pub(super) fn end_filling(&self) -> Result<(), String> {
        let primary = self.primary()?;
        block_in_place(|| {
            primary.execute("CHECKPOINT")?;
            primary.set("fsync", "on")?;
            primary.execute("VACUUM (ANALYZE)")
        })
        .map(drop)
        .map_err(text)
    }

    /// A server with this many web configs.
    pub(super) async fn filled(web_configs: usize) -> Result<(Self, Issuer, Arc<Vec<Made>>), String> {
        let counted = Self::start()?;
        let issuer = counted.issuer().await?;
        let made = counted.create(&issuer, web_configs).await?;
        Ok((counted, issuer, Arc::new(made)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let rows = "7|SELECT h.schema_version FROM log_head h LEFT JOIN LATERAL \
                    (SELECT * FROM living_web_configs WHERE id = $1) w ON true\n\
                    3|BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE\n\
                    2|COMMIT\n\
                    900|SELECT calls, query FROM pg_stat_statements\n\
                    no number|SELECT 1\n\
                    4|INSERT INTO heartbeats (process, beaten_at) VALUES ($1, clock_timestamp())";
        let calls = Calls::parse(rows);
        assert_eq!(calls.of(Kind::LookUp), 7);
        assert_eq!(calls.of(Kind::Transaction), 5);
        assert_eq!(calls.of(Kind::Heartbeat), 4);
        assert_eq!(calls.all(), 16, "whoever counts is not counted");
        assert_eq!(calls.since(&Calls::parse("4|COMMIT\n")).of(Kind::Transaction), 1);
    }
}
