//! How much of what a hub sends may wait here: by number and by bytes, for one
//! session and for all.
//!
//! A hub is always read, so what waits must be bounded at the door: whoever
//! brings a message in asks for a [`Permit`] and refuses the message when there
//! is none. The permit travels with the message and gives its place back when
//! dropped, wherever that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may wait in one session, and in all sessions together.
pub const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// Messages that may wait in one session.
pub const MAX_WAITING_MESSAGES: usize = 128;

/// The count for all sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Admission(Arc<AtomicUsize>);

/// The count for one session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionAdmission {
    all: Admission,
    own: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    messages: AtomicUsize,
}

/// One message's place; given back on drop.
#[derive(Debug, Default)]
pub struct Permit(Option<(SessionAdmission, usize)>);

impl Admission {
    /// The count for a new session.
    pub fn session(&self) -> SessionAdmission {
        SessionAdmission { all: self.clone(), own: Arc::default() }
    }
}

impl SessionAdmission {
    /// A place for a message of `bytes` bytes; `None` when a bound is reached.
    /// A message larger than a bound is let in when it is alone.
    pub fn admit(&self, bytes: usize) -> Option<Permit> {
        // Only the dispatcher admits, so nothing can come between check and count.
        let full = |count: &AtomicUsize| {
            let waiting = count.load(Ordering::Relaxed);
            waiting > 0 && waiting + bytes > MAX_WAITING_BYTES
        };
        if full(&self.own.bytes)
            || full(&self.all.0)
            || self.own.messages.load(Ordering::Relaxed) >= MAX_WAITING_MESSAGES
        {
            return None;
        }
        self.own.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.own.messages.fetch_add(1, Ordering::Relaxed);
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
        Some(Permit(Some((self.clone(), bytes))))
    }
}

impl Permit {
    /// Whether it takes up a place: the default one is for what nobody bounds so.
    pub fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((session, bytes)) = self.0.take() {
            session.own.bytes.fetch_sub(bytes, Ordering::Relaxed);
            session.own.messages.fetch_sub(1, Ordering::Relaxed);
            session.all.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_gives_its_place_back() {
        let session = Admission::default().session();
        let permit = session.admit(MAX_WAITING_BYTES).expect("the first is let in");
        assert!(session.admit(1).is_none(), "the bound is reached");
        drop(permit);
        assert!(session.admit(1).is_some());
    }

    #[test]
    fn one_session_cannot_use_what_all_share_twice() {
        let all = Admission::default();
        let (a, b) = (all.session(), all.session());
        let _held = a.admit(MAX_WAITING_BYTES).expect("alone");
        assert!(b.admit(1).is_none(), "the common bound holds for others too");
    }

    #[test]
    fn a_single_message_may_exceed_the_bound_alone() {
        assert!(Admission::default().session().admit(MAX_WAITING_BYTES + 1).is_some());
    }

    #[test]
    fn messages_are_counted_as_well() {
        let session = Admission::default().session();
        let held: Vec<_> = (0..MAX_WAITING_MESSAGES).map(|_| session.admit(0)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(session.admit(0).is_none());
    }
}
