//! The report in the text exposition format, for a node exporter's textfile
//! collector. Every sample carries the runtime's id: several runtimes of one
//! machine write a file each, and the collector takes no sample twice.

use std::fmt::{self, Write};

use super::report::Report;

/// A metric with its samples.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let labels = format!("runtime=\"{}\"", escaped(&report.runtime_id));
    let info = gauge("info", "The running binary; always 1.");
    let version = format!("{labels},version=\"{}\"", escaped(&report.version));
    info.head(out)?;
    info.sample(out, &version, 1)?;
    let connected = u64::from(report.connection.connected);
    let busy = report.sessions.iter().filter(|session| session.busy).count() as u64;
    let (counters, process) = (&report.counters, &report.process);
    for (metric, value) in [
        (gauge("connected", "1 while registered with the hub."), connected),
        (gauge("sessions", "Live sessions."), report.sessions.len() as u64),
        (gauge("sessions_busy", "Sessions with a turn open or waiting."), busy),
        (gauge("buffered_bytes", "Output the hub has not confirmed."), report.buffered_bytes),
        (gauge("unconfirmed_bytes", "Of that, on the wire."), report.unconfirmed_bytes),
        (gauge("memory_bytes", "Memory of the runtime (PSS)."), process.memory_bytes),
        (gauge("threads", "Threads of the runtime."), process.threads),
        (gauge("open_files", "Open descriptors of the runtime."), process.open_files),
        (counter("messages_in_total", "Messages from the hub."), counters.messages_in),
        (counter("bytes_in_total", "Bytes from the hub."), counters.bytes_in),
        (counter("messages_out_total", "Messages to the hub."), counters.messages_out),
        (counter("bytes_out_total", "Bytes to the hub."), counters.bytes_out),
        (counter("reconnects_total", "Registrations after the first."), counters.reconnects),
        (counter("turns_total", "Turns begun."), counters.turns),
        (counter("refused_total", "Sessions and messages refused."), counters.refused),
        (
            counter("dropped_bytes_total", "Output without room, of shared processes."),
            counters.dropped_bytes,
        ),
        (counter("log_lines_dropped_total", "Log lines nobody read."), counters.log_lines_dropped),
    ] {
        metric.head(out)?;
        metric.sample(out, &labels, value)?;
    }
    for (metric, value) in [
        (gauge("uptime_seconds", "Time since the start."), Some(report.uptime_seconds)),
        (
            gauge("state_seconds", "Time since the connection changed its state."),
            Some(report.connection.since_seconds),
        ),
        (
            gauge("last_pong_seconds", "Time since the hub answered a ping."),
            report.connection.last_pong_seconds,
        ),
    ] {
        if let Some(value) = value {
            metric.head(out)?;
            metric.sample(out, &labels, format_args!("{value:.3}"))?;
        }
    }
    let deadlines = counter("deadlines_total", "Deadlines that passed, by reason.");
    if !counters.deadlines.is_empty() {
        deadlines.head(out)?;
    }
    let counts = counters.deadlines.iter();
    for (reason, count) in counts.filter_map(|(reason, count)| Some((reason, count.as_u64()?))) {
        deadlines.sample(out, &format!("{labels},reason=\"{}\"", escaped(reason)), count)?;
    }
    Ok(())
}

fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: "gauge", help }
}

fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: "counter", help }
}

impl Metric {
    fn head(&self, out: &mut String) -> fmt::Result {
        let Self { name, kind, help } = self;
        write!(out, "# HELP amurg_{name} {help}\n# TYPE amurg_{name} {kind}\n")
    }

    fn sample(&self, out: &mut String, labels: &str, value: impl fmt::Display) -> fmt::Result {
        writeln!(out, "amurg_{}{{{labels}}} {value}", self.name)
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::control::report::Session;

    fn report() -> Report {
        let mut report = Report { runtime_id: "la\"b\\".into(), ..Report::default() };
        report.version = "1.2.3".into();
        report.connection.last_pong_seconds = Some(0.5);
        report.counters.deadlines.insert("idle_turn".into(), 3.into());
        report.counters.deadlines.insert("inactive".into(), 1.into());
        report.sessions.push(Session { busy: true, ..Session::default() });
        report
    }

    fn is_name(name: &str) -> bool {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    }

    /// The rules of the exposition format, and of metric names.
    #[test]
    fn the_text_follows_the_rules_of_the_format() {
        let text = text(&report());
        assert!(text.ends_with('\n') && !text.contains("\n\n"), "{text}");
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        let mut helped: BTreeSet<&str> = BTreeSet::new();
        let mut samples: BTreeSet<&str> = BTreeSet::new();
        let mut last = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(helped.insert(name) && help.ends_with('.'), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(helped.contains(name) && kinds.insert(name, kind).is_none(), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                last = name;
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
                assert!(samples.insert(sample), "twice: {line}");
                let (name, labels) = sample.split_once('{').unwrap();
                assert!(is_name(name) && kinds.contains_key(name), "{line}");
                assert!(labels.starts_with("runtime=\"la\\\"b\\\\\""), "{line}");
                assert!(labels.ends_with("\"}"), "{line}");
                assert_eq!(last, name, "its samples stand together, behind its head: {line}");
            }
        }
        let has_one = |name: &str| samples.iter().any(|s| s.split('{').next() == Some(name));
        assert!(kinds.keys().all(|name| has_one(name)), "a head without a sample: {text}");
        assert!(text.contains("\"idle_turn\"} 3\n"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = text(&Report::default());
        assert!(!text.contains("last_pong") && !text.contains("deadlines"), "{text}");
    }
}
