//! What the dispatcher hears of everybody but the hub's connection, which it reads itself.
//!
//! Nobody who puts something in waits, and there is no bound but this: the link has one
//! connection at a time, a session one last word, and who asks waits for the answer. It
//! knows nothing of what is done about it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crate::hub::HubEvent;
use crate::queue::Queue;
use crate::receive::Sleeper;
use crate::session::event::Event;
use crate::session::requests::Request;

/// Something for the dispatcher.
pub enum Happening {
    /// The link has something.
    Hub(HubEvent),
    /// Somebody asks.
    Asked(Request),
    /// A session's thread is done.
    Ended(Ended),
    /// While draining: a session has nothing open any more.
    Idle,
}

/// A worker's last word.
pub struct Ended {
    pub(super) session_id: Arc<str>,
    pub(super) number: u64,
    /// What came too late for it: the session is made again for these.
    pub(super) unheard: Vec<Event>,
}

/// See the module's head.
#[derive(Default)]
pub struct Mailbox {
    happenings: Queue<Happening>,
    pub(super) sleeper: Sleeper,
    /// That a session is idle is in it already.
    idle: AtomicBool,
}

impl Mailbox {
    /// Puts something in. Never blocks.
    pub fn tell(&self, happening: Happening) {
        self.happenings.push(happening);
        self.sleeper.wake();
    }

    /// A session has nothing open any more; once is enough until the dispatcher looks.
    pub fn tell_idle(&self) {
        if !self.idle.swap(true, Ordering::SeqCst) {
            self.tell(Happening::Idle);
        }
    }

    /// The oldest that is in it.
    pub(super) fn pop(&self) -> Option<Happening> {
        let happening = self.happenings.pop();
        if let Some(Happening::Idle) = happening {
            // Whoever is idle from now on says so again; the others are seen to be. See
            // `Facts::show_busy`.
            self.idle.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        happening
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.happenings.is_empty()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_session_is_idle_is_said_once_until_it_is_heard() {
        let mailbox = Mailbox::default();
        for _ in 0..2 {
            mailbox.tell_idle();
            mailbox.tell_idle();
            assert!(matches!(mailbox.pop(), Some(Happening::Idle)));
            assert!(mailbox.is_empty());
        }
    }
}
