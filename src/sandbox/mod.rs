//! What a child may touch, as a plan made in the runtime and carried out in the
//! launcher, after the fork and before the agent's own program.

pub mod limits;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Enforce;

/// The cage of one child. Travels to the launcher as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// Confinement; `None`: not confined.
    pub cage: Option<Cage>,
    /// `RLIMIT_AS` where no cgroup bounds memory, in bytes.
    pub max_memory_bytes: Option<u64>,
    /// `RLIMIT_NPROC` where no cgroup counts processes.
    pub max_processes: Option<u64>,
    /// `RLIMIT_NOFILE`; without one the limit from before the runtime raised its own.
    pub max_open_files: Option<u64>,
}

/// Rules of a confined child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cage {
    /// Layers of writable paths; each layer is a ruleset of its own, and all must allow.
    /// The first is the configuration's, a second one a hub's push.
    pub layers: Vec<Vec<PathBuf>>,
    /// Upload directory and private `TMPDIR`: writable in every layer.
    pub own_paths: Vec<PathBuf>,
    /// The command's own file, readable and executable.
    pub command: PathBuf,
    /// TCP ports it may connect to; `None`: all.
    pub tcp_ports: Option<Vec<u16>>,
    /// Whether `socket(AF_UNIX)` is allowed.
    pub unix_sockets: bool,
    /// What to do where the kernel cannot do all of it.
    pub enforce: Enforce,
}

/// What could not be applied.
#[derive(Debug)]
pub struct StepError {
    /// The part of the plan.
    pub step: String,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be applied: {}", self.step, self.source)
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Carries the plan out on this process, for good. Called in the launcher, last before `exec`.
///
/// # Errors
/// The first part of the plan that could not be applied.
pub fn apply(plan: &SandboxPlan) -> Result<(), StepError> {
    limits::apply(plan)
}
