//! Times as people read them.

use std::time::{Duration, SystemTime};

use crate::utc::rfc3339;

/// A time, and how long ago that was.
pub(super) struct Time {
    /// For programs, in UTC.
    pub(super) exact: String,
    /// For people.
    pub(super) ago: String,
}

impl Time {
    /// Of seconds since the Unix epoch.
    pub(super) fn of(seconds: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { exact: rfc3339(Duration::from_secs(seconds)), ago: ago(now.as_secs().saturating_sub(seconds)) }
    }
}

fn ago(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    match UNITS.iter().find(|(length, _)| seconds >= *length) {
        Some((length, unit)) => {
            let count = seconds / length;
            format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
        }
        None => "just now".to_owned(),
    }
}

/// A bound as people read it.
pub(super) fn lasting(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        seconds if seconds < 120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago() {
        for (seconds, text) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (2 * 86_400, "2 days ago"),
            (70 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
        assert_eq!(Time::of(0).exact, "1970-01-01T00:00:00Z");
        assert_eq!(lasting(Duration::from_secs(30)), "30 seconds");
        assert_eq!(lasting(Duration::from_secs(3600)), "60 minutes");
    }
}
