//! How old something is, by this machine's clocks alone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) monotonic: Instant,
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago this was, by whichever clock says more: the monotonic one may stand still while the machine is
    /// suspended, and the other may be set back.
    pub(crate) fn age(self, now: Self) -> Duration {
        let by_wall = now.wall.duration_since(self.wall).unwrap_or_default();
        now.monotonic.saturating_duration_since(self.monotonic).max(by_wall)
    }
}

/// Where the time comes from, so that tests need not wait.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    pub(crate) fn system() -> Self {
        Self(Arc::new(Moment::now))
    }

    #[cfg(test)]
    pub(crate) fn from_fn(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_suspended_machine_ages_by_the_wall_clock() {
        let begin = Moment::now();
        let woken = Moment { wall: begin.wall + HOUR, ..begin };
        assert_eq!(begin.age(woken), HOUR);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_makes_nothing_younger() {
        let begin = Moment::now();
        let later = Moment { monotonic: begin.monotonic + HOUR, wall: begin.wall - HOUR };
        assert_eq!(begin.age(later), HOUR);
    }
}
