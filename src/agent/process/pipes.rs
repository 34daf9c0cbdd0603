//! A child's three ends, as its pipe thread holds them: output that is read
//! without blocking, input with a backlog. Knows nothing of who talks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::stdin::Stdin;

/// How much one read takes: what a pipe holds.
pub const READ: usize = 64 * 1024;

/// Memory for the first read after a pause, at least, and beyond what is there.
/// Most answers are short, and hundreds of sessions that say a word at once need
/// not have 64 KiB each.
const LEAST: usize = 512;

/// One of a child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error; never there on a terminal.
    Stderr,
}

impl Stream {
    /// Both, in the order of [`Pipes::outputs`].
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Nothing,
    /// Every writer has closed it.
    End,
}

/// Our ends of a child's standard streams.
#[derive(Debug)]
pub struct Pipes {
    /// The way in.
    pub stdin: Stdin,
    /// Standard output (or the terminal) and standard error, while they are open.
    pub outputs: [Option<OwnedFd>; 2],
}

impl Pipes {
    /// Takes over our ends, none of which blocks.
    pub fn new(stdin: Stdin, stdout: OwnedFd, stderr: Option<OwnedFd>) -> Self {
        Self { stdin, outputs: [Some(stdout), stderr] }
    }

    /// Reads into `buffer`, which is given its memory here: room for what is
    /// there where it has none, for [`READ`] once that was filled. At the end of
    /// a stream it is closed.
    pub fn read(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> Read {
        let output = &mut self.outputs[stream as usize];
        let Some(end) = output else { return Read::End };
        if buffer.len() == buffer.capacity() {
            let more = if buffer.is_empty() { (waiting(end) + LEAST).min(READ) } else { READ };
            *buffer = Vec::with_capacity(more);
        }
        buffer.clear();
        loop {
            match rustix::io::read(&*end, spare_capacity(buffer)) {
                Ok(length @ 1..) => return Read::Bytes(length),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::Nothing,
                // EIO is how a terminal says that its last user is gone.
                Ok(0) | Err(_) => {
                    *output = None;
                    return Read::End;
                }
            }
        }
    }

    /// Whether every writer has closed both outputs.
    pub fn ended(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Whether something of the child waits to be read.
    pub fn has_output(&self) -> bool {
        self.states().any(|state| state.contains(PollFlags::IN))
    }

    /// Whether some process can still write to an output, read or not.
    pub fn held(&self) -> bool {
        self.states().any(|state| !state.contains(PollFlags::HUP))
    }

    /// Closes everything at once: on a terminal, a hang-up.
    pub fn close(&mut self) {
        self.stdin.close();
        self.outputs = [None, None];
    }

    /// Bytes that wait to be read, as far as the system tells.
    pub fn unread_output(&self) -> u64 {
        self.outputs.iter().flatten().map(|end| waiting(end) as u64).sum()
    }

    /// What `poll` says of each open output, now.
    fn states(&self) -> impl Iterator<Item = PollFlags> {
        let mut asked: Vec<PollFd<'_>> =
            self.outputs.iter().flatten().map(|end| PollFd::new(end, PollFlags::IN)).collect();
        // Nothing but a bad pointer makes this fail; then nothing is said of any.
        let _ = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        asked.into_iter().map(|asked| asked.revents())
    }

    /// What to poll for one stream.
    pub(super) fn pollable(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.outputs[stream as usize].as_ref().map(AsFd::as_fd)
    }
}

/// Bytes that wait to be read, as far as the system tells.
fn waiting(end: &OwnedFd) -> usize {
    let bytes = rustix::io::ioctl_fionread(end).unwrap_or_default();
    usize::try_from(bytes).unwrap_or(READ)
}
