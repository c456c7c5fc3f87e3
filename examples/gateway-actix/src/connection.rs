//! A client's connection, as far as actix leaves it without bounds.
//!
//! actix limits the time of a connection's first head and of the silence behind an answer, but not that of a further head:
//! with one byte of it the connection would stay open for ever; and it takes an answer that waits in its own buffer for
//! silence. It makes requests of all bytes that it has, up to 128 KiB at once, although it answers one after the other, and
//! keeps as much of a head that is never whole.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::time::{Instant, Sleep, sleep};
use voicegain_gateway_core::Connected;
use voicegain_gateway_core::tls::Stream;

pub use self::requests::{LastPart, Requests};

mod requests;

/// What is said to a head that is too large, as actix says it beyond its own limit.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A client's connection as actix reads and writes it.
pub struct Connection {
    stream: Take<Stream>,
    /// A byte that was read to see whether the client is still there. Behind TLS that cannot be seen without reading.
    ahead: Option<u8>,
    requests: Rc<Requests>,
    idle_limit: Duration,
    timer: Pin<Box<Sleep>>,
    /// Once no more is read, what is still to be said.
    last_words: Option<&'static [u8]>,
    /// Dropped with it.
    _connected: Option<Connected>,
}

impl Connection {
    /// It ends once no request has been under way for as long as `idle_limit`.
    pub fn new(stream: Stream, protocol: Protocol, idle_limit: Duration) -> Self {
        Self {
            stream: stream.take(0),
            ahead: None,
            requests: Rc::new(Requests::new(protocol)),
            idle_limit,
            timer: Box::pin(sleep(idle_limit)),
            last_words: None,
            _connected: None,
        }
    }

    /// Counts it as long as it is open.
    pub fn counted(self, connected: Connected) -> Self {
        Self { _connected: Some(connected), ..self }
    }

    /// What tells of its requests.
    pub fn requests(&self) -> Rc<Requests> {
        Rc::clone(&self.requests)
    }

    /// An answer waits in actix's buffer until the client reads, for which it has more time.
    fn is_blocked(&self) -> bool {
        self.stream.get_ref().tcp().is_blocked()
    }

