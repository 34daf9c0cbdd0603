//! A child's three ends, as its pipe thread holds them: output that is read
//! without blocking, input with a backlog. Knows nothing of who talks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::end::Ending;
use super::family::Family;
use super::stdin::Stdin;
use crate::agent::process::stream::{READ, Read, Ready, Stream, Wanted};
use crate::wake::WakeFd;

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

    /// Reads into `buffer` (empty, and given its memory here if it has none).
    /// At the end of a stream it is closed.
    pub fn read(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> Read {
        let output = &mut self.outputs[stream as usize];
        let Some(end) = output else { return Read::End };
        buffer.clear();
        buffer.reserve_exact(READ);
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

    /// Interrupts what runs in the foreground; on a terminal, of that.
    pub fn interrupt(&self, family: &Family, tty: bool) {
        family.interrupt(self.pollable(Stream::Stdout).filter(|_| tty));
    }

    /// Closes everything at once: on a terminal, a hang-up.
    pub fn close(&mut self) {
        self.stdin.close();
        self.outputs = [None, None];
    }

    /// Bytes that wait to be read, as far as the system tells.
    pub fn unread_output(&self) -> u64 {
        self.outputs.iter().flatten().filter_map(|end| rustix::io::ioctl_fionread(end).ok()).sum()
    }

    /// Whether output may be on its way here without being seen by
    /// [`Pipes::has_output`]: never, the system keeps it for us.
    #[allow(clippy::unused_self, reason = "elsewhere a thread reads")]
    pub fn lags(&self) -> bool {
        false
    }

    /// The one place where a pipe thread waits; input goes on as soon as there is
    /// room for it. What an end waits for only ends
    /// the wait: the next round goes on ending.
    pub fn wait(&mut self, wake: &WakeFd, ending: Option<&Ending>, wanted: Wanted) -> Ready {
        let backlog = self.stdin.backlog();
        let outputs = Stream::BOTH.map(|stream| self.pollable(stream).filter(|_| wanted.output));
        let mut polled = Vec::with_capacity(4);
        polled.push(PollFd::new(wake, PollFlags::IN));
        polled.extend(backlog.map(|end| PollFd::from_borrowed_fd(end, PollFlags::OUT)));
        polled.extend(outputs.iter().flatten().copied().map(readable));
        polled.extend(ending.into_iter().flat_map(Ending::fds).map(readable));
        // A wait too long for the type is as good as one without end.
        let limit = wanted.limit.and_then(|limit| Timespec::try_from(limit).ok());
        if poll(&mut polled, limit.as_ref()).is_err() {
            // EINTR, a wake-up for nothing: the other errors of poll are a bad
            // pointer and more descriptors than one may have.
            return Ready::default();
        }
        let mut said = polled.iter().map(|polled| !polled.revents().is_empty());
        let mut next = || said.next().unwrap_or(false);
        let woken = next();
        let writable = backlog.is_some() && next();
        let ready = Ready { woken, readable: outputs.map(|output| output.is_some() && next()) };
        if writable {
            self.stdin.write();
        }
        ready
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

fn readable(end: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(end, PollFlags::IN)
}
