//! TLS on a port, whose files are read again when they change.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::error::TlsError;
pub(crate) use self::files::TlsFiles;
use self::files::{Loaded, Stamp};
pub use self::stream::Stream;
use crate::server::{WELCOME, WriteLimit};

mod error;
mod files;
mod stream;
#[cfg(test)]
mod tests;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// TLS as a port speaks it. Cloning is cheap, and all clones change together.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    current: RwLock<Loaded>,
    /// Held while the files are read again: who began later must not come before who began earlier.
    reading: Mutex<()>,
    /// Tells when the certificate ends.
    not_after: OnceLock<IntGauge>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// With these files. As long as a clone is there, a task on the current runtime takes note of their changes.
    ///
    /// # Errors
    /// If they are not what they should be.
    pub(crate) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = files.stamp();
        let loaded = files.load()?;
        if loaded.has_ended() {
            tracing::warn!(file = %files.cert.display(), "the certificate has expired");
        }
        let (current, reading) = (RwLock::new(loaded), Mutex::default());
        let inner = Arc::new(Inner { files, current, reading, not_after: OnceLock::new() });
        tokio::spawn(watch(Arc::downgrade(&inner), stamp));
        Ok(Self(inner))
    }

    /// Has this show when the certificate ends, in seconds since the Unix epoch.
    pub(crate) fn show_end(&self, gauge: IntGauge) {
        gauge.set(self.current().not_after);
        // Once is enough: a port has one.
        _ = self.0.not_after.set(gauge);
    }

    /// Shakes hands with a client. Connections that are open already stay as they are when the files change.
    ///
    /// # Errors
    /// If the client does not speak TLS or has no certificate where one is asked for, or takes too long; after `shutdown` it
    /// has as long as for a first request.
    pub fn accept(
        &self,
        stream: WriteLimit<TcpStream>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<Stream>> + Send + use<> {
        let acceptor = TlsAcceptor::from(self.current().config);
        async move {
            let end = async {
                shutdown.cancelled().await;
                sleep(WELCOME).await;
            };
            tokio::select! {
                shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => Ok(Stream::tls(shaken??)),
                () = end => Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Reads the files again. If anything is wrong with them, what was read before stays. Says in the log which it was.
    pub async fn reload(&self) {
        self.read_again(true).await;
    }

    /// Whether the files could be read; a failure is told if it is news.
    async fn read_again(&self, is_news: bool) -> bool {
        let _reading = self.0.reading.lock().await;
        let inner = Arc::clone(&self.0);
        // Files block.
        let read = tokio::task::spawn_blocking(move || inner.files.load()).await;
        let file = self.0.files.cert.display();
        match read {
            Ok(Ok(loaded)) => {
                if let Some(gauge) = self.0.not_after.get() {
                    gauge.set(loaded.not_after);
                }
                if loaded.has_ended() {
                    tracing::warn!(%file, "the certificate has expired");
                }
                tracing::info!(%file, not_after = loaded.end(), "the certificate was read again");
                *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                return true;
            }
            Ok(Err(error)) if is_news => {
                tracing::error!(%file, %error, "the certificate stays as it is until the files are put right");
            }
            Err(error) if is_news => {
                tracing::error!(%file, %error, "the certificate could not be read again")
            }
            _ => {}
        }
        false
    }

    fn current(&self) -> Loaded {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the files now and then. By what they are and not by events: those of a network's file system do not come, and
/// where a link is changed they tell of something else.
async fn watch(inner: Weak<Inner>, mut seen: Stamp) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = None;
    loop {
        ticks.tick().await;
        let Some(tls) = inner.upgrade().map(Tls) else { return };
        // Taken before they are read: what changes meanwhile is read once more. Certificate and key come one after the other,
        // and do not fit until both have.
        let stamp = tls.0.files.stamp();
        if stamp != seen {
            // That may also have been for want of memory, or of files: it is tried until it works, and told once.
            let is_news = failed.as_ref() != Some(&stamp);
            if tls.read_again(is_news).await {
                seen = stamp;
            } else {
                failed = Some(stamp);
            }
        }
    }
}
