//! The launcher: the hidden mode of our own binary that becomes the child.
//!
//! It takes its order from its stdin (see `order`), changes itself step by step
//! into what the order says, and executes the child's program. It does not
//! return from that; whatever fails before is told with its step. It knows
//! nothing of sessions.

#![expect(clippy::unnecessary_debug_formatting, reason = "paths are told quoted and escaped")]

use std::fs;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::inherited;
use super::order::{Failure, HEADER, MOST, Order, READY};
use crate::agent::process::plan::{SpawnPlan, Stdio};
use crate::json;

/// How much likelier than the runtime a child is chosen when memory runs out.
const OOM_SCORE: i32 = 500;

/// Runs the launcher. Returns only when there is no child.
pub fn run() -> ExitCode {
    // The stdin it was started with; number 0 is given to the child below.
    let socket = match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) {
        Ok(socket) => socket,
        Err(errno) => return not_for_people(&errno.into()),
    };
    let (order, stdio) = match receive(&socket) {
        Ok(received) => received,
        Err(error) => return not_for_people(&error),
    };
    let failure = match become_child(&order, &stdio, &socket) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    if let Ok(text) = serde_json::to_vec(&failure) {
        let _ = write_all(&socket, &text);
    }
    ExitCode::FAILURE
}

fn not_for_people(error: &io::Error) -> ExitCode {
    eprintln!("__launch is for the runtime alone: it expects an order on its stdin ({error})");
    ExitCode::from(64)
}

/// Takes the order and the child's three descriptors.
fn receive(socket: &OwnedFd) -> io::Result<(Order, [OwnedFd; 3])> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut header = [0u8; HEADER];
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut header)], &mut control, receive_flags())?;
    let passed: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(passed) => Some(passed),
            _ => None,
        })
        .flatten()
        .collect();
    let stdio = <[OwnedFd; 3]>::try_from(passed)
        .map_err(|passed| io::Error::other(format!("{} descriptors came along", passed.len())))?;
    let mut rest = fs::File::from(socket.try_clone()?);
    rest.read_exact(&mut header[got.bytes..])?;
    let length = u32::from_le_bytes(header) as usize;
    if length > MOST {
        return Err(io::Error::other("the order is too long"));
    }
    let mut text = vec![0; length];
    rest.read_exact(&mut text)?;
    Ok((json::from_bytes(&text)?, stdio))
}

#[cfg(target_os = "linux")]
fn receive_flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

/// Elsewhere `close_descriptors_on_exec` sees to it; there is no other thread that could exec.
#[cfg(not(target_os = "linux"))]
fn receive_flags() -> RecvFlags {
    RecvFlags::empty()
}

/// What never is: after a successful `exec` nobody is left to hold it.
enum Never {}

fn become_child(order: &Order, stdio: &[OwnedFd; 3], socket: &OwnedFd) -> Result<Never, Failure> {
    let plan = &order.plan;
    // First the session, so that whoever ends us ends whatever comes of us.
    step("new session", rustix::process::setsid())?;
    step("descriptors", take_stdio(stdio))?;
    if let Stdio::Pty { .. } = plan.stdio {
        let terminal = rustix::stdio::stdin();
        step("controlling terminal", rustix::process::ioctl_tiocsctty(terminal))?;
    }
    step("descriptors", inherited::close_descriptors_on_exec())?;
    inherited::catch_ignored_signals();
    step("limits of before", order.original.restore())?;
    let mut sandbox = plan.sandbox.clone();
    if let Some(group) = &order.group {
        // A failure leaves the limits to `setrlimit`, and the end to the marks.
        if fs::write(group.path.join("cgroup.procs"), "0").is_ok() {
            sandbox.max_memory_bytes.take_if(|_| group.bounds_memory);
            sandbox.max_processes.take_if(|_| group.bounds_processes);
        }
    }
    prefer_for_oom();
    rustix::process::chdir(&plan.cwd).map_err(|errno| {
        let text = format!("{:?} cannot be entered: {}", plan.cwd, io::Error::from(errno));
        failure("working directory", &errno.into(), text)
    })?;
    #[cfg(target_os = "linux")]
    if sandbox.cage.is_some() {
        step("no new privileges", rustix::thread::set_no_new_privs(true))?;
    }
    crate::sandbox::apply(&sandbox).map_err(|error| {
        let text = error.to_string();
        failure(&error.step, &error.source, text)
    })?;
    step("ready", write_all(socket, &[READY]))?;
    Err(execute(plan))
}

fn take_stdio([stdin, stdout, stderr]: &[OwnedFd; 3]) -> io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    Ok(())
}

/// A wish: a kernel without it, or a container that forbids it, is no reason to fail.
fn prefer_for_oom() {
    let file = Path::new("/proc/self/oom_score_adj");
    let own = fs::read_to_string(file).ok().and_then(|score| score.trim().parse::<i32>().ok());
    if let Some(own) = own {
        let _ = fs::write(file, (own + OOM_SCORE).min(1000).to_string());
    }
}

/// Replaces this process; returns what prevented it.
fn execute(plan: &SpawnPlan) -> Failure {
    let mut command = Command::new(&plan.program);
    command.arg0(&plan.command).args(&plan.args).env_clear().envs(plan.env.iter().cloned());
    // `exec` also empties the signal mask and gives SIGPIPE its default again.
    let error = command.exec();
    let program = &plan.program;
    let text = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) if program.is_file() => format!(
            "{program:?} is there, but the interpreter it names (its #! line, or its loader) is not"
        ),
        Some(rustix::io::Errno::NOENT) => format!("{program:?} does not exist"),
        Some(rustix::io::Errno::ACCESS) => format!(
            "{program:?} may not be executed: check its mode, its file system (noexec), its \
             interpreter, and security.allowed_paths where the endpoint has them"
        ),
        Some(rustix::io::Errno::NOEXEC) => format!(
            "{program:?} is no program for this machine (another architecture, or a script \
             without a #! line)"
        ),
        Some(rustix::io::Errno::TOOBIG) => "arguments and environment are too long".to_owned(),
        _ => format!("{program:?} cannot be executed: {error}"),
    };
    failure("exec", &error, text)
}

fn step<T, E: Into<io::Error>>(name: &str, result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(|error| {
        let error = error.into();
        let text = error.to_string();
        failure(name, &error, text)
    })
}

fn failure(step: &str, error: &io::Error, text: String) -> Failure {
    Failure { step: step.to_owned(), errno: error.raw_os_error(), text }
}

fn write_all(socket: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = rustix::net::send(&socket, bytes, rustix::net::SendFlags::empty())?;
        bytes = &bytes[sent..];
    }
    Ok(())
}
