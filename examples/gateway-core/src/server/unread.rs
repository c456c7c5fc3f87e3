//! Answers that are not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// How long a client may read nothing of what is there for it. A video that is paused is not read either.
pub const UNREAD_TIMEOUT: Duration = Duration::from_secs(300);

pin_project! {
    /// A connection that fails once its other end has read nothing for too long.
    #[derive(Debug)]
    pub struct WriteLimit<S> {
        #[pin]
        stream: S,
        limit: Duration,
        // Runs while there is something that cannot be written.
        timer: Option<Pin<Box<Sleep>>>,
        // Among the connections that may be open: a WebSocket takes it along.
        place: Option<OwnedSemaphorePermit>,
    }
}

impl<S> WriteLimit<S> {
    /// It fails where nothing can be written for as long as `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: None, place: None }
    }

    /// Keeps this place until its end.
    #[must_use]
    pub(super) fn in_place(self, place: OwnedSemaphorePermit) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Whether something is there that could not be written.
    pub fn is_blocked(&self) -> bool {
        self.timer.is_some()
    }

    fn limited<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let this = self.project();
        let written = write(this.stream, cx);
        if written.is_ready() {
            *this.timer = None;
            return written;
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead> AsyncRead for WriteLimit<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().stream.poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite> AsyncWrite for WriteLimit<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.limited(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.limited(cx, |stream, cx| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.limited(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.limited(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up_on() {
        let (_client, stream) = duplex(10);
        let mut stream = WriteLimit::new(stream, UNREAD_TIMEOUT);
        let begun = Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, UNREAD_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_not() {
        let (mut client, stream) = duplex(10);
        let mut stream = WriteLimit::new(stream, UNREAD_TIMEOUT);
        let reading = async {
            for _ in 0..20 {
                tokio::time::sleep(UNREAD_TIMEOUT / 10 * 9).await;
                client.read_exact(&mut [0; 5]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 100]), reading);
        written.unwrap();
        // And silence behind it is no matter of writing.
        assert!(timeout(UNREAD_TIMEOUT * 2, stream.read_u8()).await.is_err());
    }
}
