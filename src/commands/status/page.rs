//! The report for a person: what matters first, then a line for each session.

use std::fmt::Write as _;
use std::time::Duration;

use crate::control::report::{Connection, Report, Session};
use crate::logging::Quoted;

/// Sessions that are shown where nothing else says how many fit.
pub const SESSIONS: usize = 20;

/// Longest id that is shown whole, in characters.
const LONGEST_ID: usize = 40;

/// The whole page, with at most so many sessions: those that did something last.
pub fn page(report: &Report, most: usize) -> String {
    let mut text = format!(
        "{} {} (pid {}, up {})\n",
        Quoted(&report.runtime_id),
        Quoted(&report.version),
        report.pid,
        seconds(report.uptime_seconds)
    );
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    let Connection { state, since_seconds, hub, last_pong_seconds, last_error, .. } =
        &report.connection;
    line("hub", format!("{state} for {}  {}", seconds(*since_seconds), Quoted(hub)));
    if let Some(age) = last_pong_seconds {
        line("last pong", format!("{} ago", seconds(*age)));
    }
    if let Some(error) = last_error {
        line("last error", Quoted(error).to_string());
    }
    let counters = &report.counters;
    line(
        "messages",
        format!(
            "{} in ({}), {} out ({}), {} reconnects",
            counters.messages_in,
            bytes(counters.bytes_in),
            counters.messages_out,
            bytes(counters.bytes_out),
            counters.reconnects
        ),
    );
    line(
        "waiting",
        format!(
            "{} buffered, {} on the wire unconfirmed",
            bytes(report.buffered_bytes),
            bytes(report.unconfirmed_bytes)
        ),
    );
    line("turns", format!("{}, {} refused", counters.turns, counters.refused));
    let dropped = [
        (counters.dropped_bytes, format!("{} of output", bytes(counters.dropped_bytes))),
        (counters.log_lines_dropped, format!("{} log lines", counters.log_lines_dropped)),
    ];
    let dropped: Vec<String> =
        dropped.into_iter().filter(|(count, _)| *count > 0).map(|(_, words)| words).collect();
    if !dropped.is_empty() {
        line("dropped", dropped.join(", "));
    }
    if !counters.deadlines.is_empty() {
        let passed = counters.deadlines.iter();
        let passed: Vec<String> =
            passed.map(|(reason, count)| format!("{count} {}", Quoted(reason))).collect();
        line("deadlines", passed.join(", "));
    }
    let process = &report.process;
    line(
        "process",
        format!(
            "{} memory, {} threads, {} descriptors",
            bytes(process.memory_bytes),
            process.threads,
            process.open_files
        ),
    );
    let busy = report.sessions.iter().filter(|session| session.busy).count();
    line("sessions", format!("{}, {busy} with a turn", report.sessions.len()));
    text + &sessions(&report.sessions, most)
}

/// A table: who has a turn, and for how long.
fn sessions(sessions: &[Session], most: usize) -> String {
    if sessions.is_empty() || most == 0 {
        return String::new();
    }
    let mut sorted: Vec<&Session> = sessions.iter().collect();
    sorted.sort_by(|a, b| b.busy.cmp(&a.busy).then(a.quiet_seconds.total_cmp(&b.quiet_seconds)));
    let mut rows =
        vec![["session", "agent", "turn", "quiet", "age", "turns", "buffered"].map(str::to_owned)];
    for session in sorted.iter().take(most) {
        let turn = match session.turn_seconds {
            Some(age) => seconds(age),
            None if session.busy => "waits".into(),
            None => "-".into(),
        };
        rows.push([
            cut(&session.id),
            cut(&session.endpoint),
            turn,
            seconds(session.quiet_seconds),
            seconds(session.age_seconds),
            session.turns.to_string(),
            bytes(session.buffered_bytes),
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        for (column, value) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            // Numbers at the right, as one compares them.
            let _ = if column < 2 {
                write!(text, "  {value:<width$}")
            } else {
                write!(text, "  {value:>width$}")
            };
        }
        text.push('\n');
    }
    if sessions.len() > most {
        let _ = writeln!(text, "  … and {} more (--json shows all)", sessions.len() - most);
    }
    text
}

/// An id from outside, safe to be shown, and not longer than a table can bear.
fn cut(id: &str) -> String {
    let shown = Quoted(id).to_string();
    match shown.char_indices().nth(LONGEST_ID) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// A span of time with its two largest units.
pub fn seconds(seconds: f64) -> String {
    // A report that was tampered with must not bring this down.
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    let whole = duration.as_secs();
    let units = [(365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let Some(first) = units.iter().position(|(size, _)| whole >= *size) else {
        return format!("{}ms", duration.subsec_millis());
    };
    let (size, unit) = units[first];
    match units.get(first + 1).map(|(next, unit)| (whole % size / next, unit)) {
        Some((rest, next)) if rest > 0 => format!("{}{unit} {rest}{next}", whole / size),
        _ => format!("{}{unit}", whole / size),
    }
}

/// An amount of bytes with one decimal.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "rounded for a person")]
    bytes_of(count as f64)
}

/// The same of a rate.
pub fn bytes_of(mut count: f64) -> String {
    for unit in ["B", "KB", "MB", "GB"] {
        if count < 1000.0 {
            return if unit == "B" {
                format!("{count:.0} {unit}")
            } else {
                format!("{count:.1} {unit}")
            };
        }
        count /= 1000.0;
    }
    format!("{count:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_move_the_cursor() {
        let mut report = Report::default();
        report.sessions.push(Session { id: "\u{1b}[2Jx".into(), ..Session::default() });
        assert!(!page(&report, 9).contains('\u{1b}'));
    }

    #[test]
    fn amounts_are_rounded_for_people() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        for (given, shown) in [
            (0.25, "250ms"),
            (59.9, "59s"),
            (3661.5, "1h 1m"),
            (7200.0, "2h"),
            (90_061.0, "1d 1h"),
            (f64::NAN, "0ms"),
        ] {
            assert_eq!(seconds(given), shown);
        }
    }

    #[test]
    fn those_with_a_turn_stand_first_in_straight_columns() {
        let session = |id: &str, turn_seconds: Option<f64>, quiet_seconds: f64| Session {
            id: id.into(),
            endpoint: "sh".into(),
            busy: turn_seconds.is_some(),
            turn_seconds,
            quiet_seconds,
            ..Session::default()
        };
        let mut report = Report::default();
        report.sessions.push(session("idle", None, 1.0));
        report.sessions.push(session(&"long".repeat(30), Some(61.0), 2.0));
        report.sessions.push(session("older", None, 3.0));
        let shown = page(&report, 2);
        let table: Vec<&str> = shown.lines().skip_while(|l| !l.starts_with("  session")).collect();
        assert!(table[1].starts_with("  longlong") && table[1].contains("…  sh"), "{shown}");
        assert!(table[1].contains("1m 1s") && table[2].starts_with("  idle"), "{shown}");
        assert_eq!(table[3], "  … and 1 more (--json shows all)");
        let widths: Vec<usize> = table[..3].iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{shown}");
    }
}
