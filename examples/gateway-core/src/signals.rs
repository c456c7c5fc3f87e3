//! What a process is told from outside: to end, or to read its key file again.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::master_keys::KeyFile;
use crate::tls::Tls;

/// How long requests under way may take to finish.
pub const GRACE: Duration = Duration::from_secs(30);

/// What SIGHUP has read again.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The file that the master keys come from, if they come from one.
    pub key_file: Option<KeyFile>,
    /// The certificates and keys of ports.
    pub tls: Vec<Tls>,
}

/// A token that is cancelled by SIGTERM or SIGINT. A second signal ends the process at once. SIGHUP has files read again.
///
/// # Errors
/// If the signals cannot be listened for.
pub fn listen(reloads: Reloads) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut ending = Ending::listen()?;
    reload_on_hangup(reloads)?;
    let told = token.clone();
    tokio::spawn(async move {
        let signal = ending.next().await;
        tracing::info!("ending after {signal}: requests under way have {} s to finish", GRACE.as_secs());
        notify(NotifyState::Stopping);
        told.cancel();
        ending.next().await;
        tracing::warn!("ended at once by a second signal");
        std::process::exit(1);
    });
    Ok(token)
}

/// Tells systemd, if it started this process and waits to be told.
pub(crate) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

#[cfg(unix)]
fn reload_on_hangup(reloads: Reloads) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let Reloads { key_file, tls } = &reloads;
            if key_file.is_none() && tls.is_empty() {
                tracing::info!("SIGHUP: there is no master key file to read again, and no certificate");
            }
            if let Some(key_file) = key_file {
                key_file.reload().await;
            }
            for tls in tls {
                tls.reload().await;
            }
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn reload_on_hangup(_reloads: Reloads) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
struct Ending {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Ending {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Ending;

#[cfg(not(unix))]
impl Ending {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
