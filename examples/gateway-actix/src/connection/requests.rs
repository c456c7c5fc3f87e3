//! What is known of a connection's requests, which all are on one thread.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::Protocol;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::Instant;

/// How much is read of what a client sends ahead, over HTTP/1.1.
pub(super) const AHEAD: u64 = 16 * 1024;
/// How much more is read while no request is under way: room for the largest head that is looked at.
pub(super) const ROOM: u64 = 36 * 1024;

/// The requests of one connection.
pub struct Requests {
    under_way: Cell<usize>,
    /// When the last one ended, or its answer was written.
    pub(super) idle_since: Cell<Instant>,
    ahead: u64,
    /// How much may be read before something is done with what has been.
    pub(super) credit: Cell<u64>,
    /// How much credit there still is for the next head.
    room: Cell<u64>,
    /// What was read may be something else than the next head: the rest of a body that nobody took, or of a tunnel.
    pub(super) has_rest: Cell<bool>,
    /// Whether all that has been read of a body is used up, and more of it is waited for.
    body_wanted: Cell<bool>,
    /// Waits for credit.
    pub(super) reader: Cell<Option<Waker>>,
}

/// A request that is under way as long as this is kept.
pub struct UnderWay(Rc<Requests>);

/// More of a request's body is waited for as long as this is kept.
pub struct BodyWanted<'a>(&'a Requests);

/// The body of an answer, until whose end a request is under way.
pub struct LastPart<B> {
    body: B,
    _under_way: Option<UnderWay>,
}

impl Requests {
    pub(super) fn new(protocol: Protocol) -> Self {
        let ahead = if protocol == Protocol::Http1 { AHEAD } else { u64::MAX };
        Self {
            under_way: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            ahead,
            credit: Cell::new(ahead),
            room: Cell::new(ROOM),
            has_rest: Cell::new(false),
            body_wanted: Cell::new(false),
            reader: Cell::new(None),
        }
    }

    /// A request begins, and with it what comes behind its head, if anything does.
    pub fn begin(self: &Rc<Self>, has_rest: bool) -> UnderWay {
        self.under_way.set(self.under_way.get() + 1);
        self.room.set(ROOM);
        self.has_rest.set(has_rest);
        UnderWay(Rc::clone(self))
    }

    /// All that has been read of a request's body is used up.
    pub fn want_body(&self) -> BodyWanted<'_> {
        self.body_wanted.set(true);
        self.grant(self.ahead);
        BodyWanted(self)
    }

    /// A request's body has come to its end.
    pub fn end_body(&self) {
        self.has_rest.set(false);
    }

    /// Gives credit where whatever has been read is not enough, and says whether there is any.
    pub(super) fn want_more(&self) -> bool {
        let more = if self.body_wanted.get() {
            // Nothing of what has been read was a body's, such as the extensions of a chunk.
            self.ahead
        } else if self.is_idle() {
            // It is not a whole request, or one that actix has still to look at.
            let more = self.ahead.min(self.room.get());
            self.room.set(self.room.get() - more);
            more
        } else {
            0
        };
        if more > 0 {
            self.grant(more);
        }
        more > 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.get() == 0
    }

    fn grant(&self, credit: u64) {
        self.credit.set(credit);
        self.wake();
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for BodyWanted<'_> {
    fn drop(&mut self) {
        self.0.body_wanted.set(false);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(requests) = self;
        requests.under_way.set(requests.under_way.get() - 1);
        requests.idle_since.set(Instant::now());
        requests.wake();
    }
}

impl<B> LastPart<B> {
    /// This body of this request's answer.
    pub fn new(body: B, under_way: Option<UnderWay>) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl<B: MessageBody + Unpin> MessageBody for LastPart<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
