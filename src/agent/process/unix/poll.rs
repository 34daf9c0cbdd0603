//! Waiting on one descriptor with a deadline, and pipes that close on exec.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::wake::time_left;

/// Waits for `events` (or the other side's end) on `fd`; `false`: `deadline` came first.
pub(super) fn ready(
    fd: impl AsFd,
    events: PollFlags,
    deadline: Instant,
) -> rustix::io::Result<bool> {
    any(&mut [PollFd::new(&fd, events)], deadline)
}

/// Waits for any of `fds`; `false`: `deadline` came first.
pub(super) fn any(fds: &mut [PollFd<'_>], deadline: Instant) -> rustix::io::Result<bool> {
    loop {
        let left = time_left(Some(deadline));
        match rustix::event::poll(fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            other => return other.map(|count| count > 0),
        }
    }
}

/// A pipe's reading and writing end.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(target_os = "linux")]
    let ends = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    #[cfg(not(target_os = "linux"))]
    let ends = {
        let (reader, writer) = io::pipe()?;
        (reader.into(), writer.into())
    };
    Ok(ends)
}
