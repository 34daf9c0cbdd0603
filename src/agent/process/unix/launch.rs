//! Starts children: the runtime's side of the launcher.
//!
//! Every descriptor made here closes on exec; what the child gets travels over
//! a socket. So a child started by another thread at any moment inherits nothing.

#![expect(clippy::unnecessary_debug_formatting, reason = "paths are told quoted and escaped")]

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Pid, Signal};

use super::cgroup::Groups;
use super::end::{self, Ended};
use super::family::Family;
use super::order::{Failure, GroupOrder, HEADER, MOST, READY, Told};
use super::original::Original;
use super::pipes::Pipes;
use super::reaper::{ExitWatch, Reaper};
use super::stdin::Stdin;
use super::{poll, pty};
use crate::agent::process::mark::Mark;
use crate::agent::process::plan::{SpawnPlan, Stdio};
use crate::json;
use crate::wake::Waker;

/// Longest time from the start of the launcher to the start of the child's program.
pub const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);

/// First argument of our own binary when it is to become a child.
pub const MODE: &str = "__launch";

/// What starts children, and what they are started with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The binary that has the launcher mode.
    pub program: PathBuf,
    /// What a child gets back as it was.
    pub original: Original,
    /// Where sessions' control groups are made; `None`: there are none.
    pub groups: Option<Arc<Groups>>,
    /// Who reaps.
    pub reaper: Reaper,
}

/// Whether a runtime started here, by this user, could bound memory and
/// processes of a session as one. Changes nothing.
pub fn bounds_offered() -> (bool, bool) {
    Groups::offered()
}

/// The binary this process runs.
fn own_binary() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        // The link stays good when the file is replaced by an upgrade.
        let link = PathBuf::from("/proc/self/exe");
        if link.exists() {
            return Ok(link);
        }
        warn!(
            "no /proc here: what an agent leaves behind cannot be found, and a shell's turn ends \
             only by silence; mount it"
        );
        // An empty root: the name this was started by is what there is.
        let name = PathBuf::from(std::env::args_os().next().unwrap_or_default());
        let is_found_in_path = name.components().count() < 2;
        return if is_found_in_path { Ok(name) } else { std::path::absolute(name) };
    }
    std::env::current_exe()
}

/// A running child. Its descriptors on our side do not block.
#[derive(Debug)]
pub struct Child {
    /// What it reads; `None` on a terminal, where it is `stdout`.
    pub stdin: Option<OwnedFd>,
    /// What it writes; on a terminal its master, which also takes its input.
    /// A master whose other end nobody holds any more fails with `EIO`: that is its end.
    pub stdout: OwnedFd,
    /// `None` on a terminal.
    pub stderr: Option<OwnedFd>,
    /// Its end.
    pub exit: ExitWatch,
    /// It and whatever comes of it.
    pub family: Family,
}

impl Child {
    /// What a pipe thread, woken by the waker, takes over.
    ///
    /// # Errors
    /// When the process is out of descriptors; the child is ended then.
    pub fn into_parts(self, _waker: &Waker) -> io::Result<(Pipes, ExitWatch, Family)> {
        let Self { stdin, stdout, stderr, exit, family } = self;
        let stdin = match stdin {
            Some(stdin) => stdin,
            None => rustix::io::fcntl_dupfd_cloexec(&stdout, 0)?,
        };
        Ok((Pipes::new(Stdin::new(stdin), stdout, stderr), exit, family))
    }
}

impl Launcher {
    /// A launcher that is this very binary.
    ///
    /// # Errors
    /// When the path of this binary cannot be told.
    pub fn new(reaper: Reaper, original: Original) -> io::Result<Self> {
        Ok(Self { program: own_binary()?, original, groups: Groups::open().map(Arc::new), reaper })
    }

    /// Whether memory and processes of a session are bounded as one.
    pub fn bounds(&self) -> (bool, bool) {
        self.groups.as_ref().map(|groups| groups.bounds()).unwrap_or_default()
    }

