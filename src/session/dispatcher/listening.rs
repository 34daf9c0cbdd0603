//! How the dispatcher waits: for the hub's connection and for its mailbox at once.
//! Between two messages of the hub, each of which can be 32 MiB, it looks into the
//! mailbox; after so many of that, at the connection.

use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Dispatcher;
use super::mailbox::{Happening, Mailbox};
use crate::hub::{Heard, Reader};
use crate::receive::Nap;
use crate::session::requests::Request;
use crate::wake::{WakeFd, Waker};

/// So much is taken out of the mailbox before the hub has its turn.
const AT_ONCE: usize = 64;

impl Dispatcher {
    /// Deals with whatever comes, until it is told to leave.
    pub(super) fn attend(&mut self, (waker, bell): (Waker, WakeFd)) {
        let mailbox = Arc::clone(&self.mailbox);
        let attention = mailbox.sleeper.polls(waker);
        let nothing_came = || mailbox.is_empty();
        let nap = Nap::new(&attention, &nothing_came);
        while self.hear(&mailbox) {
            if self.listen() {
                nap.take(|| wait(&bell, self.reader.as_deref_mut()));
            }
        }
    }

    /// Takes what is in the mailbox. `false`: nothing is left to do.
    fn hear(&mut self, mailbox: &Mailbox) -> bool {
        for _ in 0..AT_ONCE {
            match mailbox.pop() {
                None => break,
                Some(Happening::Asked(Request::Leave)) => return false,
                Some(happening) => self.handle(happening),
            }
        }
        true
    }

    /// Reads one thing that the hub has said. Whether nothing more is there.
    fn listen(&mut self) -> bool {
        let Some(reader) = &mut self.reader else { return true };
        if reader.poll_fd().is_some() {
            return true;
        }
        match reader.read() {
            // When everything is closed, it is read for the pongs alone.
            Heard::Message(message) if !self.finished() => self.message(message),
            Heard::Message(_) | Heard::Aside => {}
            Heard::Nothing => return true,
            Heard::End => {
                self.reader = None;
                self.link_lost();
            }
        }
        false
    }
}

/// Waits until the bell rings, or the connection has something, or has had its time.
fn wait(bell: &WakeFd, reader: Option<&mut Reader>) {
    let Some(reader) = reader else { return bell.wait() };
    let left = reader.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    // A wait too long for the type is as good as one without end.
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let Some(connection) = reader.poll_fd() else { return };
    let mut fds = [PollFd::new(bell, PollFlags::IN), connection];
    // Interrupted, or short of memory: the connection is looked at, and waited for again.
    let polled = poll(&mut fds, left.as_ref());
    let only_rung = polled.is_ok_and(|ready| ready > 0) && fds[1].revents().is_empty();
    if !fds[0].revents().is_empty() {
        bell.drain();
    }
    if !only_rung {
        reader.look_again();
    }
}
