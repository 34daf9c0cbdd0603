//! Durations as people write them: `"30s"`, `"1h30m"`, `"500ms"`, `"1.5h"`, or a number of seconds.

use std::time::Duration;

use crate::json;

/// Said wherever a duration cannot be read.
pub const HINT: &str =
    "write a duration as \"500ms\", \"30s\", \"5m\" or \"1h30m\", or as a number of seconds";

/// Reads a duration in words.
///
/// # Errors
/// Says why the text is none. Upper-case units are refused, since `5M` would be
/// five months where five minutes were meant.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty");
    }
    if text.starts_with('-') {
        return Err("is negative");
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("has no unit");
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("has an upper-case unit");
    }
    // Beyond these sizes humantime's own arithmetic can overflow.
    let longest_number = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    if text.len() > 64 || longest_number > Some(10) {
        return Err("is too long");
    }
    // Other gateways write microseconds with a Greek letter instead of the sign.
    humantime::parse_duration(&text.replace('μ', "µ")).map_err(|_| "is not a duration")
}

/// Reads a JSON number as seconds.
///
/// # Errors
/// Says why the number is no duration.
pub fn parse_seconds(literal: &str) -> Result<Duration, &'static str> {
    let seconds = json::number(literal).ok_or("is not a number of seconds")?;
    if seconds < 0.0 {
        return Err("is negative");
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "is too long")
}

/// A duration as it would be written in a configuration; days are the largest unit.
pub fn show(duration: Duration) -> String {
    let units = [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000)]
        .into_iter()
        .chain([("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1)]);
    let mut rest = duration.as_nanos();
    let mut shown = String::new();
    for (unit, nanos) in units {
        if rest >= nanos {
            shown.push_str(&(rest / nanos).to_string());
            shown.push_str(unit);
            rest %= nanos;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("0.5s", 500),
            ("30m0s", 1_800_000),
            ("2 days", 172_800_000),
            ("0s", 0),
            (" 10s ", 10_000),
            ("2000μs", 2),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_seconds("3e1"), Ok(Duration::from_secs(30)));
    }

    #[test]
    fn says_why_it_cannot_read_the_rest() {
        for (text, why) in [
            ("", "is empty"),
            ("30", "has no unit"),
            ("-5s", "is negative"),
            ("5M", "has an upper-case unit"),
            ("soon", "is not a duration"),
            ("5 parsecs", "is not a duration"),
            ("18446744073709551615s 1000000000ns", "is too long"),
            ("1s\u{0}", "is not a duration"),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
        for literal in ["-1", "1e400", "1e300", "0x10"] {
            assert!(parse_seconds(literal).is_err(), "{literal}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["30s", "1h30m", "500ms", "0s", "1d", "365d", "1m1us5ns"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