    /// Ends what the runtime that had `nonce` left behind when it was killed.
    pub fn sweep_leftovers(&self, nonce: &str, kill_at: Instant) -> Ended {
        end::sweep_leftovers(nonce, self.groups.as_deref(), &self.reaper, kill_at)
    }

    /// Starts a child; returns when its program runs, or with what prevented
    /// it. Blocks for [`LAUNCH_DEADLINE`] at most.
    ///
    /// Best called in a thread that lives as long as the child: the children of
    /// a dead thread go to the main one, among the orphans every end looks through.
    ///
    /// # Errors
    /// [`LaunchError`], in words for the user.
    pub fn launch(&self, plan: &SpawnPlan) -> Result<Child, LaunchError> {
        let deadline = Instant::now() + LAUNCH_DEADLINE;
        let group = self.groups.as_ref().and_then(|groups| groups.make(&plan.mark, &plan.sandbox));
        let order = Told {
            plan,
            original: self.original,
            group: group.as_ref().map(|group| GroupOrder {
                path: group.path().to_owned(),
                bounds_memory: group.bounds_memory(),
                bounds_processes: group.bounds_processes(),
            }),
        };
        let order = encode(&order)?;
        let (ours, theirs) = Ends::make(plan.stdio)?;
        let (socket, exit) = self.start(&plan.mark)?;
        let family = Family::new(exit.clone(), plan.mark.clone(), group);
        let told = hand_over(&socket, &order, &theirs, deadline);
        drop(theirs);
        let Err(error) = told.and_then(|()| await_exec(&socket, deadline)) else {
            let Ends { stdin, stdout, stderr } = ours;
            return Ok(Child { stdin, stdout, stderr, exit, family });
        };
        let error = match error {
            NoExec::Failed(failure) => {
                LaunchError::Failed { command: plan.command.clone(), failure }
            }
            NoExec::Silent => LaunchError::TimedOut,
            NoExec::Died => LaunchError::Died { status: exit.wait(deadline) },
            NoExec::Broken(source) => LaunchError::Broken { source },
        };
        exit.signal(Signal::KILL);
        Err(error)
    }

    /// Starts the launcher itself, waiting for its order.
    fn start(&self, mark: &Mark) -> Result<(OwnedFd, ExitWatch), LaunchError> {
        let (ours, theirs) = socket_pair().map_err(LaunchError::scarce("a socket pair"))?;
        let mut command = Command::new(&self.program);
        // Nothing of our environment, where a token may be; but the loader's way
        // to libraries, and the mark, so that a launcher that hangs can be found.
        command.arg0("amurg-runtime").arg(MODE).env_clear();
        command.env(Mark::VARIABLE, mark.as_str());
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        // Until the agent's own take their places. An empty root has no /dev: there
        // they are more ends of the socket, on which nothing is said.
        let nowhere = || {
            let null = std::fs::File::options().write(true).open("/dev/null");
            null.map_or_else(|_| theirs.try_clone(), |null| Ok(OwnedFd::from(null)))
        };
        command.stdout(nowhere().map_err(LaunchError::scarce("a descriptor"))?);
        command.stderr(nowhere().map_err(LaunchError::scarce("a descriptor"))?);
        command.stdin(theirs);
        let expected = self.reaper.expect();
        let child = command
            .spawn()
            .map_err(|source| LaunchError::Launcher { program: self.program.clone(), source })?;
        Ok((ours, expected.watch(Pid::from_child(&child))))
    }
}

/// One side's ends of the child's streams; on a terminal `stdout` is all three.
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
}

