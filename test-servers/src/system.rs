//! Who runs what: users, programs, and tools that run to their end.

use std::env;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::geteuid;

use crate::{Result, ServerError};

/// The user a server runs as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// If this process is root, the first of these users that exists; otherwise none, the process's own user
    /// will do.
    pub(crate) fn other_than_root(names: &[&str], package: &'static str) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").map_err(ServerError::io("/etc/passwd"))?;
        let found = names.iter().find_map(|name| {
            let mut fields =
                users.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?;
            Some(Self { uid: fields.nth(2)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        });
        let said =
            || format!("there is no user {} to run it as, and it never runs as root", names.join(" or "));
        found.map(Some).ok_or_else(|| ServerError::failed(format!("Debian's {package}"), said()))
    }

    pub(crate) fn of(account: Option<Self>, command: &mut Command) {
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
    }
}

/// A program in one of these folders, or in `PATH`.
pub(crate) fn find(program: &'static str, package: &'static str, folders: &[PathBuf]) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().cloned().chain(env::split_paths(&path));
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or(ServerError::Missing { program, package })
}

/// A command with none of the caller's environment, which is full of settings for clients (`PGHOST`,
/// `ETCDCTL_…`).
pub(crate) fn command(program: impl AsRef<Path>, account: Option<Account>) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .current_dir("/");
    Account::of(account, &mut command);
    command
}

/// A command that is ended after `limit`.
pub(crate) fn tool(program: impl AsRef<Path>, account: Option<Account>, limit: Duration) -> Command {
    let mut command = command("timeout", account);
    command.arg("--kill-after=1").arg(format!("{}", limit.as_secs_f64())).arg(program.as_ref());
    command
}

/// Runs a tool to its end; answers what it printed, without white space at either end.
pub(crate) fn output(what: &str, tool: &mut Command, input: Option<&str>) -> Result<String> {
    let cannot = |error| ServerError::failed(what, format!("{error}"));
    tool.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(cannot)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A tool that ends early says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(cannot)?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = match output.status.code() {
        Some(124 | 137) => format!("no end in time; until then: {printed} {complaint}"),
        _ => format!("{complaint} {printed} ({})", output.status),
    };
    Err(ServerError::failed(what, said.trim()))
}
