use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::process::{LIMIT, Process, running, wait_until};
use crate::system::{Account, command, find, output, tool};
use crate::tls::Certificates;
use crate::{Result, ServerError, free_port};

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

    /// Creates an empty database of a new name; answers its URL.
    ///
    /// # Errors
    /// If the server cannot.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.names.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
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

    /// Runs statements in the database `postgres`; see [`execute_in`](Self::execute_in).
    ///
    /// # Errors
    /// If a statement fails, or they take longer than a minute.
    pub fn execute(&self, sql: &str) -> Result<String> {
        self.execute_in("postgres", sql)
    }

    /// Runs statements, each in a transaction of its own. Answers the rows as `psql` prints them: a line
    /// each, fields separated by `|`. They get to the server by its Unix socket, whatever is wrong with the
    /// network.
    ///
    /// # Errors
    /// If a statement fails, or they take longer than a minute.
    pub fn execute_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.tool("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        output("psql", &mut psql, Some(sql))
    }

    /// Changes a setting while the server runs (`ALTER SYSTEM`, reload). When this returns new sessions have
    /// it, and commits wait for other standbys if it was `synchronous_standby_names`.
    ///
    /// # Errors
    /// If there is no such setting or value.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let value = value.replace('\'', "''");
        let before = self.execute("SELECT pg_conf_load_time()")?;
        self.execute(&format!("ALTER SYSTEM SET {setting} TO '{value}'; SELECT pg_reload_conf()"))?;
        let loaded = format!("SELECT pg_conf_load_time() > '{before}'");
        wait_until("reloading the configuration", || Ok(self.execute(&loaded)? == "t"))?;
        if setting == "synchronous_standby_names" {
            // It is the checkpointer that puts this in force, before it does anything else.
            self.execute("CHECKPOINT")?;
        }
        Ok(())
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

    /// Fills the disk of [`disk_size`](PostgresBuilder::disk_size) to the last byte.
    ///
    /// # Errors
    /// If the server's disk is not one of its own.
    pub fn fill_disk(&self) -> Result<()> {
        let filler = self.filler()?;
        let mut fill = tool("sh", self.folder.account(), LIMIT);
        // Until it fails, which is what is wanted.
        fill.arg("-c").arg("cat /dev/zero > \"$0\" 2> /dev/null; test -s \"$0\"").arg(filler);
        output("filling the disk", &mut fill, None).map(drop)
    }

    /// Takes away what [`fill_disk`](Self::fill_disk) put there.
    ///
    /// # Errors
    /// If the disk was not filled.
    pub fn free_disk(&self) -> Result<()> {
        let filler = self.filler()?;
        fs::remove_file(&filler).map_err(ServerError::io(filler))
    }

    fn filler(&self) -> Result<PathBuf> {
        match self.options.disk_size {
            Some(_) => Ok(self.folder.path().join("disk/filler")),
            None => {
                Err(ServerError::failed("filling the disk", "the server was started without `disk_size`"))
            }
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client program that talks to the server by its Unix socket.
    fn tool(&self, program: &str) -> Command {
        let mut tool = tool(self.programs.join(program), self.folder.account(), LIMIT);
        tool.env("PGCONNECT_TIMEOUT", "30").env("PGHOST", self.folder.path());
        tool.env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        tool
    }

    fn base_backup(&self, to: &Path) -> Result<()> {
        let mut backup = self.tool("pg_basebackup");
        backup.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-D"]).arg(to);
        output("pg_basebackup", &mut backup, None).map(drop)
    }

    /// All but the data.
    fn prepare(options: PostgresBuilder) -> Result<Self> {
        let programs = programs()?;
        let folder = Folder::create(Account::other_than_root(&["postgres"], PACKAGE)?)?;
        let data = match options.disk_size {
            Some(bytes) => mount(&folder, bytes)?.join("data"),
            None => folder.path().join("data"),
        };
        let ca_certificate = options.tls.then(|| data.join("ca.crt"));
        let port = free_port()?;
        let process = Mutex::new(None);
        Ok(Self { process, programs, options, data, ca_certificate, port, names: AtomicU64::new(1), folder })
    }

    fn initialise(&self) -> Result<()> {
        let mut initdb = tool(self.programs.join("initdb"), self.folder.account(), LIMIT);
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.args(["--wal-segsize=1", "--no-instructions", "-D"]).arg(&self.data);
        output("initdb", &mut initdb, None)?;

        let mut settings = String::from(
            "shared_buffers = '16MB'\nwal_level = 'replica'\nmax_wal_senders = '10'\nwal_keep_size = '64MB'\n\
             log_line_prefix = '%m [%p] %a '\npassword_encryption = 'scram-sha-256'\n",
        );
        if self.options.disk_size.is_some() {
            settings.push_str("wal_keep_size = '0'\nmax_wal_size = '4MB'\nmin_wal_size = '2MB'\n");
        }
        if self.options.tls {
            // In the data directory, so that standbys and backups have them too.
            Certificates::create(&self.folder, &self.data)?;
            settings.push_str("ssl = 'on'\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
        }
        for (name, value) in &self.options.settings {
            settings.push_str(&setting(name, value));
        }
        self.folder.write(&self.data.join("postgresql.conf"), &settings)?;

        let host = if self.options.tls { "hostssl" } else { "host" };
        let method = if self.options.password.is_some() { "scram-sha-256" } else { "trust" };
        // The socket is in a folder that nobody else can enter.
        let access =
            format!("local all,replication all trust\n{host} all,replication all 127.0.0.1/32 {method}\n");
        self.folder.write(&self.data.join("pg_hba.conf"), &access)
    }
}

/// A line of a configuration file.
fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\\', r"\\").replace('\'', "''"))
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The folder of the programs.
fn programs() -> Result<PathBuf> {
    let folders = match env::var_os("VOICEGAIN_TEST_POSTGRES_BIN") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path).chain(packaged()).collect()
        }
    };
    let has_all =
        |folder: &&PathBuf| ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).is_file());
    folders
        .iter()
        .find(has_all)
        .cloned()
        .ok_or(ServerError::Missing { program: "postgres", package: PACKAGE })
}

/// Debian's folders, the newest version first.
fn packaged() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .collect::<Vec<_>>();
    folders.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

/// Mounts a small disk in the folder. The folder's guard knows its name.
fn mount(folder: &Folder, bytes: u64) -> Result<PathBuf> {
    let disk = folder.make("disk")?;
    let Some(account) = folder.account() else {
        return Err(ServerError::failed("mounting a small disk", "only root can"));
    };
    let options = format!("size={bytes},uid={},gid={},mode=0700", account.uid, account.gid);
    let mut mount = tool(find("mount", "mount", &[])?, None, Duration::from_secs(10));
    output("mounting a small disk", mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&disk), None)?;
    Ok(disk)
}
