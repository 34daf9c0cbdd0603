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
use crate::wake::{WakeFd, timeout};

/// Memory for the first read after a pause, at least, and beyond what is there.
/// Most answers are short, and hundreds of sessions that say a word at once need
/// not have 64 KiB each.
const LEAST: usize = 512;

/// Our ends of a child's standard streams.
#[derive(Debug)]
pub struct Pipes {
    /// The way in.
    pub stdin: Stdin,
    /// Standard output (or the terminal) and standard error, while they are open.
    pub outputs: [Option<OwnedFd>; 2],
    /// How much of each is still read, once that is bounded.
    left: Option<[usize; 2]>,
}

impl Pipes {
    /// Takes over our ends, none of which blocks.
    pub fn new(stdin: Stdin, stdout: OwnedFd, stderr: Option<OwnedFd>) -> Self {
        Self { stdin, outputs: [Some(stdout), stderr], left: None }
    }

    /// Reads into `buffer`, which is given its memory here: room for what is
    /// there where it has none, for [`READ`] once that was filled. At the end of
    /// a stream it is closed.
    pub fn read(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> Read {
        let output = &mut self.outputs[stream as usize];
        let mut left = self.left.as_mut().map(|left| &mut left[stream as usize]);
        let Some(end) = output else { return Read::End };
        if left.as_deref() == Some(&0) {
            return Read::Nothing;
        }
        if buffer.len() == buffer.capacity() {
            let more = if buffer.is_empty() { (unread(end) + LEAST).min(READ) } else { READ };
            *buffer = Vec::with_capacity(more);
        }
        buffer.clear();
        loop {
            match rustix::io::read(&*end, spare_capacity(buffer)) {
                Ok(1..) => {
                    if let Some(left) = &mut left {
                        buffer.truncate(**left);
                        **left -= buffer.len();
                    }
                    return Read::Bytes(buffer.len());
                }
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

    /// Nobody of the child is left to write: what lies there now is read, and
    /// nothing that whoever still holds an output may put behind it.
    pub fn bound(&mut self) {
        let outputs = self.outputs.each_ref();
        self.left.get_or_insert_with(|| outputs.map(|end| end.as_ref().map_or(0, unread)));
    }

    /// Whether something of the child waits to be read.
    pub fn has_output(&self) -> bool {
        self.states(|stream| self.is_wanted(stream)).any(|state| state.contains(PollFlags::IN))
    }

    /// Whether some process can still write to an output, read or not.
    pub fn held(&self) -> bool {
        self.states(|_| true).any(|state| !state.contains(PollFlags::HUP))
    }

    /// Interrupts what runs in the foreground; on a terminal, of that.
    pub fn interrupt(&self, family: &Family, tty: bool) {
        family.interrupt(self.output(Stream::Stdout).filter(|_| tty));
    }

    /// Closes everything at once: on a terminal, a hang-up.
    pub fn close(&mut self) {
        self.stdin.close();
        self.outputs = [None, None];
    }

    /// Bytes that wait to be read, as far as the system tells.
    pub fn unread_output(&self) -> u64 {
        match self.left {
            Some(left) => left.iter().map(|&left| left as u64).sum(),
            None => self.outputs.iter().flatten().map(|end| unread(end) as u64).sum(),
        }
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
        let limit = wanted.limit.and_then(timeout);
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

    /// Whether any more of that stream is read.
    fn is_wanted(&self, stream: Stream) -> bool {
        self.left.is_none_or(|left| left[stream as usize] > 0)
    }

    /// What `poll` says of each open output that is asked for, now.
    fn states(&self, of: impl Fn(Stream) -> bool) -> impl Iterator<Item = PollFlags> {
        let asked = Stream::BOTH.into_iter().filter(|stream| of(*stream));
        let asked = asked.filter_map(|stream| self.outputs[stream as usize].as_ref());
        let mut asked: Vec<PollFd<'_>> = asked.map(|end| PollFd::new(end, PollFlags::IN)).collect();
        // Nothing but a bad pointer makes this fail; then nothing is said of any.
        let _ = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        asked.into_iter().map(|asked| asked.revents())
    }

    /// One stream's open end.
    pub(super) fn output(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.outputs[stream as usize].as_ref().map(AsFd::as_fd)
    }

    /// What to poll for one stream; nothing once no more of it is read.
    pub(super) fn pollable(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.output(stream).filter(|_| self.is_wanted(stream))
    }
}

/// Bytes that lie in a pipe; 0 where that cannot be told.
fn unread(end: &OwnedFd) -> usize {
    let unread = rustix::io::ioctl_fionread(end).unwrap_or(0);
    usize::try_from(unread).unwrap_or(usize::MAX)
}

fn readable(end: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(end, PollFlags::IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = super::super::poll::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&reader, true).expect("a flag");
        (reader, writer)
    }

    #[test]
    fn what_is_written_after_the_bound_is_not_read() {
        let [(stdout, flood), (stderr, silent), (_, stdin)] = [pipe(), pipe(), pipe()];
        let mut pipes = Pipes::new(Stdin::new(stdin), stdout, Some(stderr));
        let write = |text: &[u8]| {
            assert_eq!(rustix::io::write(&flood, text).expect("room"), text.len());
        };
        write(b"before");
        pipes.bound();
        write(b"after");
        pipes.bound();
        assert!(pipes.has_output() && pipes.held());
        assert_eq!(pipes.unread_output(), 6);
        let mut buffer = Vec::new();
        assert_eq!(pipes.read(Stream::Stdout, &mut buffer), Read::Bytes(6));
        assert_eq!(buffer, b"before");
        assert_eq!(pipes.read(Stream::Stdout, &mut buffer), Read::Nothing);
        assert_eq!(pipes.read(Stream::Stderr, &mut buffer), Read::Nothing);
        assert!(!pipes.has_output() && pipes.held());
        assert!(pipes.pollable(Stream::Stdout).is_none());
        drop((flood, silent));
        assert!(!pipes.has_output() && !pipes.held());
    }
}
