//! What a connection is asked, and what becomes of the answers.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::silence::{Heard, UnderWay};
use super::streams::Turn;

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
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, mut request: Request<A>) -> Self::Future {
        let under_way = self.heard.request(request.version());
        if request.method() == Method::CONNECT
            && let Some(tunnel) = self.heard.request(request.version())
        {
            // It goes on behind its answer, as long as whoever keeps what is attached to the request.
            request.extensions_mut().insert(tunnel);
        }
        Answering { answer: self.service.call(request), under_way }
    }
}

pin_project! {
    /// An answer that is waited for.
    #[derive(Debug)]
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        under_way: Option<Arc<UnderWay>>,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for Answering<F> {
    type Output = Result<Response<Answer<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        it_is(Turn::Clients, this.under_way.as_deref());
        Poll::Ready(Ok(answer.map(|body| Answer { body, under_way: this.under_way.take() })))
    }
}

pin_project! {
    /// The body of an answer.
    #[derive(Debug)]
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        under_way: Option<Arc<UnderWay>>,
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = Part<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        it_is(if frame.is_pending() { Turn::Ours } else { Turn::Clients }, this.under_way.as_deref());
        let part = |data| Part { data, unread: this.under_way.clone().map(Unread) };
        frame.map_ok(|frame| frame.map_data(part))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Says so on the stream, and on the connection.
fn it_is(turn: Turn, under_way: Option<&UnderWay>) {
    turn.is_known();
    if let Some(under_way) = under_way {
        under_way.set(turn);
    }
}

/// A part of an answer, until it is written: the last one may be held for longer than the answer's body.
#[derive(Debug)]
pub(super) struct Part<D> {
    data: D,
    unread: Option<Unread>,
}

/// Something is heard of the client when it takes this.
#[derive(Debug)]
struct Unread(Arc<UnderWay>);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.moves();
    }
}

impl<D: Buf> Buf for Part<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, parts: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(parts)
    }

    fn advance(&mut self, count: usize) {
        if let Some(Unread(under_way)) = &self.unread {
            under_way.moves();
        }
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.data.copy_to_bytes(length)
    }
}
