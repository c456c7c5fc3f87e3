//! Bodies between actix's workers, whose streams stay on their thread, and the shared runtime.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::PayloadError;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{StreamExt as _, TakeUntil};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use voicegain_auth_core::RequestId;
use voicegain_gateway_core::GatewayBody;
use voicegain_gateway_core::forward::BoxError;

use crate::connection::Requests;

/// How many pieces of a body wait between the threads.
const PIECES: usize = 2;

/// What a client sends behind a head, on the worker's thread.
pub struct Payload {
    inner: web::Payload,
    requests: Option<Rc<Requests>>,
}

impl Payload {
    /// That of a request.
    pub fn new(inner: web::Payload, request: &HttpRequest) -> Self {
        Self { inner, requests: request.conn_data().cloned() }
    }

    async fn next(&mut self) -> Option<Result<Bytes, PayloadError>> {
        if let Some(piece) = self.next_at_once() {
            return piece;
        }
        let wanted = self.requests.as_ref().map(|requests| requests.want_body());
        let piece = self.inner.next().await;
        drop(wanted);
        self.seen(piece)
    }

    /// If it is there already.
    fn next_at_once(&mut self) -> Option<Option<Result<Bytes, PayloadError>>> {
        let piece = self.inner.next().now_or_never()?;
        Some(self.seen(piece))
    }

    fn seen(&self, piece: Option<Result<Bytes, PayloadError>>) -> Option<Result<Bytes, PayloadError>> {
        if let (None, Some(requests)) = (&piece, &self.requests) {
            requests.end_body();
        }
        piece
    }
}

/// A request's body, on its way from an actix worker.
pub struct RequestBody {
    /// `None` once it has ended.
    pieces: Option<mpsc::Receiver<Result<Bytes, BoxError>>>,
    length: Option<u64>,
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { pieces: None, length: None }
    }

    /// Passes on what a client sends, on the worker's thread, as fast as it is taken.
    pub fn from_payload(mut payload: Payload, length: Option<u64>) -> Self {
        // A body that is not announced, as over HTTP/2, has ended by now if there is none.
        let first = match payload.next_at_once() {
            Some(None) => return Self::empty(),
            Some(first) => first,
            None => None,
        };
        let (sender, pieces) = mpsc::channel(PIECES);
        actix_web::rt::spawn(async move {
            let mut next = first;
            loop {
                let piece = match next.take() {
                    Some(piece) => piece,
                    None => tokio::select! {
                        piece = payload.next() => match piece {
                            Some(piece) => piece,
                            None => return,
                        },
                        () = sender.closed() => return,
                    },
                };
                let piece = piece.map_err(|error| BoxError::from(error.to_string()));
                let failed = piece.is_err();
                if sender.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { pieces: Some(pieces), length }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(pieces) = &mut this.pieces else { return Poll::Ready(None) };
        let piece = ready!(pieces.poll_recv(cx));
        if let (Some(Ok(piece)), Some(length)) = (&piece, &mut this.length) {
            *length = length.saturating_sub(piece.len() as u64);
        }
        if !matches!(piece, Some(Ok(_))) {
            this.pieces = None;
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.pieces, self.length) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(length)) => SizeHint::with_exact(length),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

/// The body of an answer: the gateway's, or what comes out of a tunnel. Trailers are lost: actix has none.
pub struct AnswerBody {
    kind: Kind,
    size: BodySize,
}

enum Kind {
    Body(GatewayBody),
    Tunnel(TakeUntil<ReaderStream<ReadHalf<DuplexStream>>, Pin<Box<WaitForCancellationFutureOwned>>>),
}

impl AnswerBody {
    pub fn new(body: GatewayBody) -> Self {
        let size = body.size_hint().exact().map_or(BodySize::Stream, BodySize::Sized);
        Self { kind: Kind::Body(body), size }
    }

    /// What comes out of a tunnel, behind the head of a 101, until the gateway shuts down.
    pub fn tunnel(from_upstream: ReadHalf<DuplexStream>, shutdown: CancellationToken) -> Self {
        let ended = Box::pin(shutdown.cancelled_owned());
        let pieces = ReaderStream::new(from_upstream).take_until(ended);
        Self { kind: Kind::Tunnel(pieces), size: BodySize::Stream }
    }

    pub fn set_size(&mut self, size: BodySize) {
        self.size = size;
    }
}

impl MessageBody for AnswerBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut self.get_mut().kind {
            Kind::Body(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            },
            Kind::Tunnel(stream) => stream.poll_next_unpin(cx).map_err(Self::Error::from),
        }
    }
}

/// Passes on into a tunnel what a client sends after the head of its handshake.
pub fn feed_tunnel(mut payload: Payload, mut to_upstream: WriteHalf<DuplexStream>, id: Option<RequestId>) {
    actix_web::rt::spawn(async move {
        let fed: io::Result<()> = async {
            while let Some(piece) = payload.next().await {
                to_upstream.write_all(&piece.map_err(io::Error::other)?).await?;
            }
            to_upstream.shutdown().await
        }
        .await;
        if let Err(error) = fed {
            tracing::debug!(request = id.map(tracing::field::display), %error, "a tunnel has closed");
        }
    });
}
