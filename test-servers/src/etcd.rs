use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::process::{LIMIT, Process, running, wait_until};
use crate::proxy::Origin;
use crate::system::{Account, command, find, output, tool};
use crate::tls::Certificates;
use crate::{Proxy, Result, ServerError, free_port};

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

    /// The leader's index; waits until a majority of the members that can be asked agree on one.
    ///
    /// # Errors
    /// If there is none within a minute.
    pub fn leader(&self) -> Result<usize> {
        let mut leader = None;
        wait_until("etcd to have a leader", || {
            let mut ids = Vec::new();
            let mut told = Vec::new();
            for member in 0..self.members.len() {
                // A member that is down has no say.
                let Ok(status) = self.status(member) else { continue };
                ids.push((member, status.member));
                told.push(status.leader);
            }
            let majority = self.members.len() / 2;
            let agreed = |id: u64| told.iter().filter(|told| **told == id).count() > majority;
            leader = ids.into_iter().find(|(_, id)| agreed(*id)).map(|(member, _)| member);
            Ok(leader.is_some())
        })?;
        leader.ok_or_else(|| ServerError::failed("etcd", "no leader"))
    }

    /// Compacts the history up to the current revision.
    ///
    /// # Errors
    /// If the cluster cannot.
    pub fn compact(&self) -> Result<()> {
        let revision = self.revision()?;
        self.etcdctl(&["compaction", &revision.to_string(), "--physical"]).map(drop)
    }

    /// The current revision.
    ///
    /// # Errors
    /// If the cluster cannot say.
    pub fn revision(&self) -> Result<u64> {
        // A read that a majority confirms, whose header has it.
        let read = self.etcdctl(&["get", "no such key", "--write-out=fields"])?;
        field(&read, "Revision")
    }

    /// Saves the keys as they are now.
    ///
    /// # Errors
    /// If no member can be asked.
    pub fn snapshot(&self) -> Result<EtcdSnapshot> {
        let number = self.snapshots.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("snapshot_{number}"));
        // Asked of the leader, which has everything that was acknowledged.
        self.etcdctl_at(self.leader()?, &["snapshot", "save", &path.to_string_lossy()])?;
        Ok(EtcdSnapshot(path))
    }

    /// Kills every member, and starts all again with the keys of a snapshot: on the same ports, the store as
    /// it was.
    ///
    /// # Errors
    /// If it cannot be restored, or the cluster does not become healthy.
    pub fn restore(&self, snapshot: &EtcdSnapshot) -> Result<()> {
        for member in &self.members {
            // Kills it, if it runs.
            *member.process() = None;
        }
        for member in &self.members {
            let data = member.home.join("data");
            if data.exists() {
                fs::remove_dir_all(&data).map_err(ServerError::io(&data))?;
            }
            let mut restore = tool(&self.etcdctl, self.folder.account(), LIMIT);
            restore.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(&snapshot.0);
            restore.args(self.identity(member)).arg("--data-dir").arg(data);
            output("etcdctl snapshot restore", &mut restore, None)?;
        }
        self.start_all()
    }

    /// Runs `etcdctl` against the members that run; answers what it prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn etcdctl(&self, arguments: &[&str]) -> Result<String> {
        let up = self.members.iter().filter(|member| member.is_up());
        let endpoints = up.map(|member| self.endpoint(member)).collect::<Vec<_>>();
        self.etcdctl_with(&endpoints, self.options.password.as_deref(), arguments)
    }

    /// Runs `etcdctl` against one member; answers what it prints.
    ///
    /// # Errors
    /// If it fails, or there is no such member.
    pub fn etcdctl_at(&self, member: usize, arguments: &[&str]) -> Result<String> {
        let endpoint = self.endpoint(self.member(member)?);
        self.etcdctl_with(&[endpoint], self.options.password.as_deref(), arguments)
    }

    fn etcdctl_with(
        &self,
        endpoints: &[String],
        password: Option<&str>,
        arguments: &[&str],
    ) -> Result<String> {
        let mut etcdctl = tool(&self.etcdctl, self.folder.account(), LIMIT);
        etcdctl.env("ETCDCTL_API", "3").args(["--command-timeout=10s", "--dial-timeout=5s"]);
        etcdctl.arg(format!("--endpoints={}", endpoints.join(",")));
        if let Some(certificate) = self.ca_certificate() {
            etcdctl.arg("--cacert").arg(certificate);
        }
        if let Some(password) = password {
            etcdctl.arg(format!("--user=root:{password}"));
        }
        let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        output(&format!("etcdctl {what}"), etcdctl.args(arguments), None)
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

    fn status(&self, member: usize) -> Result<Status> {
        if !self.member(member)?.is_up() {
            return Err(ServerError::failed("etcd", "the member does not run"));
        }
        let said =
            self.etcdctl_at(member, &["--command-timeout=2s", "endpoint", "status", "--write-out=fields"])?;
        Ok(Status { member: field(&said, "MemberID")?, leader: field(&said, "Leader")? })
    }

    /// Who a member is, for etcd and for restoring a snapshot.
    fn identity(&self, member: &Member) -> Vec<String> {
        let url = |member: &Member| format!("http://{}", member.proxy.address());
        let all =
            self.members.iter().map(|member| format!("{}={}", member.name, url(member))).collect::<Vec<_>>();
        vec![
            format!("--name={}", member.name),
            format!("--initial-advertise-peer-urls={}", url(member)),
            format!("--initial-cluster={}", all.join(",")),
            "--initial-cluster-token=test".to_owned(),
        ]
    }

    fn prepare(options: EtcdBuilder) -> Result<Self> {
        if options.members == 0 {
            return Err(ServerError::failed("etcd", "a cluster has at least one member"));
        }
        let (etcd, etcdctl) = programs()?;
        let folder = Folder::create(Account::other_than_root(&["etcd", "nobody"], PACKAGE)?)?;
        let certificates = match options.tls {
            true => Some(Certificates::create(&folder, &folder.make("tls")?)?),
            false => None,
        };
        let ids = (0..options.members).map(|_| Arc::new(AtomicU32::new(0))).collect::<Vec<_>>();
        let mut members = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            let name = format!("member_{index}");
            let (client_port, peer_port) = (free_port()?, free_port()?);
            let peers = SocketAddr::from((Ipv4Addr::LOCALHOST, peer_port));
            members.push(Member {
                process: Mutex::new(None),
                home: folder.make(&name)?,
                name,
                client_port,
                peer_port,
                proxy: Proxy::start_with(peers, origin(ids.clone()))?,
                id: Arc::clone(id),
                isolated: Mutex::new(false),
            });
        }
        Ok(Self { members, options, etcd, etcdctl, certificates, snapshots: AtomicU64::new(1), folder })
    }

    fn start_all(&self) -> Result<()> {
        for member in &self.members {
            self.spawn(member)?;
        }
        self.members.iter().try_for_each(|member| self.wait_for(member))
    }

    fn spawn(&self, member: &Member) -> Result<()> {
        let mut process = member.process();
        if process.as_mut().is_some_and(|process| !process.has_ended()) {
            return Err(ServerError::failed("starting etcd", "it runs"));
        }
        let mut etcd = command(&self.etcd, self.folder.account());
        etcd.arg("--data-dir").arg(member.home.join("data")).args(self.identity(member));
        etcd.arg(format!("--listen-peer-urls=http://127.0.0.1:{}", member.peer_port));
        etcd.arg(format!("--listen-client-urls={}", self.endpoint(member)));
        etcd.arg(format!("--advertise-client-urls={}", self.endpoint(member)));
        etcd.args(["--initial-cluster-state=new", "--logger=zap"]).args(&self.options.settings);
        if !self.options.fsync {
            etcd.arg("--unsafe-no-fsync");
        }
        if let Some(certificates) = &self.certificates {
            etcd.arg("--cert-file").arg(&certificates.certificate).arg("--key-file").arg(&certificates.key);
        }
        let started = Process::start(&mut etcd, &self.folder, &member.home, &member.log())?;
        member.id.store(started.id(), Ordering::SeqCst);
        *process = Some(started);
        Ok(())
    }

    fn wait_for(&self, member: &Member) -> Result<()> {
        wait_until("etcd to start", || {
            if !member.is_up() {
                return Err(ServerError::failed(
                    "etcd ended while it started",
                    self.folder.read(&member.log()),
                ));
            }
            if TcpStream::connect_timeout(&member.address(), Duration::from_secs(1)).is_err() {
                return Ok(false);
            }
            let able = self.members.iter().filter(|member| member.is_up() && !*member.isolated()).count();
            if *member.isolated() || able <= self.members.len() / 2 {
                return Ok(true);
            }
            // A read that waits for a majority. An error about permission is an answer too: there may be
            // users.
            let endpoint = self.endpoint(member);
            let health = ["--command-timeout=2s", "endpoint", "health"];
            Ok(self.etcdctl_with(&[endpoint], self.options.password.as_deref(), &health).is_ok())
        })
    }
}

