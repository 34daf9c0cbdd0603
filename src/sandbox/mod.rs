//! What a child may touch, as a plan made in the runtime and carried out in the
//! launcher, after the fork and before the agent's own program.
//!
//! # Threat model
//!
//! | who | may | what stops them from more | what does not |
//! |---|---|---|---|
//! | the hub | start agents that the file names, speak to them, narrow their limits | the file on disk is the most there is; a push is a second layer | whatever an unconfined agent does when asked |
//! | a hub's user | the same, through the hub | as above | as above |
//! | an unconfined agent | whatever the runtime's user may | file modes, limits of number, memory and time; the runtime closes its memory to its own user | reading what that user can read |
//! | a confined agent | read and write beneath `allowed_paths`, its uploads, its `TMPDIR`; run what lies in the system's directories | the cage below | see "What is left" |
//! | another confined agent | nothing of its neighbour's | each child is a Landlock domain of its own, which reaches no file, process or abstract socket of another's | the same allowed path configured for both |
//!
//! # The cage
//!
//! Landlock alone is not a cage: each part closes a way out that was tried and
//! worked. `tests/confinement` tries them all, from inside.
//!
//! | way out | closed by |
//! |---|---|
//! | files outside, also by link, `truncate`, or device ioctl | [`landlock`] |
//! | reading processes in `/proc`, tracing them, their memory | [`landlock`]; for root only without capabilities |
//! | signals to others, abstract sockets | [`landlock`], scopes (kernel 6.12) |
//! | TCP to other ports than `allowed_tcp_ports` | [`landlock`] (kernel 6.7) |
//! | MPTCP, SMC and fast open, which pass that by; where ports are given also SCTP, DCCP and families of sockets but Unix, IP and netlink | [`seccomp`] |
//! | capabilities in a user namespace of its own, or entering another's namespaces | [`seccomp`] |
//! | Unix sockets, also by a pair of datagram sockets; `io_uring` | [`seccomp`] |
//! | `prlimit` on others, typing into terminals, the user's keyrings | [`seccomp`] |
//! | calls under the numbers of another ABI | [`seccomp`] |
//! | root's own rights: raw devices, other people's files, other users | [`privileges`] |
//! | set-user-ID programs | `no_new_privs` |
//! | inherited descriptors | the launcher passes three and no more |
//! | a nested path, the command or the working directory, swapped for a link before the next child starts | `paths`, and a second look at the directory once it is entered |
//!
//! # What is left
//!
//! Mode, times and attributes of files outside that the same user owns can be
//! changed, and whether a name exists can be asked. UDP is open, and whatever is
//! carried by it (DNS, QUIC), also where TCP ports are given; netlink tells of the
//! machine's addresses and routes. Without `allowed_tcp_ports` every family of
//! sockets but Unix ones is, vsock to a virtual machine's host among them. What
//! needs a user namespace (bubblewrap, a browser's own sandbox) does not run in
//! the cage. Processes of
//! the machine can be seen by number and command line, though not listed by a
//! child that is root (see [`landlock`]); those of the same user can be slowed
//! down (`nice`, CPU affinity) or met in System V shared memory. Load is bounded
//! by `limits` alone. `denied_paths` inside an allowed path and tool lists are
//! declared to the hub, not enforced: Landlock only ever adds. [`support`] tells
//! what of all this a running kernel lacks.

#[cfg(target_os = "linux")]
pub mod landlock;
#[cfg(unix)]
pub mod limits;
#[cfg(target_os = "linux")]
mod paths;
#[cfg(target_os = "linux")]
pub mod privileges;
#[cfg(target_os = "linux")]
pub mod seccomp;
pub mod support;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{Endpoint, Enforce, Security};

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
        if !Self::is_wanted(endpoint) {
            return None;
        }
        let security = &endpoint.security;
        Some(Self {
            layers: layers(security).cloned().collect(),
            own_paths,
            command,
            tcp_ports: security.allowed_tcp_ports.clone(),
            unix_sockets: security.allow_unix_sockets,
            enforce: security.enforce,
        })
    }

    /// Whether something confines the endpoint's children.
    pub fn is_wanted(endpoint: &Endpoint) -> bool {
        let security = &endpoint.security;
        security.enforce != Enforce::Off && layers(security).next().is_some()
    }

    /// Whether every layer, or what is the child's own, covers `path`. A matter
    /// of names: links in it are not looked at.
    pub fn covers(&self, path: &Path) -> bool {
        let beneath = |paths: &[PathBuf]| paths.iter().any(|one| path.starts_with(one));
        beneath(&self.own_paths) || self.layers.iter().all(|layer| beneath(layer))
    }

    /// Everything a child may write to by one layer at least.
    #[cfg(target_os = "linux")]
    fn writable(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().flatten().chain(&self.own_paths).map(PathBuf::as_path)
    }
}

/// What the file allows, and what a push leaves of that.
fn layers(security: &Security) -> impl Iterator<Item = &Vec<PathBuf>> {
    let layers = [&security.allowed_paths, &security.pushed_paths];
    layers.into_iter().filter(|layer| !layer.is_empty())
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
#[cfg(unix)]
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
    start_inside(cage).map_err(step("working directory"))?;
    privileges::drop_all().map_err(step("drop capabilities"))?;
    landlock::restrict(cage)?;
    match seccomp::restrict(cage.unix_sockets, cage.tcp_ports.is_some()) {
        Err(source) if cage.enforce == Enforce::Required => Err(step("system call filter")(source)),
        _ => Ok(()),
    }
}

/// The directory was looked at when the child was planned; since then it may
/// have become a link.
#[cfg(target_os = "linux")]
fn start_inside(cage: &Cage) -> io::Result<()> {
    let directory = std::env::current_dir()?;
    if cage.covers(&directory) {
        return Ok(());
    }
    Err(io::Error::other(format!("{} lies outside security.allowed_paths", directory.display())))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn confine(cage: &Cage) -> Result<(), StepError> {
    if cage.enforce == Enforce::Required {
        let source = io::Error::from(io::ErrorKind::Unsupported);
        return Err(StepError { step: "confine".into(), source });
    }
    Ok(())
}
