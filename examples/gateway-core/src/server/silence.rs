//! Connections on which nothing is asked. hyper's time limits begin once it knows which protocol a connection speaks, and
//! on HTTP/2 they end whoever does not answer a ping, but nobody who does.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::{HEAD_TIMEOUT, UNREAD_TIMEOUT};

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
    /// How often one has begun, been answered further, or ended.
    moves: AtomicU64,
}

/// A request over HTTP/2 is under way as long as this is kept.
#[derive(Debug)]
struct UnderWay {
    heard: Heard,
    waits: bool,
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
    fn request(&self, version: Version) -> Option<UnderWay> {
        let Self(requests) = self;
        if version != Version::HTTP_2 {
            requests.http1.store(true, Ordering::Relaxed);
            return None;
        }
        requests.under_way.fetch_add(1, Ordering::Relaxed);
        let mut under_way = UnderWay { heard: self.clone(), waits: false };
        under_way.set_waiting(true);
        Some(under_way)
    }

    /// Comes when nothing has been heard for too long.
    pub(super) async fn silence(&self) -> Silence {
        let Self(requests) = self;
        let (mut before, mut quiet) = (0, Duration::ZERO);
        loop {
            tokio::time::sleep(HEAD_TIMEOUT).await;
            if requests.http1.load(Ordering::Relaxed) {
                return pending().await;
            }
            let now = requests.moves.load(Ordering::Relaxed);
            let waiting = requests.waiting.load(Ordering::Relaxed) > 0;
            quiet = if now == before && !waiting { quiet + HEAD_TIMEOUT } else { Duration::ZERO };
            before = now;
            let idle = requests.under_way.load(Ordering::Relaxed) == 0;
            if idle && quiet >= HEAD_TIMEOUT {
                return Silence::Idle;
            }
            if quiet >= UNREAD_TIMEOUT {
                return Silence::Unread;
            }
        }
    }
}

impl UnderWay {
    fn set_waiting(&mut self, waits: bool) {
        let Heard(requests) = &self.heard;
        requests.moves.fetch_add(1, Ordering::Relaxed);
        match (self.waits, waits) {
            (false, true) => requests.waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => requests.waiting.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.waits = waits;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.set_waiting(false);
        let Heard(requests) = &self.heard;
        requests.under_way.fetch_sub(1, Ordering::Relaxed);
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

impl<S, A, B> Service<Request<A>> for Hears<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<LastPart<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<A>) -> Self::Future {
        let under_way = self.heard.request(request.version());
        Answering { answer: self.service.call(request), under_way }
    }
}

pin_project! {
    /// An answer that is waited for.
    #[derive(Debug)]
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        under_way: Option<UnderWay>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Answering<F> {
    type Output = Result<Response<LastPart<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        this.under_way.iter_mut().for_each(|under_way| under_way.set_waiting(false));
        Poll::Ready(Ok(answer.map(|body| LastPart { body, under_way: this.under_way.take() })))
    }
}

pin_project! {
    /// The body of an answer, until whose end a request is under way.
    #[derive(Debug)]
    pub(super) struct LastPart<B> {
        #[pin]
        body: B,
        under_way: Option<UnderWay>,
    }
}

impl<B: Body> Body for LastPart<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        this.under_way.iter_mut().for_each(|under_way| under_way.set_waiting(frame.is_pending()));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
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
        let [mut unread, mut waiting] = [(); 2].map(|()| heard.request(Version::HTTP_2).unwrap());
        unread.set_waiting(false);
        assert!(timeout(UNREAD_TIMEOUT * 3, heard.silence()).await.is_err());
        waiting.set_waiting(false);
        let begun = Instant::now();
        assert_eq!(heard.silence().await, Silence::Unread);
        assert_eq!(begun.elapsed(), UNREAD_TIMEOUT + HEAD_TIMEOUT);
        let reading = async {
            for _ in 0..10 {
                tokio::time::sleep(UNREAD_TIMEOUT / 10 * 9).await;
                unread.set_waiting(true);
                unread.set_waiting(false);
            }
        };
        let begun = Instant::now();
        let (silence, ()) = tokio::join!(heard.silence(), reading);
        assert_eq!(silence, Silence::Unread);
        assert!(begun.elapsed() > UNREAD_TIMEOUT * 9);
    }

    #[tokio::test(start_paused = true)]
    async fn http11_is_left_to_hyper() {
        let heard = Heard::default();
        heard.request(Version::HTTP_11);
        assert!(timeout(Duration::from_secs(3600), heard.silence()).await.is_err());
    }
}
