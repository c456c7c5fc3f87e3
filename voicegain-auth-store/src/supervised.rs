//! Tasks that go on for as long as a store is open.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long after its end a task is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a task for as long as this is polled, and again if it ends or panics: what listens for changes must not die unnoticed.
pub(crate) async fn supervised<F>(what: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Dropped with this future, and the task in it then ends too.
        let mut tasks = JoinSet::new();
        tasks.spawn(task());
        if let Some(Err(error)) = tasks.join_next().await {
            tracing::error!(what, %error, "a task of the store panicked; it is started again");
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_and_ends_with_whoever_runs_it() {
        let started = Arc::new(AtomicUsize::new(0));
        let alive = Arc::new(());
        let running = tokio::spawn({
            let (started, alive) = (Arc::clone(&started), Arc::clone(&alive));
            supervised("a test", move || {
                let (number, alive) = (started.fetch_add(1, Ordering::SeqCst), Arc::clone(&alive));
                async move {
                    assert!(number > 1, "the first two panic");
                    let _alive = alive;
                    std::future::pending().await
                }
            })
        });
        sleep(PAUSE * 10).await;
        assert_eq!(started.load(Ordering::SeqCst), 3);
        assert_eq!(Arc::strong_count(&alive), 3);
        running.abort();
        let _ = running.await;
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 1, "nothing of it is left");
    }
}