impl Ends {
    /// Ours, which do not block, and the child's.
    fn make(kind: Stdio) -> Result<(Self, Self), LaunchError> {
        let (ours, theirs) = match kind {
            Stdio::Pipes => {
                let pipe = || poll::pipe().map_err(LaunchError::scarce("a pipe"));
                let (their_stdin, stdin) = pipe()?;
                let (stdout, their_stdout) = pipe()?;
                let (stderr, their_stderr) = pipe()?;
                let theirs = Self {
                    stdin: Some(their_stdin),
                    stdout: their_stdout,
                    stderr: Some(their_stderr),
                };
                (Self { stdin: Some(stdin), stdout, stderr: Some(stderr) }, theirs)
            }
            Stdio::Pty { rows, cols } => {
                let pty =
                    pty::open(rows, cols).map_err(LaunchError::scarce("a pseudo-terminal"))?;
                let theirs = Self { stdin: None, stdout: pty.slave, stderr: None };
                (Self { stdin: None, stdout: pty.master, stderr: None }, theirs)
            }
        };
        for end in ours.stdin.iter().chain([&ours.stdout]).chain(&ours.stderr) {
            rustix::io::ioctl_fionbio(end, true).map_err(LaunchError::broken)?;
        }
        Ok((ours, theirs))
    }

    /// What becomes the child's 0, 1 and 2.
    fn standard(&self) -> [BorrowedFd<'_>; 3] {
        let stdout = self.stdout.as_fd();
        [
            self.stdin.as_ref().map_or(stdout, AsFd::as_fd),
            stdout,
            self.stderr.as_ref().map_or(stdout, AsFd::as_fd),
        ]
    }
}

/// A connected pair; ours does not block.
fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    // Elsewhere std's own makes it, with the flag set right after.
    #[cfg(target_os = "linux")]
    let (ours, theirs) = {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?
    };
    #[cfg(not(target_os = "linux"))]
    let (ours, theirs) = {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        (OwnedFd::from(ours), OwnedFd::from(theirs))
    };
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

/// Room for an order as most are, in bytes: one that grows leaves holes on the heap.
const USUAL: usize = 8 * 1024;

/// The order as it goes over the socket.
fn encode(order: &Told<'_>) -> Result<Vec<u8>, LaunchError> {
    let mut bytes = Vec::with_capacity(USUAL);
    bytes.resize(HEADER, 0);
    serde_json::to_writer(&mut bytes, order)
        .map_err(|error| LaunchError::Broken { source: error.into() })?;
    let length = bytes.len() - HEADER;
    match u32::try_from(length) {
        Ok(header) if length <= MOST => bytes[..HEADER].copy_from_slice(&header.to_le_bytes()),
        _ => {
            let source = io::Error::other("arguments and environment are too long");
            return Err(LaunchError::Broken { source });
        }
    }
    Ok(bytes)
}

/// Why there was no `exec`.
enum NoExec {
    Failed(Failure),
    Silent,
    Died,
    Broken(io::Error),
}

impl From<Errno> for NoExec {
    fn from(errno: Errno) -> Self {
        Self::Broken(errno.into())
    }
}

