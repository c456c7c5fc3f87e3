use std::time::Duration;

use super::error::OpenError;
use super::store::PostgresStore;
use crate::sealing::Sealing;

/// How a store is opened. [`PostgresStore::open`] uses the defaults.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresOptions {
    pub(super) schema: Schema,
    pub(super) application_name: String,
    pub(super) connections: usize,
    pub(super) log_capacity: u32,
    pub(super) limits: Limits,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first packet to a connection that can be used, for each host.
    pub(super) connect: Duration,
    /// A read, and what a change does before its commit.
    pub(super) request: Duration,
    /// A proof of freshness.
    pub(super) proof: Duration,
    /// The wait for the head of the log, which every change locks.
    pub(super) lock: Duration,
    /// How long the server lets a transaction idle, so that a stopped process does not keep the head locked.
    pub(super) idle_in_transaction: Duration,
    pub(super) commit: Duration,
}

/// The name of a schema, which is also that of the notifications' channel. It needs no quotes.
#[derive(Debug, Clone)]
pub(super) struct Schema(pub(super) String);

impl PostgresOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            schema: Schema("voicegain_auth".to_owned()),
            application_name: "voicegain-auth".to_owned(),
            connections: 8,
            log_capacity: 100_000,
            limits: Limits {
                connect: Duration::from_secs(3),
                request: Duration::from_secs(5),
                proof: Duration::from_secs(2),
                lock: Duration::from_secs(5),
                idle_in_transaction: Duration::from_secs(5),
                commit: Duration::from_secs(5),
            },
        }
    }

    /// The schema that holds the tables (default: `voicegain_auth`). It is made if it is not there. What is not
    /// an ASCII letter, a digit or an underscore in the name becomes an underscore. The URL's `schema` goes before it.
    pub fn schema(mut self, name: &str) -> Self {
        let mut clean: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        if clean.starts_with(|first: char| first.is_ascii_digit()) || clean.is_empty() {
            clean.insert(0, '_');
        }
        // PostgreSQL cuts longer names.
        clean.truncate(63);
        self.schema = Schema(clean);
        self
    }

    /// What the server's views and logs call the connections (default: `voicegain-auth`). The URL's
    /// `application_name` goes before it.
    pub fn application_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.application_name);
        self
    }

    /// How many connections to use at most, at least one (default: 8), besides the one that listens.
    pub const fn connections(mut self, limit: usize) -> Self {
        self.connections = if limit == 0 { 1 } else { limit };
        self
    }

    /// How many log entries to keep, at least one (default: 100,000). A process that fell behind further
    /// reads everything anew. Every process that opens the store should say the same.
    pub const fn log_capacity(mut self, entries: u32) -> Self {
        self.log_capacity = if entries == 0 { 1 } else { entries };
        self
    }

    /// How long one host may take until it has let us in (default: 3 seconds).
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect = limit;
        self
    }

    /// How long a read may take, and what a change does before its commit (default: 5 seconds). The store then
    /// counts as not available.
    pub const fn request_timeout(mut self, limit: Duration) -> Self {
        self.limits.request = limit;
        self
    }

    /// How long a proof of freshness may take (default: 2 seconds). After that the connection that listens is made
    /// anew.
    pub const fn proof_timeout(mut self, limit: Duration) -> Self {
        self.limits.proof = limit;
        self
    }

    /// How long a change may wait for others to end (default: 5 seconds). The store then counts as not available,
    /// and nothing has been changed.
    pub const fn lock_timeout(mut self, limit: Duration) -> Self {
        self.limits.lock = limit;
        self
    }

    /// How long a commit may take (default: 5 seconds). After that its outcome is unknown (rule M1).
    pub const fn commit_timeout(mut self, limit: Duration) -> Self {
        self.limits.commit = limit;
        self
    }

    /// Opens the store in the database that this URL names,
    /// `postgres://user:password@host:port[,host:port]/database[?schema=name]`, and makes its schema if it is not there.
    /// Each schema is a store of its own. With several hosts, the one that takes writes is used.
    ///
    /// Connections are encrypted, and the server's certificate and host name verified, by the system's root
    /// certificates or those of `sslrootcert=FILE`, unless the URL says `sslmode=disable`; to a Unix socket they
    /// never are.
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the database held, it still holds.
    pub async fn open(&self, url: &str, sealing: Sealing) -> Result<PostgresStore, OpenError> {
        PostgresStore::with_options(url, sealing, self).await
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schemas_name_needs_no_quotes() {
        for (given, kept) in
            [("auth", "auth"), ("Auth-2\"; DROP", "auth_2___drop"), ("9x", "_9x"), ("", "_"), ("é", "_")]
        {
            assert_eq!(PostgresOptions::new().schema(given).schema.0, kept);
        }
        assert_eq!(PostgresOptions::new().schema(&"x".repeat(100)).schema.0.len(), 63);
    }
}
