//! What a child may touch, as a plan made in the runtime and carried out in the
//! launcher, after the fork and before the agent's own program.
//!
//! # Threat model
//!
//! | who | may | what stops them from more | what does not |
//! |---|---|---|---|
//! | the hub | start agents that the file names, speak to them, narrow their limits | the file on disk is the most there is; a push is a second layer | whatever an unconfined agent does when asked |
//! | a hub's user | the same, through the hub | as above | as above |
//! | an unconfined agent | whatever the runtime's user may | file modes, limits of number, memory and time | reading what that user can read |
//! | a confined agent | read and write beneath `allowed_paths`, its uploads, its `TMPDIR`; run what lies in the system's directories | the cage below | chmod of files outside that its user owns, UDP, load, time |
//! | another confined agent | nothing of its neighbour's | Landlock domains see no processes, files or signals of each other | the same allowed path configured for both |
//!
//! # The cage
//!
//! Landlock alone is not a cage: each part closes a way out that was tried and
//! worked.
//!
//! | way out | closed by |
//! |---|---|
//! | files outside, also by link, `truncate`, or device ioctl | [`landlock`] |
//! | signals to others, abstract sockets | [`landlock`], scopes (kernel 6.12) |
//! | Unix sockets, `io_uring`, `prlimit`, MPTCP, fast open, `TIOCSTI` | [`seccomp`] |
//! | root's own rights: `ptrace`, raw devices, other people's files | [`privileges`] |
//! | set-user-ID programs | `no_new_privs` |
//! | inherited descriptors | the launcher passes three and no more |
//!
//! `denied_paths` inside an allowed path and tool lists are declared to the
//! hub, not enforced here: Landlock only ever adds.

#[cfg(target_os = "linux")]
pub mod landlock;
pub mod limits;
#[cfg(target_os = "linux")]
pub mod privileges;
#[cfg(target_os = "linux")]
pub mod seccomp;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Endpoint, Enforce};

/// The Landlock version that makes the cage whole.
pub const WHOLE: u8 = 6;

/// What is done to one child. Travels to the launcher as JSON.
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

impl Cage {
    /// The cage of an endpoint's child; `None` where nothing confines it.
    /// `own_paths` are its session's own directories, `command` the file it runs.
    pub fn of(endpoint: &Endpoint, own_paths: Vec<PathBuf>, command: PathBuf) -> Option<Self> {
        let security = &endpoint.security;
        let layers: Vec<Vec<PathBuf>> = [&security.allowed_paths, &security.pushed_paths]
            .into_iter()
            .filter(|layer| !layer.is_empty())
            .cloned()
            .collect();
        if layers.is_empty() || security.enforce == Enforce::Off {
            return None;
        }
        Some(Self {
            layers,
            own_paths,
            command,
            tcp_ports: security.allowed_tcp_ports.clone(),
            unix_sockets: security.allow_unix_sockets,
            enforce: security.enforce,
        })
    }
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
    limits::apply(plan)?;
    plan.cage.as_ref().map_or(Ok(()), confine)
}

/// Capabilities go first, while there is a right to drop them; the filter comes
/// last, so that it need not allow what the others do.
#[cfg(target_os = "linux")]
fn confine(cage: &Cage) -> Result<(), StepError> {
    if cage.enforce == Enforce::Required && landlock::kernel_version() < WHOLE {
        let source = io::Error::other(format!(
            "security.enforce is \"required\", but this kernel offers Landlock version {} and the whole cage needs {WHOLE} (Linux 6.12)",
            landlock::kernel_version()
        ));
        return Err(StepError { step: "confine".into(), source });
    }
    let step = |step: &str| {
        let step = step.to_owned();
        move |source| StepError { step, source }
    };
    privileges::drop_all().map_err(step("drop capabilities"))?;
    landlock::restrict(cage)?;
    match seccomp::restrict(cage.unix_sockets) {
        Err(source) if cage.enforce == Enforce::Required => Err(step("system call filter")(source)),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn confine(cage: &Cage) -> Result<(), StepError> {
    if cage.enforce == Enforce::Required {
        let source = io::Error::from(io::ErrorKind::Unsupported);
        return Err(StepError { step: "confine".into(), source });
    }
    Ok(())
}
