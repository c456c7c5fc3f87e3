//! What it is asked with `etcdctl`.

use std::fs;
use std::sync::atomic::Ordering;

use super::{EtcdCluster, EtcdSnapshot};
use crate::process::{LIMIT, wait_until};
use crate::system::{output, tool};
use crate::{Result, ServerError};

impl EtcdCluster {
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

    pub(super) fn etcdctl_with(
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

    fn status(&self, member: usize) -> Result<Status> {
        if !self.member(member)?.is_up() {
            return Err(ServerError::failed("etcd", "the member does not run"));
        }
        let said =
            self.etcdctl_at(member, &["--command-timeout=2s", "endpoint", "status", "--write-out=fields"])?;
        Ok(Status { member: field(&said, "MemberID")?, leader: field(&said, "Leader")? })
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
