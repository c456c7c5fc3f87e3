//! How much memory lives: an allocator that counts bytes while it is asked to, and what the system says.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator. While nothing is being counted it costs a look at a flag more, whoever allocates.
struct Counting;

fn count(bytes: usize, sign: isize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes as isize * sign, Ordering::Relaxed);
    }
}

// SAFETY: everything is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Counts what all threads allocate and free from now on, until it is dropped. One at a time, the next waits.
pub(crate) struct Growth {
    resident: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Growth {
    pub(crate) fn begin() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        LIVE.store(0, Ordering::Relaxed);
        IS_COUNTING.store(true, Ordering::Relaxed);
        Self { resident: resident(), _alone: alone }
    }

    /// Bytes asked for and not freed since.
    pub(crate) fn heap(&self) -> isize {
        LIVE.load(Ordering::Relaxed)
    }

    /// By how much the memory has grown that the process has of the system.
    pub(crate) fn resident(&self) -> isize {
        resident() as isize - self.resident as isize
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        IS_COUNTING.store(false, Ordering::Relaxed);
    }
}

/// Bytes of this process that are in memory, on Linux; elsewhere 0.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = kib.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_counted_and_what_is_freed_is_not() {
        // So much that it does not matter what other tests do meanwhile. Most of it is never touched.
        const MANY: usize = 200 << 20;
        let growth = Growth::begin();
        let is_near = |expected: usize| growth.heap().abs_diff(expected as isize) < MANY / 4;
        let mut bytes: Vec<u8> = Vec::with_capacity(MANY);
        assert!(is_near(MANY), "{}", growth.heap());
        bytes.reserve_exact(2 * MANY);
        assert!(is_near(2 * MANY), "{}", growth.heap());
        drop(std::hint::black_box(bytes));
        let zeros = std::hint::black_box(vec![0_u8; MANY]);
        assert!(is_near(MANY), "{}", growth.heap());
        drop(zeros);
        assert!(is_near(0), "{}", growth.heap());
    }
}
