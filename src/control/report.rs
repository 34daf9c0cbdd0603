//! What `status` says, as one serialisable value. The JSON form is stable:
//! fields are added, never renamed or removed.

use serde::{Deserialize, Serialize};

/// A running runtime, seen from outside at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the binary that runs.
    pub version: String,
    /// `runtime.id`
    pub runtime_id: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// The connection to the hub.
    pub connection: Connection,
    /// Every live session.
    pub sessions: Vec<Session>,
    /// Bytes of all sessions that the hub has not confirmed yet.
    pub buffered_bytes: u64,
    /// Bytes on the wire that the hub has not confirmed yet.
    pub unconfirmed_bytes: u64,
    /// Counted since the start.
    pub counters: Counters,
    /// What the process itself uses.
    pub process: Process,
}

/// The link to the hub.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Whether the hub has registered this runtime.
    pub connected: bool,
    /// In a word: `connected`, `connecting`, `waiting`, `refused`.
    pub state: String,
    /// `hub.url`, without anything secret.
    pub hub: String,
    /// Seconds in this state.
    pub since_seconds: f64,
    /// Seconds since the last pong; absent before the first.
    pub last_pong_seconds: Option<f64>,
    /// Why the last connection or attempt ended.
    pub last_error: Option<String>,
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Hub's id.
    pub id: String,
    /// Its endpoint.
    pub endpoint: String,
    /// A turn is open or waits.
    pub busy: bool,
    /// Turns so far.
    pub turns: u64,
    /// Seconds since anybody said anything in it.
    pub quiet_seconds: f64,
    /// Its bytes that the hub has not confirmed yet.
    pub buffered_bytes: u64,
}

/// Numbers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages from the hub.
    pub messages_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Messages to the hub, repeated ones included.
    pub messages_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Connections that were registered after the first.
    pub reconnects: u64,
    /// Turns begun.
    pub turns: u64,
    /// Sessions and messages that were refused.
    pub refused: u64,
    /// Log lines dropped because nobody read them.
    pub log_lines_dropped: u64,
    /// Deadlines that passed, by reason.
    pub deadlines: std::collections::BTreeMap<String, u64>,
}

/// From `/proc/self`; zero where the system has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Proportional share of memory (PSS), in bytes.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub open_files: u64,
}

impl Process {
    /// Reads this process's own figures.
    pub fn current() -> Self {
        let field = |path: &str, name: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let entries =
            |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        Self {
            memory_bytes: field("/proc/self/smaps_rollup", "Pss:").unwrap_or(0) * 1024,
            threads: entries("/proc/self/task"),
            open_files: entries("/proc/self/fd"),
        }
    }
}

impl Report {
    /// The text exposition format, for a node exporter's textfile collector.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        let connected = u64::from(self.connection.connected);
        let busy = self.sessions.iter().filter(|session| session.busy).count() as u64;
        let counters = &self.counters;
        for (name, kind, help, value) in [
            ("connected", "gauge", "1 while registered with the hub", connected),
            ("sessions", "gauge", "live sessions", self.sessions.len() as u64),
            ("sessions_busy", "gauge", "sessions with an open turn", busy),
            ("buffered_bytes", "gauge", "bytes the hub has not confirmed", self.buffered_bytes),
            ("unconfirmed_bytes", "gauge", "bytes on the wire", self.unconfirmed_bytes),
            ("memory_bytes", "gauge", "memory of the runtime (PSS)", self.process.memory_bytes),
            ("threads", "gauge", "threads", self.process.threads),
            ("open_files", "gauge", "open descriptors", self.process.open_files),
            ("messages_in_total", "counter", "messages from the hub", counters.messages_in),
            ("bytes_in_total", "counter", "bytes from the hub", counters.bytes_in),
            ("messages_out_total", "counter", "messages to the hub", counters.messages_out),
            ("bytes_out_total", "counter", "bytes to the hub", counters.bytes_out),
            ("reconnects_total", "counter", "registrations after the first", counters.reconnects),
            ("turns_total", "counter", "turns begun", counters.turns),
            ("refused_total", "counter", "sessions and messages refused", counters.refused),
        ] {
            text += &format!(
                "# HELP amurg_{name} {help}\n# TYPE amurg_{name} {kind}\namurg_{name} {value}\n"
            );
        }
        text += "# HELP amurg_deadlines_total deadlines that passed\n# TYPE amurg_deadlines_total counter\n";
        for (reason, count) in &counters.deadlines {
            text += &format!("amurg_deadlines_total{{reason=\"{reason}\"}} {count}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_help_type_and_value() {
        let mut report = Report::default();
        report.counters.deadlines.insert("idle_turn".into(), 3);
        let text = report.prometheus();
        let helped = text.lines().filter(|line| line.starts_with("# HELP")).count();
        let typed = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(helped, typed);
        assert!(text.contains("amurg_deadlines_total{reason=\"idle_turn\"} 3\n"), "{text}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn an_older_report_can_be_read() {
        let report: Result<Report, _> = serde_json::from_str("{}");
        assert!(report.is_err(), "fields are required, so that a typo is noticed");
        let text = serde_json::to_string(&Report::default()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), Report::default());
    }
}
