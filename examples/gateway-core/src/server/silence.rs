//! Connections on which nothing is asked. hyper's time limits begin once it knows which protocol a connection speaks, and
//! on HTTP/2 they end whoever does not answer a ping, but nobody who does.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, Version};
use hyper::service::Service;

use super::HEAD_TIMEOUT;

/// What has been heard on a connection: how many requests over HTTP/2, or one over HTTP/1.1.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

/// One request over HTTP/1.1, where hyper watches the time until the next one.
const HTTP1: u64 = u64::MAX;

impl Heard {
    fn request(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.0.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.store(HTTP1, Ordering::Relaxed);
        }
    }

    /// Comes when nothing has been heard for [`HEAD_TIMEOUT`], and before it has been that twice. Over HTTP/2 requests may
    /// be under way all the same.
    pub(super) async fn silence(&self) {
        let mut before = 0;
        loop {
            tokio::time::sleep(HEAD_TIMEOUT).await;
            match self.0.load(Ordering::Relaxed) {
                HTTP1 => return pending().await,
                now if now == before => return,
                now => before = now,
            }
        }
    }
}

/// A connection's service, and what is heard by it.
#[derive(Debug)]
pub(super) struct Hears<S> {
    service: S,
    heard: Heard,
}

impl<S> Hears<S> {
    pub(super) fn new(service: S, heard: Heard) -> Self {
        Self { service, heard }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Hears<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<B>) -> S::Future {
        self.heard.request(request.version());
        self.service.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

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
                heard.request(Version::HTTP_2);
                tokio::time::sleep(HEAD_TIMEOUT / 2).await;
            }
            pending().await
        };
        tokio::select! { () = heard.silence() => {}, () = asking => {} }
        let since = begun.elapsed() - HEAD_TIMEOUT / 2 * 9;
        assert!(since >= HEAD_TIMEOUT && since <= 2 * HEAD_TIMEOUT, "{since:?} behind the last request");
    }

    #[tokio::test(start_paused = true)]
    async fn http11_is_left_to_hyper() {
        let heard = Heard::default();
        heard.request(Version::HTTP_11);
        assert!(timeout(Duration::from_secs(3600), heard.silence()).await.is_err());
    }
}
