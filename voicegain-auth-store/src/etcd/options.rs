use zeroize::Zeroizing;

use super::error::OpenError;
use super::open;
use super::store::EtcdStore;
use super::url::{Credentials, Location};
use crate::sealing::Sealing;

/// How a store is opened. [`EtcdStore::open`] uses the defaults.
#[derive(Debug, Clone)]
#[must_use]
pub struct EtcdOptions {
    log_capacity: u32,
    credentials: Option<Credentials>,
}

impl EtcdOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self { log_capacity: 100_000, credentials: None }
    }

    /// How many log entries to keep, at least one (default: 100,000). A process that fell behind further
    /// reads everything anew. Every process that opens the store should say the same.
    pub const fn log_capacity(mut self, entries: u32) -> Self {
        self.log_capacity = if entries == 0 { 1 } else { entries };
        self
    }

    /// The user to log in as, instead of one in the URL.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let password = Zeroizing::new(password.into());
        self.credentials = Some(Credentials { user: name.into(), password });
        self
    }

    /// Opens the store at this [URL](super), and makes it if there is nothing below its prefix.
    ///
    /// The store works on the tokio runtime that this is called on, whoever uses it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, url: &str, sealing: Sealing) -> Result<EtcdStore, OpenError> {
        let mut location = Location::parse(url)?;
        if let Some(credentials) = &self.credentials {
            location.credentials = Some(credentials.clone());
        }
        open::open(location, self.log_capacity, sealing).await
    }
}

impl Default for EtcdOptions {
    fn default() -> Self {
        Self::new()
    }
}
