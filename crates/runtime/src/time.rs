//! The moment a container was created, as RFC 3339 has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in UTC with nanoseconds, without the zeros at their end: Go's RFC3339Nano, which engines parse.
pub(crate) fn now() -> String {
    format(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Now, in UTC, to the second: what engines expect of a line of the log.
pub fn seconds_now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format(Duration::from_secs(now.as_secs()))
}

fn format(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let nanoseconds = format!("{:09}", since_epoch.subsec_nanos());
    let fraction = nanoseconds.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text.push('Z');
    text
}

/// Year, month and day, `days` after 1970-01-01: Gregorian, counted in eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_go_writes_them() {
        assert_eq!(format(Duration::ZERO), "1970-01-01T00:00:00Z");
        assert_eq!(format(Duration::new(1_709_164_800, 120_000_000)), "2024-02-29T00:00:00.12Z");
        assert_eq!(format(Duration::new(1_795_319_898, 33_506_497)), "2026-11-22T03:58:18.033506497Z");
        assert_eq!(format(Duration::from_secs(4_102_444_799)), "2099-12-31T23:59:59Z");
    }
}
