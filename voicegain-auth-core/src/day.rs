//! Days, as they are counted and written.

use std::fmt;

const SECONDS: u64 = 86_400;

/// A day in UTC, from 1970-01-01 to 9999-12-31. `Display` writes it as RFC 3339 does, `2026-11-29`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
    /// 9999-12-31: a later year has no form that everybody reads.
    const LAST: u32 = 2_932_896;

    /// The day so many days after 1970-01-01, unless that is past the last.
    #[must_use]
    pub const fn new(days: u32) -> Option<Self> {
        if days <= Self::LAST { Some(Self(days)) } else { None }
    }

    /// The day of a time, in seconds since the Unix epoch. A time past the last day counts as of that.
    #[must_use]
    pub fn of(seconds: u64) -> Self {
        Self(u32::try_from(seconds / SECONDS).unwrap_or(u32::MAX).min(Self::LAST))
    }

    /// How many days it is after 1970-01-01.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// When it is over, in seconds since the Unix epoch.
    pub(crate) fn end(self) -> u64 {
        (u64::from(self.0) + 1) * SECONDS
    }

    /// Year, month and day in the Gregorian calendar. Counted in years that begin in March, so that the leap day is a
    /// year's last, and in eras of 400 years, which are all the same.
    fn date(self) -> (u32, u32, u32) {
        const ERA: u32 = 146_097;
        /// From 1 March of year 0.
        const EPOCH: u32 = 719_468;
        let days = self.0 + EPOCH;
        let (era, day) = (days / ERA, days % ERA);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = era * 400 + year;
        if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_times() {
        for (seconds, days, text) in [
            (0, 0, "1970-01-01"),
            (86_399, 0, "1970-01-01"),
            (86_400, 1, "1970-01-02"),
            (951_782_400, 11_016, "2000-02-29"),
            (1_735_689_599, 20_088, "2024-12-31"),
            (4_107_542_400, 47_541, "2100-03-01"),
            (253_402_300_799, Day::LAST, "9999-12-31"),
            (u64::MAX, Day::LAST, "9999-12-31"),
        ] {
            let day = Day::of(seconds);
            assert_eq!((day.get(), day.to_string().as_str()), (days, text), "{seconds}");
            assert_eq!(Day::new(days), Some(day));
        }
        assert_eq!(Day::new(Day::LAST + 1), None);
        assert_eq!(Day::of(Day::of(86_400).end()).get(), 2);
        assert_eq!(Day::of(Day::of(86_400).end() - 1).get(), 1);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let leap = |year| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut expected = (1970, 1, 1);
        for day in 0..200_000 {
            assert_eq!(Day(day).date(), expected);
            let (year, month, day) = expected;
            let length = match month {
                4 | 6 | 9 | 11 => 30,
                2 => 28 + u32::from(leap(year)),
                _ => 31,
            };
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length => (year, month + 1, 1),
                (month, day) => (year, month, day + 1),
            };
        }
    }
}
