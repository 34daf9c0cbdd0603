//! `status --watch`: the page again and again in the same place, with the
//! throughput of the last minute.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::sparkline::Sparkline;
use super::super::{exit, terminal};
use super::{fetch, page};
use crate::control::Request;
use crate::control::report::Report;

/// Between two pages.
const PACE: Duration = Duration::from_secs(1);
/// Bars of a sparkline: a minute of them.
const BARS: usize = 60;
/// Lines that are no session: the page's own, and the two below.
const OTHER_LINES: usize = 16;

/// Redraws until interrupted, or until nobody answers any more.
pub fn run(sockets: &[PathBuf]) -> u8 {
    let redraws = terminal::can_redraw(&io::stdout());
    let mut rates = Rates::default();
    // Nobody sends here: the timeout is a pace, and an interrupt ends the process.
    let (_alive, pace) = crossbeam_channel::bounded::<()>(0);
    loop {
        let report = match fetch(sockets, &Request::Status) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("amurg-runtime: {error}");
                return exit::UNAVAILABLE;
            }
        };
        rates.note(&report, Instant::now());
        let size = terminal::size();
        let most = size.map_or(page::SESSIONS, |(_, rows)| rows.saturating_sub(OTHER_LINES));
        let text = page::page(&report, most) + &rates.lines();
        let text = if redraws { in_place(&text, size) } else { text };
        if io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()).is_err() {
            return exit::OK;
        }
        let _ = pace.recv_timeout(PACE);
    }
}

/// The page over the one before it, in one write: home, each line cleared to its
/// end, then what is left below. A line that would wrap is cut, so that each
/// stays where it was.
fn in_place(text: &str, size: Option<(usize, usize)>) -> String {
    let (columns, rows) = size.unwrap_or((usize::MAX, usize::MAX));
    let mut frame = String::from("\x1b[H");
    for line in text.lines().take(rows.saturating_sub(1)) {
        frame.extend(line.chars().take(columns));
        frame.push_str("\x1b[K\n");
    }
    frame + "\x1b[J"
}

/// Bytes a second, in both directions.
struct Rates {
    into: Sparkline,
    out: Sparkline,
    earlier: Option<(Instant, u64, u64)>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { into: Sparkline::new(BARS), out: Sparkline::new(BARS), earlier: None }
    }
}

impl Rates {
    fn note(&mut self, report: &Report, now: Instant) {
        let (into, out) = (report.counters.bytes_in, report.counters.bytes_out);
        if let Some((then, into_then, out_then)) = self.earlier {
            let elapsed = now.duration_since(then).as_secs_f64().max(0.001);
            // One that was started anew counts from zero.
            #[expect(clippy::cast_precision_loss, reason = "a picture, not a count")]
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / elapsed;
            self.into.push(rate(into, into_then));
            self.out.push(rate(out, out_then));
        }
        self.earlier = Some((now, into, out));
    }

    fn lines(&self) -> String {
        let mut text = String::from("\n");
        for (name, line) in [("in", &self.into), ("out", &self.out)] {
            // Writing to a string cannot fail.
            let rate = format!("{}/s", page::bytes_of(line.last()));
            let _ = writeln!(text, "{name:<10} {rate:>12}  {line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_over_the_last_one_and_never_wraps() {
        let frame = in_place("a long line\nb\nc\nd\n", Some((6, 4)));
        assert_eq!(frame, "\x1b[Ha long\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J");
        assert!(!frame.contains("\x1b[2J"), "clearing everything flickers");
    }

    #[test]
    fn rates_are_what_was_added_since() {
        let mut rates = Rates::default();
        let begin = Instant::now();
        let mut report = Report::default();
        for (second, bytes_out) in [(0, 1000), (2, 5000), (3, 0)] {
            report.counters.bytes_out = bytes_out;
            rates.note(&report, begin + Duration::from_secs(second));
        }
        assert_eq!(rates.lines(), "\nin                0 B/s  ▁▁\nout               0 B/s  █▁\n");
    }
}
