//! Points in time as logs have them, in UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time. It shows as RFC 3339 has it, with milliseconds: `2026-11-22T13:47:35.120Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
    millisecond: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second_of_day) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Counted from a 1st of March, so that the leap day comes last; eras are 400 years long.
        let day = days + 719_468;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Timestamp {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day,
            millisecond: since.subsec_millis(),
        }
    }
}

impl Timestamp {
    /// As the common log format has it: `22/Nov/2026:13:47:35 +0000`.
    pub fn common(self) -> String {
        let (hour, minute, second) = self.clock();
        let month =
            usize::try_from(self.month).unwrap_or(0).checked_sub(1).and_then(|month| MONTHS.get(month));
        let Timestamp { year, day, .. } = self;
        let month = month.unwrap_or(&"");
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    fn clock(self) -> (u64, u64, u64) {
        (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.clock();
        let Timestamp { year, month, day, millisecond, .. } = self;
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(seconds: u64, milliseconds: u64) -> (String, String) {
        let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(milliseconds);
        let timestamp = Timestamp::from(time);
        (timestamp.to_string(), timestamp.common())
    }

    #[test]
    fn times_are_shown_as_both_kinds_of_log_have_them() {
        assert_eq!(shown(0, 0).0, "1970-01-01T00:00:00.000Z");
        let (rfc, common) = shown(1_795_355_255, 120);
        assert_eq!(rfc, "2026-11-22T13:47:35.120Z");
        assert_eq!(common, "22/Nov/2026:13:47:35 +0000");
    }

    #[test]
    fn leap_days_are_counted() {
        assert_eq!(shown(951_782_400, 0).0, "2000-02-29T00:00:00.000Z");
        assert_eq!(shown(1_709_251_199, 999).0, "2024-02-29T23:59:59.999Z");
        assert_eq!(shown(1_709_251_200, 0).0, "2024-03-01T00:00:00.000Z");
        assert_eq!(shown(4_107_542_399, 0).0, "2100-02-28T23:59:59.000Z");
        assert_eq!(shown(4_107_542_400, 0).0, "2100-03-01T00:00:00.000Z");
    }
}
