//! Where time comes from.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Both clocks, read together (rule C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Time since an arbitrary start that never goes back and keeps counting while the machine is suspended.
    /// Freshness is measured on it.
    pub boot: Duration,
    /// Time since the Unix epoch, as the wall clock has it. `exp` and `nbf` are compared with it.
    pub wall: Duration,
}

/// A source of both clocks. Tests bring their own; everybody else uses [`SystemClock`].
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads both clocks now.
    fn read(&self) -> Reading;
}

/// The operating system's clocks: `CLOCK_BOOTTIME` on Linux and Android, elsewhere the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

        let boot = rustix::time::clock_gettime(CLOCK);
        // Neither clock can be negative here; if one were, zero makes every proof look old, which is the safe side.
        let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(boot.tv_nsec).unwrap_or(0);
        Reading {
            boot: Duration::new(seconds, nanos),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_runs_forward() {
        let first = SystemClock.read();
        let second = SystemClock.read();
        assert!(second.boot >= first.boot);
        assert!(first.wall > Duration::from_secs(1_700_000_000));
    }
}
