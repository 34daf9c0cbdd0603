//! The wall clock as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{Rfc3339Timestamp, format_rfc3339_millis};

/// Last second that RFC 3339 can write: 9999-12-31T23:59:59Z.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// Now, in RFC 3339 with milliseconds (`2026-11-23T14:00:00.123Z`).
pub fn now() -> Rfc3339Timestamp {
    of(SystemTime::now())
}

/// `at`, or the nearest time that can be written at all: a clock may be wrong
/// by decades, and who writes a time never wants to fail for it.
fn of(at: SystemTime) -> Rfc3339Timestamp {
    format_rfc3339_millis(at.clamp(UNIX_EPOCH, UNIX_EPOCH + LAST_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_clock_still_gives_a_time() {
        let day = Duration::from_secs(86_400);
        let before = UNIX_EPOCH.checked_sub(day).unwrap();
        assert_eq!(of(before).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(of(UNIX_EPOCH + day / 2).to_string(), "1970-01-01T12:00:00.000Z");
        assert_eq!(of(UNIX_EPOCH + LAST_SECOND + day).to_string(), "9999-12-31T23:59:59.000Z");
    }
}
