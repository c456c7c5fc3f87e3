//! Threads that own a connection, and how a future gets an answer from one.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use voicegain_auth_core::store::{Revision, StoreError};

use super::error::{Cause, Outcome};
use super::files::Files;
use super::reads;

/// How many requests may wait for one thread. Beyond that the disk is hopelessly behind, and waiting helps
/// nobody.
const MAX_WAITING: usize = 4_096;

pub(super) enum Message {
    Work(Box<dyn FnOnce(&mut Connection) + Send>),
    /// The head has moved: look at once.
    Look,
}

/// Sends work to a thread, which ends when all senders are gone.
pub(super) struct Worker(Mutex<Option<SyncSender<Message>>>);

impl Worker {
    fn spawn(name: &str, run: impl FnOnce(Receiver<Message>) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(receiver))?;
        Ok(Self::of(sender))
    }

    fn of(sender: SyncSender<Message>) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    fn sender(&self) -> MutexGuard<'_, Option<SyncSender<Message>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work on the thread. What has not begun when this future is dropped is not done at all; what
    /// has begun is finished.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let work = move |connection: &mut Connection| {
            if sender.is_closed() {
                return;
            }
            // A transaction is rolled back while a panic unwinds, and nothing else is shared.
            let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
                .unwrap_or_else(|_| Err(Cause::Panicked.into()));
            let _ = sender.send(outcome.map_err(StoreError::from));
        };
        self.give(Message::Work(Box::new(work))).map_err(StoreError::unavailable)?;
        // Work that was begun is always answered, so without an answer it was not begun.
        receiver.await.unwrap_or_else(|_| Err(StoreError::unavailable(Cause::Ended)))
    }

    fn give(&self, message: Message) -> Result<(), Cause> {
        let sender = self.sender();
        sender.as_ref().ok_or(Cause::Ended)?.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Cause::Overloaded,
            TrySendError::Disconnected(_) => Cause::Ended,
        })
    }

    /// Takes no more work. The thread still does what it was given.
    pub(super) fn close(&self) {
        self.sender().take();
    }
}

/// The thread that changes the file. After each change the reading thread is told to look where the head is
/// now. At its end it does `last`.
pub(super) fn spawn_writer(
    mut connection: Connection,
    reader: &Worker,
    last: impl FnOnce(&mut Connection) + Send + 'static,
) -> io::Result<Worker> {
    let reader = reader.sender().clone();
    Worker::spawn("vg-sqlite-write", move |messages| {
        for message in messages {
            if let Message::Work(work) = message {
                work(&mut connection);
                if let Some(reader) = &reader {
                    // If the queue is full, the thread looks as soon as its interval is over.
                    let _ = reader.try_send(Message::Look);
                }
            }
        }
        last(&mut connection);
        // In this order: if both connections were closed at once, neither would find itself the last one, and
        // the write-ahead log would stay behind.
        drop(connection);
        drop(reader);
    })
}

/// The revision of the log's head, as far as is known; `None` if it could not be read.
pub(super) type Head = Option<Revision>;

/// The thread that reads the file, and looks where the head is while somebody waits for it to move. It
/// outlives the writing thread.
pub(super) fn spawn_reader(
    connection: Connection,
    files: Arc<Files>,
    interval: Duration,
) -> io::Result<(Worker, watch::Receiver<Head>, Closed)> {
    let (head, watched) = watch::channel(None);
    let (open, closed) = mpsc::channel();
    let mut reader = Reader { connection, files, head, interval, looked: None };
    let worker = Worker::spawn("vg-sqlite-read", move |messages| {
        reader.run(&messages);
        drop(reader);
        drop(open);
    })?;
    Ok((worker, watched, Closed(Mutex::new(Some(closed)))))
}

/// Tells when the reading thread, the last one, has closed its connection.
pub(super) struct Closed(Mutex<Option<Receiver<Infallible>>>);

impl Closed {
    /// Waits for that, once; whether the wait was long enough.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = closed.take().map(|closed| closed.recv_timeout(limit));
        !matches!(waited, Some(Err(RecvTimeoutError::Timeout)))
    }
}

struct Reader {
    connection: Connection,
    files: Arc<Files>,
    head: watch::Sender<Head>,
    interval: Duration,
    looked: Option<Instant>,
}

