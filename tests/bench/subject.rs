//! A binary that is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use amurg_runtime::protocol::Dialect;
use serde_json::Value;

use super::Outcome;
use super::stage::{self, Stage};

/// A binary, and which kind of hub it speaks to.
pub struct Subject {
    /// In the table: `this` or `other`.
    pub name: String,
    pub program: PathBuf,
    pub dialect: Dialect,
}

impl Subject {
    /// Looks at the hello of a binary to find out its dialect.
    pub fn new(name: &str, program: PathBuf) -> Outcome<Self> {
        let mut subject = Self { name: name.to_owned(), program, dialect: Dialect::Agent };
        let stage = Stage::start(&subject, &[stage::cat()])?;
        if !stage.observer.seen().newer {
            subject.dialect = Dialect::Endpoint;
        }
        Ok(subject)
    }

    /// A command that starts it with a configuration.
    pub fn command(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-config").arg(config);
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    /// What it says of its own memory, in bytes: for where the kernel does not
    /// tell us, since it protects itself from being looked into.
    pub fn own_memory(&self, config: &Path) -> Option<u64> {
        let output = Command::new(&self.program)
            .args(["status", "--json", "--config"])
            .arg(config)
            .output()
            .ok()?;
        let report: Value = serde_json::from_slice(&output.stdout).ok()?;
        report["process"]["memory_bytes"].as_u64().filter(|&bytes| bytes > 0)
    }
}