struct Status {
    member: u64,
    leader: u64,
}

/// A number from what `etcdctl --write-out=fields` prints.
fn field(said: &str, name: &str) -> Result<u64> {
    let prefix = format!("\"{name}\" : ");
    let value = said.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok());
    value.ok_or_else(|| ServerError::failed(format!("{name} of etcd"), said))
}

/// `etcd` and `etcdctl`.
fn programs() -> Result<(PathBuf, PathBuf)> {
    let etcd = match env::var_os("VOICEGAIN_TEST_ETCD").map(PathBuf::from) {
        Some(path) if path.is_file() => path,
        Some(_) => return Err(ServerError::Missing { program: "etcd", package: PACKAGE }),
        None => find("etcd", PACKAGE, &[])?,
    };
    let beside = etcd.parent().map(Path::to_path_buf);
    let etcdctl = find("etcdctl", "etcd-client", beside.as_slice())?;
    Ok((etcd, etcdctl))
}

/// Tells by whose socket it is which member a connection comes from: they all connect from the same address.
fn origin(members: Vec<Arc<AtomicU32>>) -> Origin {
    Arc::new(move |from, to| {
        let socket = format!("socket:[{}]", inode(from, to)?);
        members.iter().position(|id| {
            let files = fs::read_dir(format!("/proc/{}/fd", id.load(Ordering::SeqCst)));
            files.into_iter().flatten().flatten().any(|file| {
                fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
            })
        })
    })
}

/// The inode of the socket with this local and this remote address. One local address may have several sockets, to
/// different ends, some of them long closed.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let ends = [hexadecimal(local)?, hexadecimal(remote)?];
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|fields| fields.get(1..3).is_some_and(|found| found == ends))?.get(9)?.parse().ok()
}

/// An address as `/proc/net/tcp` writes it.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_told_from_others_of_its_local_address() {
        let servers = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut clients = Vec::new();
        for server in &servers {
            let client = TcpSocket::new_v4().unwrap();
            client.set_reuseaddr(true).unwrap();
            client.bind(local).unwrap();
            clients.push(client.connect(server.local_addr().unwrap()).await.unwrap());
        }
        for client in &clients {
            let file = fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
            let found = inode(local, client.peer_addr().unwrap()).unwrap();
            assert_eq!(file.as_os_str(), format!("socket:[{found}]").as_str());
        }
        assert_eq!(inode(local, SocketAddr::from((Ipv4Addr::LOCALHOST, 1))), None);
    }
}