/// Sends order and descriptors.
fn hand_over(
    socket: &OwnedFd,
    mut order: &[u8],
    ends: &Ends,
    deadline: Instant,
) -> Result<(), NoExec> {
    let standard = ends.standard();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&standard));
    while !order.is_empty() {
        match sendmsg(socket, &[IoSlice::new(order)], &mut control) {
            Ok(sent) => {
                order = &order[sent..];
                control.clear();
            }
            Err(Errno::AGAIN) => {
                if !poll::ready(socket, PollFlags::OUT, deadline)? {
                    return Err(NoExec::Silent);
                }
            }
            Err(Errno::INTR) => {}
            // It is gone; what it said before comes out of the socket next.
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Waits until the launcher's end has closed, and tells what that means.
fn await_exec(socket: &OwnedFd, deadline: Instant) -> Result<(), NoExec> {
    let mut said = Vec::new();
    let mut buffer = [0u8; 1024];
    loop {
        match rustix::io::read(socket, &mut buffer) {
            Ok(0) | Err(Errno::CONNRESET) => break,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN) => {
                if !poll::ready(socket, PollFlags::IN, deadline)? {
                    return Err(NoExec::Silent);
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match said.strip_prefix(&[READY]) {
        Some([]) => Ok(()),
        rest => Err(json::from_bytes(rest.unwrap_or(&said)).map_or(NoExec::Died, NoExec::Failed)),
    }
}

fn sendmsg(
    socket: &OwnedFd,
    bytes: &[IoSlice<'_>],
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> rustix::io::Result<usize> {
    // Where there is no such flag, it is enough that Rust programs ignore SIGPIPE.
    #[cfg(target_os = "linux")]
    let flags = SendFlags::NOSIGNAL;
    #[cfg(not(target_os = "linux"))]
    let flags = SendFlags::empty();
    rustix::net::sendmsg(socket, bytes, control, flags)
}

/// Why a child could not be started.
#[derive(Debug)]
pub enum LaunchError {
    /// The runtime itself lacks something (descriptors, mostly).
    Scarce {
        /// What could not be made.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Our own binary could not be started.
    Launcher {
        /// Its path.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The launcher could not do a step.
    Failed {
        /// The command as configured.
        command: String,
        /// The step and what was wrong.
        failure: Failure,
    },
    /// The launcher died without a word.
    Died {
        /// How, if that could still be told.
        status: Option<ExitStatus>,
    },
    /// [`LAUNCH_DEADLINE`] passed.
    TimedOut,
    /// Talking to the launcher failed.
    Broken {
        /// What the system said.
        source: io::Error,
    },
}

impl LaunchError {
    fn scarce(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Scarce { what, source }
    }

    fn broken(errno: Errno) -> Self {
        Self::Broken { source: errno.into() }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scarce { what, source } => {
                write!(
                    f,
                    "the runtime cannot make {what}: {source}; end some sessions, or raise its limit of open files"
                )
            }
            Self::Launcher { program, source } => {
                write!(
                    f,
                    "the runtime cannot start its own binary {program:?}: {source}; start the runtime again"
                )
            }
            Self::Failed { command, failure } => {
                write!(f, "cannot start {command:?}: {}: {}", failure.step, failure.text)
            }
            Self::Died { status: Some(status) } => {
                write!(f, "the launcher ended before the command ran ({status}); is memory short?")
            }
            Self::Died { status: None } => {
                f.write_str("the launcher ended before the command ran; try again in a moment")
            }
            Self::TimedOut => write!(
                f,
                "the command did not start within {} s; is its file system there, and the machine not overloaded?",
                LAUNCH_DEADLINE.as_secs()
            ),
            Self::Broken { source } => {
                write!(
                    f,
                    "the launcher could not be told what to start: {source}; try again in a moment"
                )
            }
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Scarce { source, .. }
            | Self::Launcher { source, .. }
            | Self::Broken { source } => Some(source),
            Self::Failed { .. } | Self::Died { .. } | Self::TimedOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `await_exec` makes of a launcher that says this and closes.
    fn after(said: &[u8]) -> Result<(), NoExec> {
        let (ours, theirs) = socket_pair().unwrap();
        rustix::io::write(&theirs, said).unwrap();
        drop(theirs);
        await_exec(&ours, Instant::now() + LAUNCH_DEADLINE)
    }

    #[test]
    fn an_end_is_success_only_after_the_launcher_was_ready() {
        assert!(after(&[READY]).is_ok());
        assert!(matches!(after(b""), Err(NoExec::Died)));
        assert!(matches!(after(b"+nonsense"), Err(NoExec::Died)));
    }

    #[test]
    fn a_failure_is_told_from_before_and_after_ready() {
        let failure = Failure { step: "exec".into(), errno: Some(2), text: "gone".into() };
        let json = serde_json::to_vec(&failure).unwrap();
        for said in [json.clone(), [&[READY], json.as_slice()].concat()] {
            let Err(NoExec::Failed(told)) = after(&said) else { panic!("{said:?}") };
            assert_eq!(told, failure);
        }
    }

    #[test]
    fn a_launcher_that_says_nothing_is_given_up_at_the_deadline() {
        let (ours, theirs) = socket_pair().unwrap();
        let told = await_exec(&ours, Instant::now() + Duration::from_millis(5));
        assert!(matches!(told, Err(NoExec::Silent)));
        drop(theirs);
    }
}
