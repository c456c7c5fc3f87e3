//! What a server is made of before it starts.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::disk::mount;
use super::{PACKAGE, Postgres, PostgresBuilder};
use crate::folder::Folder;
use crate::process::LIMIT;
use crate::system::{Account, output, tool};
use crate::tls::Certificates;
use crate::{Result, ServerError, free_port};

impl Postgres {
    /// All but the data.
    pub(super) fn prepare(options: PostgresBuilder) -> Result<Self> {
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

    pub(super) fn initialise(&self) -> Result<()> {
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
pub(super) fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\\', r"\\").replace('\'', "''"))
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
