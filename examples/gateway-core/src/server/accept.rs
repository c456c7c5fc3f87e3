//! How connections get in.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::{WriteLimit, of_client};

/// A port that a limited number of connections may be open on.
#[derive(Debug)]
pub(super) struct Port {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// What is said about connections that wait, and about those that fail.
    full: Seldom,
    failed: Seldom,
}

impl Port {
    pub(super) fn new(listener: TcpListener, max_connections: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, places, full: Seldom::default(), failed: Seldom::default() }
    }

    /// The next connection, once there is a place for it, which it keeps until its end. Until then it waits where the system
    /// has it.
    pub(super) async fn next(&mut self) -> (WriteLimit<TcpStream>, SocketAddr) {
        if self.places.available_permits() == 0 && self.full.is_time() {
            tracing::warn!(
                "as many connections are open as may be, others wait: the limit on open files allows no more; raise it \
                 (ulimit -Hn, or LimitNOFILE of a systemd unit)"
            );
        }
        let Ok(place) = self.places.clone().acquire_owned().await else {
            // Nobody closes it.
            return pending().await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, client)) => return (of_client(stream).in_place(place), client),
                Err(error) => {
                    if self.failed.is_time() {
                        tracing::warn!(
                            %error,
                            "a connection could not be accepted; if too many files are open, raise the limit on them \
                             (ulimit -Hn, or LimitNOFILE of a systemd unit)"
                        );
                    }
                    // Out of file descriptors, say: some must be given back first.
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Tells what has been said long enough ago to be said again.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    const EVERY: Duration = Duration::from_secs(1);

    fn is_time(&mut self) -> bool {
        let Self(last) = self;
        let is_time = last.is_none_or(|last| last.elapsed() >= Self::EVERY);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_second() {
        let mut seldom = Seldom::default();
        let mut said = 0;
        for _ in 0..200 {
            said += u32::from(seldom.is_time());
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(said, 10);
    }

    #[tokio::test]
    async fn a_connection_keeps_its_place_until_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut port = Port::new(listener, 2);
        let _clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
        let [first, _second] = [port.next().await, port.next().await];
        let moment = Duration::from_millis(100);
        assert!(tokio::time::timeout(moment, port.next()).await.is_err(), "the third waits");
        drop(first);
        port.next().await;
    }
}
