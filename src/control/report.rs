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
    /// Seconds since it was started.
    pub age_seconds: f64,
    /// Seconds since its open turn began; absent without one.
    pub turn_seconds: Option<f64>,
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
    /// Sessions, messages and requests that were refused.
    pub refused: u64,
    /// Bytes of agents dropped because they had no room, where other sessions
    /// share the process and it could not wait.
    pub dropped_bytes: u64,
    /// Log lines dropped because nobody read them.
    pub log_lines_dropped: u64,
    /// Deadlines that passed, by reason.
    pub deadlines: serde_json::Map<String, serde_json::Value>,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths of every value, as the page writes them.
    fn paths(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
        use serde_json::Value;
        match value {
            Value::Object(members) if path == "counters.deadlines" => {
                assert!(!members.is_empty());
                found.insert(format!("{path}.*"));
            }
            Value::Object(members) => {
                for (name, value) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    paths(value, &format!("{path}{dot}{name}"), found);
                }
            }
            Value::Array(elements) => paths(&elements[0], &format!("{path}[]"), found),
            _ => drop(found.insert(path.to_owned())),
        }
    }

    #[test]
    fn every_field_is_documented_and_nothing_else() {
        let page = include_str!("../../packaging/monitoring/README.md");
        let (_, table) = page.split_once("| field | is |\n").unwrap();
        let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        let documented: BTreeSet<String> = cells
            .flat_map(|(fields, _)| fields.split(", "))
            .map(|field| field.trim_matches('`').to_owned())
            .collect();
        let mut report = Report { sessions: vec![Session::default()], ..Report::default() };
        report.counters.deadlines.insert("idle_turn".into(), 1.into());
        let mut found = BTreeSet::new();
        paths(&serde_json::to_value(&report).unwrap(), "", &mut found);
        assert_eq!(found, documented);
    }

    #[test]
    fn an_older_report_can_be_read() {
        let report: Result<Report, _> = serde_json::from_str("{}");
        assert!(report.is_err(), "fields are required, so that a typo is noticed");
        let text = serde_json::to_string(&Report::default()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), Report::default());
    }
}
