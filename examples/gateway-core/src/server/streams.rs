//! The streams of HTTP/2 connections, each in a task of its own, and answers on them that are not read.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::UNREAD_TIMEOUT;

/// Whose turn it is on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours: the answer, or its next part, is not there yet.
    Ours,
    /// The client's: there is something to be read.
    Clients,
}

tokio::task_local! {
    /// Whose turn it has become while a stream's task runs.
    static TURN: Cell<Option<Turn>>;
}

impl Turn {
    /// Says whose turn it is on the stream whose task this is.
    pub(super) fn is_known(self) {
        // There is none over HTTP/1.1.
        let _ = TURN.try_with(|turn| turn.set(Some(self)));
    }
}

/// Runs what hyper has to be run. A stream on which the client reads nothing for too long is reset; all others of its
/// connection go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, task: F) {
        tokio::spawn(Stream { task, unread: None, turn: Turn::Ours });
    }
}

pin_project! {
    struct Stream<F> {
        #[pin]
        task: F,
        // Counts while it is the client's turn.
        unread: Option<Pin<Box<Sleep>>>,
        turn: Turn,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let run = || (this.task.poll(cx), TURN.with(Cell::take));
        let (done, turn) = TURN.sync_scope(Cell::new(None), run);
        if done.is_ready() {
            return Poll::Ready(());
        }
        *this.turn = turn.unwrap_or(*this.turn);
        if *this.turn == Turn::Ours {
            return Poll::Pending;
        }
        let unread = this.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD_TIMEOUT)));
        if turn.is_some() {
            unread.as_mut().reset(Instant::now() + UNREAD_TIMEOUT);
        }
        // hyper resets a stream that is given up.
        unread.as_mut().poll(cx).map(|()| tracing::debug!("a client does not read an answer"))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::timeout;

    use super::*;

    /// Whether a task ends in which it has become somebody's turn.
    async fn ends(task: impl Future<Output = ()>) -> bool {
        let stream = Stream { task, unread: None, turn: Turn::Ours };
        timeout(UNREAD_TIMEOUT * 2, stream).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_once_it_has_been_the_clients_turn_for_too_long() {
        let turns = async |turns: &'static [Turn]| {
            turns.iter().for_each(|turn| turn.is_known());
            pending().await
        };
        assert!(!ends(turns(&[])).await);
        assert!(!ends(turns(&[Turn::Clients, Turn::Ours])).await);
        assert!(ends(turns(&[Turn::Ours, Turn::Clients])).await);
        let reading = async {
            for _ in 0..10 {
                Turn::Clients.is_known();
                sleep(UNREAD_TIMEOUT / 10 * 9).await;
            }
            Turn::Ours.is_known();
            pending().await
        };
        let stream = Stream { task: reading, unread: None, turn: Turn::Ours };
        assert!(timeout(UNREAD_TIMEOUT * 20, stream).await.is_err(), "it is read, if slowly");
    }
}
