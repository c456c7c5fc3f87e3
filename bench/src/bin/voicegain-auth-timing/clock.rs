//! The processor's own count of time, which is finer than any clock of the system's.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Now. What came before is done, and what comes after has not begun.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "every processor of this kind has these instructions")]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};

    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    use std::sync::LazyLock;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// How many nanoseconds a tick takes.
pub(crate) fn nanoseconds_per_tick() -> f64 {
    let (start, from) = (Instant::now(), ticks());
    while start.elapsed() < Duration::from_millis(200) {
        black_box(());
    }
    let (elapsed, to) = (start.elapsed(), ticks());
    elapsed.as_nanos() as f64 / (to - from) as f64
}
