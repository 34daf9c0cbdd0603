//! The local socket of a running runtime: `status` asks it, `control` commands it.
//!
//! ```text
//! status, control ──► socket (0600, owner only) ──► control thread ──► whoever knows
//!                     (a named pipe on Windows)
//! ```
//!
//! One request a connection, one line of JSON each way. The socket takes
//! commands only from the runtime's own user or root, and never from a process
//! beneath the runtime: an agent must not command its gateway. It knows nothing
//! of hubs or sessions; what a request means is its handler's business.

pub mod client;
pub mod prometheus;
pub mod report;
pub mod server;
#[cfg_attr(unix, path = "unix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod system;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::system::Stream;
use crate::json::take_text;

pub use report::Report;

// Spoken through by reference, as the streams of std are, on every system.

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Write for &Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&self.0).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.0).flush()
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Request {
    /// The whole report.
    Status,
    /// Answered once connected, or at the deadline.
    WaitConnected {
        /// Longest wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Read configuration and token again.
    Reload,
    /// Finish open turns, take no new sessions, then stop.
    Drain,
    /// Log in this much detail from now on.
    LogLevel {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
    },
    /// End one session.
    Close {
        /// Hub's id of the session.
        session: String,
    },
}

impl Request {
    /// Reads a request: its kind first, as [`Answer::read`] does.
    ///
    /// # Errors
    /// When it is no request.
    pub fn read(line: &str) -> serde_json::Result<Self> {
        const KINDS: [&str; 6] =
            ["status", "wait-connected", "reload", "drain", "log-level", "close"];
        let mut told: Map<String, Value> = serde_json::from_str(line)?;
        Ok(match take_text(&mut told, "do")?.as_str() {
            "status" => Self::Status,
            "wait-connected" => {
                let timeout_ms = told.get("timeout_ms").and_then(Value::as_u64);
                let timeout_ms =
                    timeout_ms.ok_or_else(|| serde_json::Error::missing_field("timeout_ms"))?;
                Self::WaitConnected { timeout_ms }
            }
            "reload" => Self::Reload,
            "drain" => Self::Drain,
            "log-level" => Self::LogLevel { level: take_text(&mut told, "level")? },
            "close" => Self::Close { session: take_text(&mut told, "session")? },
            other => return Err(serde_json::Error::unknown_variant(other, &KINDS)),
        })
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// To [`Request::Status`] and [`Request::WaitConnected`].
    Status(Box<Report>),
    /// It was done, or has begun; the text says which.
    Done {
        /// For the person who asked.
        text: String,
    },
    /// It could not be done.
    Refused {
        /// Why, for the person who asked.
        reason: String,
    },
}

impl Answer {
    /// Reads an answer: its kind first, then what belongs to that kind. A derived
    /// reader gathers the whole report in a tree before it knows the kind, by code of
    /// its own for every type in it.
    ///
    /// # Errors
    /// When it is no answer.
    pub fn read(line: &str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Told {
            answer: String,
            #[serde(default)]
            text: String,
            #[serde(default)]
            reason: String,
        }
        let told: Told = serde_json::from_str(line)?;
        match told.answer.as_str() {
            "status" => serde_json::from_str(line).map(|report| Self::Status(Box::new(report))),
            "done" => Ok(Self::Done { text: told.text }),
            "refused" => Ok(Self::Refused { reason: told.reason }),
            other => Err(serde_json::Error::unknown_variant(other, &["status", "done", "refused"])),
        }
    }
}

/// Where a runtime with this state directory listens: systemd's runtime
/// directory when it gave one, else beside its state.
pub fn socket_path(state_dir: &Path, runtime_directory: Option<&Path>) -> PathBuf {
    let name = state_dir.file_name().unwrap_or("runtime".as_ref());
    match runtime_directory {
        Some(directory) => {
            // Not `with_extension`: an id may hold dots.
            let mut file = name.to_owned();
            file.push(".sock");
            directory.join(file)
        }
        None => state_dir.join("control.sock"),
    }
}

/// Where one may listen that was started with another environment than ours.
pub fn candidates(state_dir: &Path, runtime_directory: Option<&Path>) -> Vec<PathBuf> {
    let system = Path::new("/run/amurg");
    let state_name = state_dir.file_name().unwrap_or("runtime".as_ref());
    let mut paths = vec![
        socket_path(state_dir, runtime_directory),
        socket_path(state_dir, None),
        socket_path(state_dir, Some(system)),
        socket_path(&Path::new(crate::state::SYSTEM).join(state_name), None),
    ];
    paths.dedup();
    paths
}

/// Nobody answered.
#[derive(Debug)]
pub enum AskError {
    /// No socket, or nobody behind it: no runtime of that id is running here.
    NotRunning {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// Somebody is there who does not let us in.
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke off.
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotRunning { looked } => {
                let looked: Vec<_> = looked.iter().map(|path| path.display().to_string()).collect();
                write!(
                    f,
                    "no running runtime found, looked for {}; start it, or name its configuration \
                     with --config FILE",
                    looked.join(", ")
                )
            }
            Self::Denied { path } => {
                write!(
                    f,
                    "{}: not allowed; run this as the runtime's own user or as root",
                    path.display()
                )
            }
            Self::Broken { path, source } => {
                write!(f, "{}: {source}; try again in a moment", path.display())
            }
        }
    }
}

impl std::error::Error for AskError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_read_as_it_was_written() {
        let report = Report { version: "1.2".into(), pid: 7, ..Report::default() };
        for answer in [
            Answer::Status(Box::new(report)),
            Answer::Done { text: "closed".into() },
            Answer::Refused { reason: "no such session".into() },
        ] {
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(Answer::read(&line).unwrap(), answer, "{line}");
        }
        for line in ["{}", r#"{"answer":"perhaps"}"#, r#"{"answer":"status"}"#, "done", ""] {
            assert!(Answer::read(line).is_err(), "{line}");
        }
    }
}
