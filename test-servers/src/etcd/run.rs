//! Its members as processes.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::origin::origin;
use super::{EtcdBuilder, EtcdCluster, Member, PACKAGE};
use crate::folder::Folder;
use crate::process::{Process, wait_until};
use crate::system::{Account, command, find};
use crate::tls::Certificates;
use crate::{Proxy, Result, ServerError, free_port};

impl EtcdCluster {
    /// Who a member is, for etcd and for restoring a snapshot.
    pub(super) fn identity(&self, member: &Member) -> Vec<String> {
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

    pub(super) fn prepare(options: EtcdBuilder) -> Result<Self> {
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

    pub(super) fn start_all(&self) -> Result<()> {
        for member in &self.members {
            self.spawn(member)?;
        }
        self.members.iter().try_for_each(|member| self.wait_for(member))
    }

    pub(super) fn spawn(&self, member: &Member) -> Result<()> {
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

    pub(super) fn wait_for(&self, member: &Member) -> Result<()> {
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
