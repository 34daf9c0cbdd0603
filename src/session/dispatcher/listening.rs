//! How the dispatcher waits: for the hub's connection and for its mailbox at once.
//! After each message of the hub, or each part of a large one, it looks into the
//! mailbox; after so many of that, at the connection.

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};

use super::Dispatcher;
use super::mailbox::Mailbox;
use crate::hub::{Heard, Reader};
use crate::receive::Nap;
use crate::wake::{WakeFd, Waker, time_left};

/// So much is taken out of the mailbox before it is the hub's turn.
const AT_ONCE: usize = 64;

impl Dispatcher {
    /// Deals with whatever comes, until it is told to leave.
    pub(super) fn attend(&mut self, (waker, bell): (Waker, WakeFd)) {
        let mailbox = Arc::clone(&self.mailbox);
        let attention = mailbox.sleeper.polls(waker);
        let nothing_came = || mailbox.is_empty();
        let nap = Nap::new(&attention, &nothing_came);
        loop {
            self.hear(&mailbox);
            if self.left.is_some() {
                return;
            }
            if !self.listen() {
                continue;
            }
            let waited = nap.take(|| wait(&bell, self.reader.as_deref_mut()));
            // A mailbox that is never empty must not keep the hub from its turn.
            if waited.is_none()
                && let Some(reader) = &mut self.reader
            {
                reader.look_again();
            }
        }
    }

    /// Takes what is in the mailbox, and nothing behind the word to leave.
    fn hear(&mut self, mailbox: &Mailbox) {
        for _ in 0..AT_ONCE {
            let Some(happening) = mailbox.pop() else { return };
            self.handle(happening);
            if self.left.is_some() {
                return;
            }
        }
    }

    /// Reads one thing that the hub has said. Whether nothing more is there.
    fn listen(&mut self) -> bool {
        if let Some(early) = &mut self.early {
            match early.next() {
                Some(message) if !self.passes_over => self.message(message),
                _ => self.early = None,
            }
            return false;
        }
        let Some(reader) = &mut self.reader else { return true };
        if reader.poll_fd().is_some() {
            return true;
        }
        match reader.read() {
            Heard::Message(message) if !self.passes_over => self.message(message),
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
    let left = time_left(reader.deadline());
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
