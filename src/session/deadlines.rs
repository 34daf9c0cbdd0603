//! One session's deadlines at the watchdog.

use std::sync::Arc;
use std::time::Instant;

use super::event::{Event, Inbox};
use crate::watchdog::{Notify, Reason, WatchdogHandle};

/// Arms and disarms for one session; a deadline that passes lands in its inbox.
pub struct Deadlines {
    watchdog: WatchdogHandle,
    session: u64,
    notify: Notify,
}

impl Deadlines {
    /// For the session with this number.
    pub fn new(watchdog: WatchdogHandle, session: u64, inbox: Inbox) -> Self {
        let notify: Notify = Arc::new(move |deadline| inbox.tell(Event::Deadline(deadline)));
        Self { watchdog, session, notify }
    }

    /// Tells the session at `at`, unless it is armed anew or disarmed before.
    /// `generation` comes back, so that a late deadline is known as such.
    pub fn arm(&self, reason: Reason, generation: u64, at: Instant) {
        self.watchdog.arm(self.session, reason, generation, at, Arc::clone(&self.notify));
    }

    /// Takes one back.
    pub fn disarm(&self, reason: Reason) {
        self.watchdog.disarm(self.session, reason);
    }

    /// Takes all back.
    pub fn forget(&self) {
        self.watchdog.forget(self.session);
    }
}
