//! Where time comes from.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

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

#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT: ClockId = ClockId::Monotonic;

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        Reading { boot: read(BOOT), wall: read(ClockId::Realtime) }
    }
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    // Neither clock can be negative here; if one were, zero makes every proof look old, which is the safe side.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
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

    /// Nothing else here shows the difference: a machine that runs the tests is not suspended.
    #[cfg(target_os = "linux")]
    #[test]
    fn c1_the_clock_of_the_promise_counts_what_the_machine_sleeps() {
        assert_eq!(BOOT, ClockId::Boottime);
        let [before, after] = [read(ClockId::Boottime), read(ClockId::Boottime)];
        assert!(before <= after);
        let seen = SystemClock.read().boot;
        assert!(seen >= after && seen <= read(ClockId::Boottime));
    }
}