impl Reader {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let message = match self.until_look() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(Duration::ZERO) => Ok(Message::Look),
                Some(rest) => messages.recv_timeout(rest),
            };
            match message {
                Ok(Message::Work(work)) => work(&mut self.connection),
                Ok(Message::Look) | Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long until the next look is due, if anybody waits.
    fn until_look(&self) -> Option<Duration> {
        // The store itself holds one receiver, for those who begin to wait to clone.
        if self.head.receiver_count() <= 1 {
            return None;
        }
        Some(self.looked.map_or(Duration::ZERO, |looked| self.interval.saturating_sub(looked.elapsed())))
    }

    fn look(&mut self) {
        let head = reads::head(&mut self.connection, &self.files).ok();
        self.looked = Some(Instant::now());
        self.head.send_if_modified(|known| {
            let moved = *known != head;
            *known = head;
            // Trouble is said each time, for those who began to wait during it.
            moved || head.is_none()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn worker() -> Worker {
        let (reader, messages) = sync_channel(1);
        drop(messages);
        spawn_writer(Connection::open_in_memory().unwrap(), &Worker::of(reader), |_| ()).unwrap()
    }

    /// Keeps the thread busy until the sender is used or dropped.
    async fn occupied(
        worker: &Arc<Worker>,
    ) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), StoreError>>) {
        let (release, released) = mpsc::channel();
        let (begun, has_begun) = oneshot::channel();
        let worker = Arc::clone(worker);
        let task = tokio::spawn(async move {
            let work = move |_: &mut Connection| {
                let _ = begun.send(());
                let _ = released.recv();
                Ok(())
            };
            worker.run(work).await
        });
        has_begun.await.unwrap();
        (release, task)
    }

    #[tokio::test]
    async fn a_panic_is_an_error_rolls_back_and_ends_nothing() {
        let worker = worker();
        worker.run(|connection| Ok(connection.execute_batch("CREATE TABLE t (a)")?)).await.unwrap();
        let panics = worker.run(|connection| -> Outcome<()> {
            let transaction = connection.transaction()?;
            transaction.execute("INSERT INTO t VALUES (1)", [])?;
            panic!("on purpose");
        });
        let error = panics.await.unwrap_err();
        assert!(
            matches!(error, StoreError::Unavailable(_)) && error.chain().contains("panicked"),
            "{error:?}"
        );
        let count = |connection: &mut Connection| {
            Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(worker.run(count).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_is_an_error() {
        let (sender, messages) = sync_channel(4);
        let worker = Arc::new(Worker::of(sender));
        let waiting = tokio::spawn({
            let worker = Arc::clone(&worker);
            async move { worker.run(|_| Ok(())).await }
        });
        tokio::task::yield_now().await;
        drop(messages);
        for outcome in [waiting.await.unwrap(), worker.run(|_| Ok(())).await] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            assert!(error.chain().contains("ended"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn what_was_given_before_closing_is_done_and_nothing_after_it() {
        let worker = Arc::new(worker());
        let (release, task) = occupied(&worker).await;
        let mut before = Box::pin(worker.run(|_| Ok(())));
        assert!(is_pending(before.as_mut()).await);
        worker.close();
        let error = worker.run(|_| Ok(())).await.unwrap_err();
        assert!(error.chain().contains("ended"), "{error:?}");
        drop(release);
        before.await.unwrap();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn too_long_a_queue_is_an_error() {
        let (sender, _messages) = sync_channel(0);
        let error = Worker::of(sender).run(|_| Ok(())).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Unavailable(_)) && error.chain().contains("too many"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let worker = Arc::new(worker());
        let (release, task) = occupied(&worker).await;
        let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let work = |number: usize| {
            let done = Arc::clone(&done);
            move |_: &mut Connection| {
                done[number].store(true, Ordering::SeqCst);
                Ok(())
            }
        };
        let mut dropped = Box::pin(worker.run(work(0)));
        let mut kept = Box::pin(worker.run(work(1)));
        assert!(is_pending(dropped.as_mut()).await);
        assert!(is_pending(kept.as_mut()).await);
        drop(dropped);
        drop(release);
        kept.await.unwrap();
        task.await.unwrap().unwrap();
        assert!(!done[0].load(Ordering::SeqCst) && done[1].load(Ordering::SeqCst));
    }

    /// Polls once; whether it is still to be waited for.
    async fn is_pending<F: Future + ?Sized>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending()))
            .await
    }
}
