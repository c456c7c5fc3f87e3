//! A client's connection, as far as actix leaves it without bounds.
//!
//! actix limits the time of a connection's first head and of the silence behind an answer, but not that of a further head:
//! with one byte of it the connection would stay open for ever. And it makes requests of all bytes that it has, up to
//! 128 KiB at once, although it answers one after the other.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_http::Protocol;
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use voicegain_gateway_core::server::{WriteLimit, of_client};

/// How much is read of what a client sends ahead, over HTTP/1.1.
const AHEAD: u64 = 16 * 1024;

/// A client's connection as actix reads and writes it.
pub struct Connection {
    stream: Take<WriteLimit<TcpStream>>,
    requests: Rc<Requests>,
    idle_limit: Duration,
    timer: Pin<Box<Sleep>>,
}

/// The requests of one connection, which all are on one thread.
pub struct Requests {
    under_way: Cell<usize>,
    /// When the last one ended.
    idle_since: Cell<Instant>,
    ahead: u64,
    /// How much may be read before something is done with what has been.
    credit: Cell<u64>,
    /// Whether all that has been read of a body is used up, and more of it is waited for.
    body_wanted: Cell<bool>,
    /// Waits for credit.
    reader: Cell<Option<Waker>>,
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

impl Connection {
    /// It ends once no request has been under way for as long as `idle_limit`.
    pub fn new(stream: TcpStream, protocol: Protocol, idle_limit: Duration) -> Self {
        let ahead = if protocol == Protocol::Http1 { AHEAD } else { u64::MAX };
        let requests = Requests {
            under_way: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            ahead,
            credit: Cell::new(ahead),
            body_wanted: Cell::new(false),
            reader: Cell::new(None),
        };
        let timer = Box::pin(sleep(idle_limit));
        Self { stream: of_client(stream).take(ahead), requests: Rc::new(requests), idle_limit, timer }
    }

    /// What tells of its requests.
    pub fn requests(&self) -> Rc<Requests> {
        Rc::clone(&self.requests)
    }

    /// Comes once no request has been under way for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Always armed, so that nobody has to tell it when a request ends.
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let idle_since = if self.requests.is_idle() { self.requests.idle_since.get() } else { now };
            let deadline = idle_since + self.idle_limit;
            if deadline <= now {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Without credit nothing is read but the end, which is how a client goes away.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.requests.is_idle() || self.requests.body_wanted.get() {
            // Whatever has been read is not a whole request, or one that actix has still to look at, or nothing of a
            // body's, such as the extensions of a chunk.
            self.requests.want_more();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.requests.reader.set(Some(cx.waker().clone()));
        match ready!(self.stream.get_ref().get_ref().poll_peek(cx, &mut ReadBuf::new(&mut [0])))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}

impl Requests {
    /// A request begins.
    pub fn begin(self: &Rc<Self>) -> UnderWay {
        self.under_way.set(self.under_way.get() + 1);
        UnderWay(Rc::clone(self))
    }

    /// All that has been read of a request's body is used up.
    pub fn want_body(&self) -> BodyWanted<'_> {
        self.body_wanted.set(true);
        self.want_more();
        BodyWanted(self)
    }

    fn want_more(&self) {
        self.credit.set(self.ahead);
        self.wake();
    }

    fn is_idle(&self) -> bool {
        self.under_way.get() == 0
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

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.poll_idle(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let credit = this.requests.credit.get();
        if credit == 0 {
            return this.poll_end(cx);
        }
        this.stream.set_limit(credit);
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.requests.credit.set(this.stream.limit());
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_shutdown(cx)
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);
    /// For what comes at once, or not at all.
    const SOON: Duration = Duration::from_millis(50);

    async fn connection(protocol: Protocol, idle_limit: Duration) -> (TcpStream, Connection) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, Connection::new(stream, protocol, idle_limit))
    }

    /// How many bytes can be read, in one go and without waiting long.
    async fn available(connection: &mut Connection) -> usize {
        let (mut count, mut part) = (0, [0; 1000]);
        while let Ok(read) = timeout(SOON, connection.read(&mut part)).await {
            count += read.unwrap();
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_once_no_request_has_been_under_way_for_long() {
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT).await;
        let begun = Instant::now();
        let drip = async {
            while client.write_all(b"G").await.is_ok() {
                tokio::time::sleep(LIMIT / 10).await;
            }
            std::future::pending().await
        };
        let read = async {
            loop {
                if let Err(error) = connection.read(&mut [0; 10]).await {
                    return error;
                }
            }
        };
        let error = tokio::select! { error = read => error, () = drip => unreachable!() };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_keeps_its_connection() {
        let (_client, mut connection) = connection(Protocol::Http1, LIMIT).await;
        let requests = connection.requests();
        let under_way = [requests.begin(), requests.begin()];
        assert!(timeout(LIMIT * 3, connection.read(&mut [0; 10])).await.is_err());
        let ended = Instant::now();
        drop(under_way);
        let error = connection.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(ended.elapsed() >= LIMIT && ended.elapsed() < LIMIT * 3, "{:?}", ended.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_read_ahead_of_a_request() {
        const SENT: usize = 100_000;
        let ahead = usize::try_from(AHEAD).unwrap();
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let under_way = connection.requests().begin();
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, ahead);
        drop(connection.requests().want_body());
        assert_eq!(available(&mut connection).await, ahead, "a body goes on");
        let next = connection.requests().begin();
        drop(under_way);
        assert_eq!(available(&mut connection).await, 0, "the next one is under way");
        let waiting = async {
            tokio::task::yield_now().await;
            drop(next);
        };
        let mut part = [0; 1000];
        let (read, ()) = tokio::join!(connection.read(&mut part), waiting);
        assert_eq!(read.unwrap() + available(&mut connection).await, SENT - 2 * ahead);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_no_piece_of_a_body_is_read_while_one_is_waited_for() {
        const SENT: usize = 100_000;
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let requests = connection.requests();
        let _under_way = requests.begin();
        let _wanted = requests.want_body();
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, SENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_is_noticed_without_credit() {
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let _under_way = connection.requests().begin();
        client.write_all(&vec![b'x'; usize::try_from(AHEAD).unwrap()]).await.unwrap();
        available(&mut connection).await;
        drop(client);
        assert_eq!(timeout(LIMIT * 10, connection.read(&mut [0; 10])).await.unwrap().unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_has_bounds_of_its_own_on_what_is_sent_ahead() {
        const SENT: usize = 100_000;
        let (mut client, mut connection) = connection(Protocol::Http2, LIMIT * 100).await;
        let _under_way = connection.requests().begin();
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, SENT);
    }
}
