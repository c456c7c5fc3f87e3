use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::exchange::{End, Exchange, Fault};
use super::hop;

/// Any error of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an upstream's response.
///
/// It yields an error if the upstream breaks off, is silent for too long, or if the exchange is ended (rule
/// C8). A server must then abort the connection or the stream, as hyper does.
pub struct ForwardBody {
    /// `None` is the empty body of an accepted upgrade.
    relay: Option<Relay<Incoming>>,
}

impl ForwardBody {
    pub(super) fn new(body: Incoming, exchange: &Arc<Exchange>, idle: Option<Duration>) -> Self {
        Self { relay: Some(Relay::new(body, exchange, idle)) }
    }

    pub(super) fn empty() -> Self {
        Self { relay: None }
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().relay {
            Some(relay) => {
                relay.poll_frame(cx).map(|frame| frame.map(|result| result.map_err(BoxError::from)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.relay.as_ref().is_none_or(Relay::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.relay.as_ref().map_or_else(|| SizeHint::with_exact(0), Relay::size_hint)
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardBody").finish_non_exhaustive()
    }
}

/// The body of a client's request, as the upstream's client sends it.
pub(super) struct RequestBody {
    relay: Relay<UnsyncBoxBody<Bytes, BoxError>>,
    /// How many bytes may still come.
    allowance: Option<u64>,
}

impl RequestBody {
    pub(super) fn new(
        body: UnsyncBoxBody<Bytes, BoxError>,
        exchange: &Arc<Exchange>,
        idle: Option<Duration>,
        max_bytes: Option<u64>,
    ) -> Self {
        Self { relay: Relay::new(body, exchange, idle), allowance: max_bytes }
    }

    fn check_size(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        if let (Some(allowance), Some(data)) = (&mut self.allowance, frame.data_ref()) {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *allowance = allowance.checked_sub(length).ok_or(BodyError::TooLarge)?;
        }
        Ok(())
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
        let Poll::Ready(next) = this.relay.poll_frame(cx) else {
            this.relay.exchange.request_body_waits();
            return Poll::Pending;
        };
        this.relay.exchange.request_body_moved();
        let Some(next) = next else { return Poll::Ready(None) };
        let checked = next.and_then(|frame| this.check_size(&frame).map(|()| frame));
        Poll::Ready(Some(checked.map_err(|error| {
            match &error {
                BodyError::TooLarge => this.relay.exchange.fault(Fault::TooLarge),
                BodyError::Silent => this.relay.exchange.fault(Fault::ClientSilent),
                BodyError::Broken(_) => this.relay.exchange.fault(Fault::ClientGone),
                BodyError::Ended => {}
            }
            // Nothing more is read from a client whose body has failed.
            this.relay.slot.end();
            BoxError::from(error)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.relay.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.relay.size_hint()
    }
}

/// A body on its way: trailers cleaned, silence limited, and ended with its exchange.
struct Relay<B> {
    slot: Arc<Slot<B>>,
    exchange: Arc<Exchange>,
    idle: IdleTimer,
}

impl<B> Relay<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn new(body: B, exchange: &Arc<Exchange>, idle: Option<Duration>) -> Self {
        let slot = Arc::new(Slot(Mutex::new(SlotState { body: Some(body), waker: None })));
        let part: Arc<dyn End> = slot.clone();
        exchange.add(Arc::downgrade(&part));
        Self { slot, exchange: exchange.clone(), idle: IdleTimer { limit: idle, sleep: None } }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(next) = self.slot.poll_frame(cx) else {
            ready!(self.idle.poll_elapsed(cx));
            return Poll::Ready(Some(Err(BodyError::Silent)));
        };
        self.idle.disarm();
        Poll::Ready(match next {
            Some(Ok(frame)) => clean(frame).map(Ok),
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.slot.state().body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.slot.state().body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Takes from trailers what must not be in them; trailers that are empty then are left out.
fn clean(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            hop::strip_trailers(&mut trailers);
            (!trailers.is_empty()).then(|| Frame::trailers(trailers))
        }
        Err(frame) => Some(frame),
    }
}

/// Holds a body so that it can be dropped while whoever should poll it is stalled: dropping it is what closes
/// the connection it comes from.
struct Slot<B>(Mutex<SlotState<B>>);

struct SlotState<B> {
    /// `None` once ended.
    body: Option<B>,
    waker: Option<Waker>,
}

impl<B> Slot<B> {
    fn state(&self) -> MutexGuard<'_, SlotState<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Slot<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.state();
        let Some(body) = &mut state.body else { return Poll::Ready(Some(Err(BodyError::Ended))) };
        if let Poll::Ready(next) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(next.map(|result| result.map_err(|error| BodyError::Broken(error.into()))));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => state.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<B: Send> End for Slot<B> {
    fn end(&self) {
        let (body, waker) = {
            let mut state = self.state();
            (state.body.take(), state.waker.take())
        };
        drop(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Runs only while the body is waited for.
struct IdleTimer {
    limit: Option<Duration>,
    sleep: Option<(bool, Pin<Box<Sleep>>)>,
}

impl IdleTimer {
    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let (armed, sleep) = self.sleep.get_or_insert_with(|| (true, Box::pin(sleep(limit))));
        if !*armed {
            sleep.as_mut().reset(Instant::now() + limit);
            *armed = true;
        }
        sleep.as_mut().poll(cx)
    }

    fn disarm(&mut self) {
        if let Some((armed, _)) = &mut self.sleep {
            *armed = false;
        }
    }
}

/// Why a body on its way failed.
#[derive(Debug)]
enum BodyError {
    Broken(BoxError),
    Ended,
    Silent,
    TooLarge,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the body broke off",
            Self::Ended => "the exchange was ended",
            Self::Silent => "the body was silent for too long",
            Self::TooLarge => "the body is too large",
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken(source) => Some(&**source),
            _ => None,
        }
    }
}
