//! Connections on which nothing is asked. hyper's time limits begin once it knows which protocol a connection speaks, and
//! on HTTP/2 they end whoever does not answer a ping, but nobody who does.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::streams::Turn;
use super::{HEAD_TIMEOUT, UNREAD_TIMEOUT};

/// How long a connection that is to end is kept if nothing was ever asked on it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Before that, how long its first request has to come.
pub(crate) const WELCOME: Duration = Duration::from_millis(750);

/// What has been heard on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    /// One over HTTP/1.1, where hyper watches the time until the next one.
    http1: AtomicBool,
    /// Those over HTTP/2.
    under_way: AtomicU64,
    /// Those of them whose answer is not there yet, or its next part.
    waiting: AtomicU64,
    /// How often one has begun, been answered further, been read further, or ended.
    moves: AtomicU64,
    /// Whatever begins now comes too late.
    closed: AtomicBool,
    /// Told of every request.
    asked: Notify,
}

/// A request over HTTP/2 is under way as long as this is kept: with its answer's body and with every part of it that is
/// not written, or with a tunnel.
#[derive(Debug)]
pub(super) struct UnderWay {
    heard: Heard,
    waits: AtomicBool,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing is asked.
    Idle,
    /// Nothing is read of what was asked for.
    Unread,
}

impl Heard {
    pub(super) fn request(&self, version: Version) -> Option<Arc<UnderWay>> {
        let Self(requests) = self;
        requests.asked.notify_one();
        if version != Version::HTTP_2 {
            requests.http1.store(true, Ordering::Relaxed);
            return None;
        }
        if requests.closed.load(Ordering::Relaxed) {
            return None;
        }
        requests.under_way.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay { heard: self.clone(), waits: AtomicBool::new(false) };
        under_way.count(true);
        Some(Arc::new(under_way))
    }

    /// Comes when nothing has been heard for too long.
    pub(super) async fn silence(&self) -> Silence {
        let Self(requests) = self;
        let (mut before, mut quiet) = (0, Duration::ZERO);
        loop {
            sleep(HEAD_TIMEOUT).await;
            if requests.http1.load(Ordering::Relaxed) {
                return pending().await;
            }
            let now = requests.moves.load(Ordering::Relaxed);
            let waiting = requests.waiting.load(Ordering::Relaxed) > 0;
            quiet = if now == before && !waiting { quiet + HEAD_TIMEOUT } else { Duration::ZERO };
            before = now;
            if self.is_idle() && quiet >= HEAD_TIMEOUT {
                return Silence::Idle;
            }
            if quiet >= UNREAD_TIMEOUT {
                return Silence::Unread;
            }
        }
    }

    /// Comes when something has been asked, or has not for too long. Until then hyper would close a connection that is to end,
    /// also if its first request is on the way: its client could not know that.
    pub(super) async fn first_request(&self) {
        // What was asked before has left its mark here.
        let _ = timeout(WELCOME, self.0.asked.notified()).await;
    }

    /// Comes when a connection that was told to end has had its time: for requests that its client sent before it knew, for
    /// those under way, and for its own part.
    pub(super) async fn rest(&self) {
        let Self(requests) = self;
        let was_asked =
            || requests.http1.load(Ordering::Relaxed) || requests.moves.load(Ordering::Relaxed) > 0;
        sleep(if was_asked() { HEAD_TIMEOUT } else { FAREWELL }).await;
        requests.closed.store(true, Ordering::Relaxed);
        if !was_asked() {
            // An unfinished head is no request.
            return;
        }
        if requests.http1.load(Ordering::Relaxed) || !self.is_idle() {
            self.silence().await;
        }
    }

    fn is_idle(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) == 0
    }
}

impl UnderWay {
    /// Notes whose turn it is.
    pub(super) fn set(&self, turn: Turn) {
        self.count(turn == Turn::Ours);
    }

    /// Something has been heard.
    pub(super) fn moves(&self) {
        self.heard.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, waits: bool) {
        self.moves();
        let waiting = &self.heard.0.waiting;
        match (self.waits.swap(waits, Ordering::Relaxed), waits) {
            (false, true) => waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => waiting.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.count(false);
        self.heard.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_ends_with_the_time_for_its_head() {
        let begun = Instant::now();
        Heard::default().silence().await;
        assert_eq!(begun.elapsed(), HEAD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_ends_once_nothing_more_is_asked() {
        let heard = Heard::default();
        let begun = Instant::now();
        let asking = async {
            for _ in 0..10 {
                drop(heard.request(Version::HTTP_2));
                tokio::time::sleep(HEAD_TIMEOUT / 2).await;
            }
            pending().await
        };
        tokio::select! { silence = heard.silence() => assert_eq!(silence, Silence::Idle), () = asking => {} }
        let since = begun.elapsed() - HEAD_TIMEOUT / 2 * 9;
        assert!(since >= HEAD_TIMEOUT && since <= 2 * HEAD_TIMEOUT, "{since:?} behind the last request");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_no_silence() {
        let heard = Heard::default();
        let under_way = heard.request(Version::HTTP_2);
        assert!(timeout(HEAD_TIMEOUT * 100, heard.silence()).await.is_err());
        drop(under_way);
        assert_eq!(timeout(HEAD_TIMEOUT * 3, heard.silence()).await, Ok(Silence::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_ends_its_connection_and_one_that_is_waited_for_does_not() {
        let heard = Heard::default();
        let [unread, waiting] = [(); 2].map(|()| heard.request(Version::HTTP_2).unwrap());
        unread.set(Turn::Clients);
        assert!(timeout(UNREAD_TIMEOUT * 3, heard.silence()).await.is_err());
        waiting.set(Turn::Clients);
        let begun = Instant::now();
        assert_eq!(heard.silence().await, Silence::Unread);
        assert_eq!(begun.elapsed(), UNREAD_TIMEOUT + HEAD_TIMEOUT);
        let reading = async {
            for _ in 0..10 {
                tokio::time::sleep(UNREAD_TIMEOUT / 10 * 9).await;
                unread.set(Turn::Ours);
                unread.set(Turn::Clients);
            }
        };
        let begun = Instant::now();
        let (silence, ()) = tokio::join!(heard.silence(), reading);
        assert_eq!(silence, Silence::Unread);
        assert!(begun.elapsed() > UNREAD_TIMEOUT * 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_to_end_is_kept_for_what_is_under_way_and_no_longer() {
        let ends = async |heard: &Heard| {
            let begun = Instant::now();
            timeout(HEAD_TIMEOUT * 100, heard.rest()).await.is_ok().then(|| begun.elapsed())
        };
        assert_eq!(ends(&Heard::default()).await, Some(FAREWELL));
        let heard = Heard::default();
        drop(heard.request(Version::HTTP_2));
        assert_eq!(ends(&heard).await, Some(HEAD_TIMEOUT));
        let heard = Heard::default();
        let under_way = heard.request(Version::HTTP_2);
        assert_eq!(ends(&heard).await, None, "it goes on");
        assert!(heard.request(Version::HTTP_2).is_none(), "no other counts any longer");
        under_way.unwrap().set(Turn::Clients);
        assert!(ends(&heard).await.is_some_and(|time| time <= UNREAD_TIMEOUT + 2 * HEAD_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn http11_is_left_to_hyper() {
        let heard = Heard::default();
        heard.request(Version::HTTP_11);
        assert!(timeout(Duration::from_secs(3600), heard.silence()).await.is_err());
    }
}
