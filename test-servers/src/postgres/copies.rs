//! Backups, and standbys.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::setup::setting;
use super::{Postgres, PostgresBackup, PostgresBuilder};
use crate::process::wait_until;
use crate::system::output;
use crate::{Result, ServerError};

impl Postgres {
    /// Copies the data as it is now. The server must run, and goes on.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn backup(&self) -> Result<PostgresBackup> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("backup_{number}"));
        self.base_backup(&path)?;
        Ok(PostgresBackup(path))
    }

    /// Puts the data of a backup in the place of the server's, and starts it: on the same port, the store as
    /// it was.
    ///
    /// # Errors
    /// If it cannot be copied, or the server does not start with it.
    pub fn restore_from(&self, backup: &PostgresBackup) -> Result<()> {
        // Killing what is left of it, if anything runs.
        *self.process() = None;
        fs::remove_dir_all(&self.data).map_err(ServerError::io(&self.data))?;
        self.folder.copy(&backup.0, &self.data)?;
        self.start_again()
    }

    /// Starts a standby that streams from this server, read-only until it is [promoted](Self::promote). It is
    /// synchronous if this server's `synchronous_standby_names` has its name; when this returns, it streams.
    ///
    /// # Errors
    /// If it does not start, or does not stream.
    pub fn standby(&self, name: &str) -> Result<Self> {
        self.standby_through(name, self.address())
    }

    /// A standby that streams by way of a proxy.
    ///
    /// # Errors
    /// If it does not start, or does not stream.
    pub fn standby_through(&self, name: &str, address: SocketAddr) -> Result<Self> {
        let standby = Self::prepare(PostgresBuilder { disk_size: None, ..self.options.clone() })?;
        self.base_backup(&standby.data)?;
        let mut source =
            format!("host={} port={} user=postgres application_name={name}", address.ip(), address.port());
        if let Some(password) = &self.options.password {
            let password = password.replace('\\', r"\\").replace('\'', r"\'");
            let _ = write!(source, " password='{password}'");
        }
        if self.options.tls {
            source.push_str(" sslmode=require");
        }
        // Nothing that the source was told while it ran; and it has no standbys of its own.
        let own = setting("primary_conninfo", &source) + &setting("synchronous_standby_names", "");
        standby.folder.write(&standby.data.join("postgresql.auto.conf"), &own)?;
        standby.folder.write(&standby.data.join("standby.signal"), "")?;
        standby.start_again()?;
        let streams = format!(
            "SELECT count(*) FROM pg_stat_replication \
             WHERE application_name = '{name}' AND state = 'streaming'"
        );
        wait_until("the standby to stream", || Ok(self.execute(&streams)? != "0"))?;
        Ok(standby)
    }

    /// Makes a standby a server that takes writes.
    ///
    /// # Errors
    /// If it is no standby, or does not become one in time.
    pub fn promote(&self) -> Result<()> {
        match self.execute("SELECT pg_promote(true, 60)")?.as_str() {
            "t" => Ok(()),
            said => Err(ServerError::failed("promoting the standby", said)),
        }
    }

    fn base_backup(&self, to: &Path) -> Result<()> {
        let mut backup = self.tool("pg_basebackup");
        backup.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-D"]).arg(to);
        output("pg_basebackup", &mut backup, None).map(drop)
    }
}
