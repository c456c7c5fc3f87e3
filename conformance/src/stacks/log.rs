//! What the libraries in this process log, kept to be searched.

use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

#[derive(Clone, Copy)]
struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps everything that is logged in this process from now on, at the most talkative level.
pub fn keep() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| Kept);
    // A second call finds the first one's subscriber in place, which is as good.
    let _ = subscriber.try_init();
}

/// What has been logged since the last call.
pub(crate) fn take() -> Vec<u8> {
    mem::take(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner))
}
