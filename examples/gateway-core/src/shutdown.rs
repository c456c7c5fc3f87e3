//! The end of the process: no new requests, and time for those under way.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long requests under way may take to finish.
pub const GRACE: Duration = Duration::from_secs(30);

/// A token that is cancelled by SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// If the signals cannot be listened for.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let told = token.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("ending: requests under way have {} s to finish", GRACE.as_secs());
        told.cancel();
        signals.next().await;
        tracing::warn!("ended at once by a second signal");
        std::process::exit(1);
    });
    Ok(token)
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
