mod ask;
mod origin;
mod run;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::Signal;

use crate::folder::Folder;
use crate::process::{Process, running};
use crate::tls::Certificates;
use crate::{Proxy, Result, ServerError};

const PACKAGE: &str = "etcd-server";

/// How an [`EtcdCluster`] is started.
#[derive(Debug, Clone)]
pub struct EtcdBuilder {
    members: usize,
    tls: bool,
    password: Option<String>,
    fsync: bool,
    settings: Vec<String>,
}

impl EtcdBuilder {
    /// How many members, 1 if it is not called.
    #[must_use]
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Whether clients must use TLS; see [`EtcdCluster::ca_certificate`].
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// Turns authentication on, with this password of the user `root`.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Whether writes wait for the disk. They do if this is not called.
    #[must_use]
    pub fn fsync(mut self, on: bool) -> Self {
        self.fsync = on;
        self
    }

    /// Any other flag of etcd, without its dashes.
    #[must_use]
    pub fn setting(mut self, flag: &str, value: &str) -> Self {
        self.settings.push(format!("--{flag}={value}"));
        self
    }

    /// Starts the cluster.
    ///
    /// # Errors
    /// If etcd is not installed, or the cluster does not become healthy.
    pub fn start(self) -> Result<EtcdCluster> {
        let cluster = EtcdCluster::prepare(self)?;
        cluster.start_all()?;
        if let Some(password) = &cluster.options.password {
            let root = format!("root:{password}");
            cluster.etcdctl_with(&cluster.endpoints(), None, &["user", "add", &root])?;
            for arguments in
                [&["role", "add", "root"][..], &["user", "grant-role", "root", "root"], &["auth", "enable"]]
            {
                cluster.etcdctl_with(&cluster.endpoints(), None, arguments)?;
            }
        }
        Ok(cluster)
    }
}

/// An etcd cluster on free ports of 127.0.0.1. Members are named by their index, from 0.
///
/// It ends, and its data goes, when this is dropped or the process ends.
#[derive(Debug)]
pub struct EtcdCluster {
    // The members before the folder: fields are dropped in this order.
    members: Vec<Member>,
    options: EtcdBuilder,
    etcd: PathBuf,
    etcdctl: PathBuf,
    certificates: Option<Certificates>,
    snapshots: AtomicU64,
    folder: Folder,
}

/// The keys of a cluster at one time; it goes with the cluster that it was taken from.
#[derive(Debug)]
pub struct EtcdSnapshot(PathBuf);

#[derive(Debug)]
struct Member {
    process: Mutex<Option<Process>>,
    name: String,
    home: PathBuf,
    client_port: u16,
    peer_port: u16,
    /// In front of the port for other members.
    proxy: Proxy,
    /// The id of its process now, for the proxies to tell who connects.
    id: Arc<AtomicU32>,
    isolated: Mutex<bool>,
}

impl Member {
    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn isolated(&self) -> MutexGuard<'_, bool> {
        self.isolated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it runs and is not paused.
    fn is_up(&self) -> bool {
        self.process().as_mut().is_some_and(|process| !process.is_paused() && !process.has_ended())
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.client_port))
    }

    fn log(&self) -> String {
        format!("{}.log", self.name)
    }
}

impl EtcdCluster {
    /// Starts a cluster of this many members.
    ///
    /// # Errors
    /// If etcd is not installed, or the cluster does not become healthy.
    pub fn start(members: usize) -> Result<Self> {
        Self::builder().members(members).start()
    }

    /// Settings for a cluster.
    pub fn builder() -> EtcdBuilder {
        EtcdBuilder { members: 1, tls: false, password: None, fsync: true, settings: Vec::new() }
    }

    /// One member for all tests of a process, for those that neither stop nor compact it; each keeps to a
    /// prefix of its own. It is quick (no fsync).
    ///
    /// # Errors
    /// If it did not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<std::result::Result<EtcdCluster, String>> = OnceLock::new();
        let start = || EtcdCluster::builder().fsync(false).start().map_err(|error| error.to_string());
        SHARED.get_or_init(start).as_ref().map_err(|said| ServerError::failed("the shared etcd", said))
    }

    /// The members' URLs for clients: `http://127.0.0.1:port`, or `https` if clients must use TLS.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| self.endpoint(member)).collect()
    }

    /// Where the members listen for clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Member::address).collect()
    }

    /// The certificate of the authority that signed the members', if clients must use TLS.
    pub fn ca_certificate(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|certificates| certificates.authority.as_path())
    }

    /// A member's log.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn log(&self, member: usize) -> Result<String> {
        Ok(self.folder.read(&self.member(member)?.log()))
    }

    /// Kills a member at once.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self, member: usize) -> Result<()> {
        let mut process = self.member(member)?.process();
        running(&mut process)?.kill()?;
        *process = None;
        Ok(())
    }

    /// Ends a member in good order. It can be [started again](Self::start_again).
    ///
    /// # Errors
    /// If it does not run, or does not end.
    pub fn stop(&self, member: usize) -> Result<()> {
        let mut process = self.member(member)?.process();
        running(&mut process)?.stop(Signal::TERM)?;
        *process = None;
        Ok(())
    }

    /// Stops a member in its tracks: connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self, member: usize) -> Result<()> {
        running(&mut self.member(member)?.process())?.pause()
    }

    /// A member goes on after a [`pause`](Self::pause).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self, member: usize) -> Result<()> {
        running(&mut self.member(member)?.process())?.resume();
        Ok(())
    }

    /// Starts a member that has ended, on the same ports and with its data. When this returns it is healthy,
    /// or, if there is no majority for it to join, it takes connections.
    ///
    /// # Errors
    /// If it runs, or does not start.
    pub fn start_again(&self, member: usize) -> Result<()> {
        let member = self.member(member)?;
        self.spawn(member)?;
        self.wait_for(member)
    }

    /// Cuts a member off from the others, both ways, as a broken network would; clients still reach it.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn isolate(&self, member: usize) -> Result<()> {
        let leaving = self.member(member)?;
        *leaving.isolated() = true;
        for (index, other) in self.members.iter().enumerate() {
            if index != member {
                other.proxy.isolate(member);
                leaving.proxy.isolate(index);
            }
        }
        Ok(())
    }

    /// Lets a member that was [isolated](Self::isolate) reach the others again.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn rejoin(&self, member: usize) -> Result<()> {
        let rejoining = self.member(member)?;
        *rejoining.isolated() = false;
        for (index, other) in self.members.iter().enumerate() {
            if index != member && !*other.isolated() {
                other.proxy.rejoin(member);
                rejoining.proxy.rejoin(index);
            }
        }
        Ok(())
    }

    fn member(&self, index: usize) -> Result<&Member> {
        self.members
            .get(index)
            .ok_or_else(|| ServerError::failed("etcd", format!("there is no member {index}")))
    }

    fn endpoint(&self, member: &Member) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", member.address())
    }
}