    /// Comes once no request has been under way for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_blocked() {
            self.requests.idle_since.set(Instant::now());
        }
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
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.requests.want_more() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.requests.is_idle() && !self.is_blocked() {
            // Behind a body there has been an answer already, and nobody knows where a next head would begin.
            let last_words = if self.requests.has_rest.get() { b"" } else { TOO_LARGE };
            return self.poll_last(last_words, cx);
        }
        self.requests.reader.set(Some(cx.waker().clone()));
        if self.stream.get_ref().is_tls() {
            return self.poll_end_of_tls(cx);
        }
        match ready!(self.stream.get_ref().tcp().get_ref().poll_peek(cx, &mut ReadBuf::new(&mut [0])))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    /// What tells of the end is behind everything that was sent before it: more than a byte is not read for its sake.
    fn poll_end_of_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_some() {
            return Poll::Pending;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        ready!(Pin::new(self.stream.get_mut()).poll_read(cx, &mut buffer))?;
        self.ahead = buffer.filled().first().copied();
        if self.ahead.is_some() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Says the last words, and comes once the client has ended its side. What it still sends is thrown away: if it were
    /// left unread, the client would lose the answers that it has not read.
    fn poll_last(&mut self, mut words: &'static [u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(self.stream.get_mut());
        self.last_words = Some(words);
        while !words.is_empty() {
            let written = ready!(stream.as_mut().poll_write(cx, words))?;
            words = &words[written..];
            self.last_words = Some(words);
        }
        ready!(stream.as_mut().poll_shutdown(cx))?;
        loop {
            let mut thrown_away = [0; 4096];
            let mut buffer = ReadBuf::new(&mut thrown_away);
            ready!(stream.as_mut().poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
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
        if let Some(words) = this.last_words {
            return this.poll_last(words, cx);
        }
        let credit = this.requests.credit.get();
        if credit == 0 {
            return this.poll_end(cx);
        }
        if let Some(byte) = this.ahead.take_if(|_| buffer.remaining() > 0) {
            buffer.put_slice(&[byte]);
            this.requests.credit.set(credit - 1);
            return Poll::Ready(Ok(()));
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;
    use voicegain_gateway_core::server::of_client;

    use super::requests::{AHEAD, ROOM};
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);
    /// For what comes at once, or not at all.
    const SOON: Duration = Duration::from_millis(50);

    async fn connection(protocol: Protocol, idle_limit: Duration) -> (TcpStream, Connection) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, Connection::new(Stream::plain(of_client(stream)), protocol, idle_limit))
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
        let under_way = [requests.begin(false), requests.begin(false)];
        assert!(timeout(LIMIT * 3, connection.read(&mut [0; 10])).await.is_err());
        let ended = Instant::now();
        drop(under_way);
        let error = connection.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(ended.elapsed() >= LIMIT && ended.elapsed() < LIMIT * 3, "{:?}", ended.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_for_its_reader_keeps_its_connection() {
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT).await;
        while timeout(SOON, connection.write_all(&[b'x'; 100_000])).await.is_ok() {}
        assert!(timeout(LIMIT * 3, connection.read(&mut [0; 10])).await.is_err(), "it waits");
        let blocked = Instant::now();
        let mut part = [0; 100_000];
        while timeout(SOON, client.read(&mut part)).await.is_ok() {}
        connection.write_all(b"x").await.unwrap();
        let error = connection.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(blocked.elapsed() < LIMIT * 3, "{:?}", blocked.elapsed());
    }

    /// What is read at all, and what the client is told.
    async fn end_of_a_flood(connection: &mut Connection, mut client: TcpStream) -> (usize, String) {
        let (mut count, mut part) = (0, [0; 1000]);
        let reading = async {
            loop {
                match connection.read(&mut part).await.unwrap() {
                    0 => return count,
                    read => count += read,
                }
            }
        };
        let flood = async {
            client.write_all(&[b'x'; 1_000_000]).await.unwrap();
            let mut told = String::new();
            client.read_to_string(&mut told).await.unwrap();
            drop(client);
            told
        };
        tokio::join!(reading, flood)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_without_an_end_is_refused() {
        let (client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let (read, told) = end_of_a_flood(&mut connection, client).await;
        assert_eq!(read as u64, AHEAD + ROOM);
        assert_eq!(told.as_bytes(), TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_the_same_room() {
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let room = usize::try_from(ROOM).unwrap();
        for _ in 0..3 {
            drop(connection.requests().begin(false));
            client.write_all(&vec![b'x'; room]).await.unwrap();
            assert_eq!(available(&mut connection).await, room);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_body_that_nobody_took_nothing_is_said() {
        let (client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        drop(connection.requests().begin(true));
        let (_, told) = end_of_a_flood(&mut connection, client).await;
        assert_eq!(told, "");
        let (client, mut connection) = self::connection(Protocol::Http1, LIMIT * 100).await;
        drop(connection.requests().begin(true));
        connection.requests().end_body();
        let (_, told) = end_of_a_flood(&mut connection, client).await;
        assert_eq!(told.as_bytes(), TOO_LARGE, "it has been taken");
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_read_ahead_of_a_request() {
        const SENT: usize = 60_000;
        let ahead = usize::try_from(AHEAD).unwrap();
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let under_way = connection.requests().begin(false);
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, ahead);
        drop(connection.requests().want_body());
        assert_eq!(available(&mut connection).await, ahead, "a body goes on");
        let next = connection.requests().begin(false);
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
        let _under_way = requests.begin(false);
        let _wanted = requests.want_body();
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, SENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_is_noticed_without_credit() {
        let (mut client, mut connection) = connection(Protocol::Http1, LIMIT * 100).await;
        let _under_way = connection.requests().begin(false);
        client.write_all(&vec![b'x'; usize::try_from(AHEAD).unwrap()]).await.unwrap();
        available(&mut connection).await;
        drop(client);
        assert_eq!(timeout(LIMIT * 10, connection.read(&mut [0; 10])).await.unwrap().unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_has_bounds_of_its_own_on_what_is_sent_ahead() {
        const SENT: usize = 100_000;
        let (mut client, mut connection) = connection(Protocol::Http2, LIMIT * 100).await;
        let _under_way = connection.requests().begin(false);
        client.write_all(&[b'x'; SENT]).await.unwrap();
        assert_eq!(available(&mut connection).await, SENT);
    }
}
