mod ask;
mod copies;
mod disk;
mod setup;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::Signal;

use crate::folder::Folder;
use crate::process::{Process, running, wait_until};
use crate::system::command;
use crate::{Result, ServerError};

const PACKAGE: &str = "postgresql";
const LOG: &str = "postgres.log";

/// How a server is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended, and the data is written.
    Fast,
    /// Everything ends at once; the next start recovers.
    Immediate,
}

/// How a [`Postgres`] is started.
#[derive(Debug, Clone)]
pub struct PostgresBuilder {
    settings: BTreeMap<String, String>,
    password: Option<String>,
    tls: bool,
    disk_size: Option<u64>,
}

impl PostgresBuilder {
    /// `synchronous_standby_names`: commits wait for these standbys.
    #[must_use]
    pub fn synchronous_standby_names(self, names: &str) -> Self {
        self.setting("synchronous_standby_names", names)
    }

    /// `max_connections`, 50 if it is not called.
    #[must_use]
    pub fn max_connections(self, connections: u32) -> Self {
        self.setting("max_connections", &connections.to_string())
    }

    /// Whether commits wait for the disk. They do if this is not called.
    #[must_use]
    pub fn fsync(self, on: bool) -> Self {
        self.setting("fsync", if on { "on" } else { "off" })
    }

    /// Any other setting of postgresql.conf.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether connections must use TLS; see [`Postgres::ca_certificate`].
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// The password, which is asked for by SCRAM-SHA-256. Without one everybody is trusted.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Puts the data on a disk of this many bytes (a tmpfs, which only root can mount). An empty server takes
    /// 28 MB.
    #[must_use]
    pub fn disk_size(mut self, bytes: u64) -> Self {
        self.disk_size = Some(bytes);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// If PostgreSQL is not installed, the disk cannot be mounted, or the server does not start.
    pub fn start(self) -> Result<Postgres> {
        let postgres = Postgres::prepare(self)?;
        postgres.initialise()?;
        postgres.start_again()?;
        if let Some(password) = &postgres.options.password {
            let password = password.replace('\'', "''");
            // With a standby that is yet to come, the commit would wait for it.
            postgres.execute(&format!(
                "SET synchronous_commit = local; ALTER ROLE postgres PASSWORD '{password}'"
            ))?;
        }
        Ok(postgres)
    }
}

/// A PostgreSQL server on a free port of 127.0.0.1; its superuser is `postgres`.
///
/// It ends, and its data goes, when this is dropped or the process ends.
#[derive(Debug)]
pub struct Postgres {
    // The process before the folder: fields are dropped in this order.
    process: Mutex<Option<Process>>,
    programs: PathBuf,
    options: PostgresBuilder,
    data: PathBuf,
    ca_certificate: Option<PathBuf>,
    port: u16,
    names: AtomicU64,
    folder: Folder,
}

/// A copy of a server's data at one time; it goes with the server that it was made from.
#[derive(Debug)]
pub struct PostgresBackup(PathBuf);

impl Postgres {
    /// Starts a server.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or the server does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Settings for a server.
    pub fn builder() -> PostgresBuilder {
        let options =
            PostgresBuilder { settings: BTreeMap::new(), password: None, tls: false, disk_size: None };
        options.max_connections(50).fsync(true)
    }

    /// One server for all tests of a process, for those that neither stop nor change it; each makes a
    /// [database](Self::create_database) of its own. It is quick (no fsync) and takes 200 connections.
    ///
    /// # Errors
    /// If it did not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<std::result::Result<Postgres, String>> = OnceLock::new();
        let start = || {
            Postgres::builder().fsync(false).max_connections(200).start().map_err(|error| error.to_string())
        };
        SHARED.get_or_init(start).as_ref().map_err(|said| ServerError::failed("the shared PostgreSQL", said))
    }

    /// The URL of a database: `postgres://postgres[:password]@127.0.0.1:port/database`, with
    /// `?sslmode=require` if the server wants TLS.
    pub fn url(&self, database: &str) -> String {
        self.url_through(database, self.address())
    }

    /// The URL of a database by way of a proxy.
    pub fn url_through(&self, database: &str, address: SocketAddr) -> String {
        let password = self.options.password.as_ref();
        let password = password.map(|password| format!(":{}", percent_encoded(password))).unwrap_or_default();
        let query = if self.options.tls { "?sslmode=require" } else { "" };
        format!("postgres://postgres{password}@{address}/{database}{query}")
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that signed the server's, if it wants TLS.
    pub fn ca_certificate(&self) -> Option<&Path> {
        self.ca_certificate.as_deref()
    }

    /// The server's log.
    pub fn log(&self) -> String {
        self.folder.read(LOG)
    }

    /// Ends the server. It can be [started again](Self::start_again).
    ///
    /// # Errors
    /// If it does not run, or does not end.
    pub fn stop(&self, shutdown: Shutdown) -> Result<()> {
        let signal = match shutdown {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        let mut process = self.process();
        running(&mut process)?.stop(signal)?;
        *process = None;
        Ok(())
    }

    /// Kills every process of the server at once, as a crash of the machine would.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.process();
        running(&mut process)?.kill()?;
        *process = None;
        Ok(())
    }

    /// Stops every process of the server in its tracks: connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<()> {
        running(&mut self.process())?.pause()
    }

    /// The server goes on after a [`pause`](Self::pause).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<()> {
        running(&mut self.process())?.resume();
        Ok(())
    }

    /// Starts a server that has ended, on the same port and with its data; it takes connections when this
    /// returns.
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn start_again(&self) -> Result<()> {
        let mut process = self.process();
        if process.as_mut().is_some_and(|process| !process.has_ended()) {
            return Err(ServerError::failed("starting PostgreSQL", "it runs"));
        }
        // What is left of it, if it has ended by itself.
        *process = None;
        let mut postgres = command(self.programs.join("postgres"), self.folder.account());
        let socket = format!("unix_socket_directories={}", self.folder.path().display());
        postgres.arg("-D").arg(&self.data).args(["-c", "listen_addresses=127.0.0.1", "-c", &socket]);
        postgres.args(["-c", &format!("port={}", self.port)]);
        let started = process.insert(Process::start(&mut postgres, &self.folder, self.folder.path(), LOG)?);
        wait_until("PostgreSQL to start", || {
            if started.has_ended() {
                return Err(ServerError::failed("PostgreSQL ended while it started", self.log()));
            }
            let status = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = status.lines();
            let is_its = lines.next() == Some(started.id().to_string().as_str());
            Ok(is_its && lines.nth(6).is_some_and(|status| status.trim() == "ready"))
        })
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
