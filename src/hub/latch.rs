//! A latch: closed until it is opened, once and for good.
//!
//! An entry that must not be sent before something else has happened carries
//! one. The link writer has other things to do than to wait for it: it asks, and
//! its doorbell rings when the answer has changed. As with everything it rings for,
//! the listener asks once more before it sleeps. It knows nothing of what is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::wake::doorbell::Doorbell;

const CLOSED: u8 = 0;
/// Closed, and somebody wants to hear of its opening.
const AWAITED: u8 = 1;
const OPEN: u8 = 2;

/// A handle on a latch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Latch(Arc<(AtomicU8, Doorbell)>);

impl Latch {
    /// A closed latch.
    pub fn new(doorbell: Doorbell) -> Self {
        Self(Arc::new((AtomicU8::new(CLOSED), doorbell)))
    }

    /// Opens it. Never blocks.
    pub fn open(&self) {
        let (state, doorbell) = &*self.0;
        if state.swap(OPEN, Ordering::SeqCst) == AWAITED {
            doorbell.ring();
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.0.0.load(Ordering::Acquire) == OPEN
    }

    /// Whether it is open; if it is not, the doorbell rings as soon as it is.
    pub(super) fn ask(&self) -> bool {
        // In one order with the doorbell's flag: either this sees it open, or the
        // opening finds a listener that dozes.
        let awaited =
            self.0.0.compare_exchange(CLOSED, AWAITED, Ordering::SeqCst, Ordering::SeqCst);
        awaited == Err(OPEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake;

    #[test]
    fn a_listener_that_asks_again_when_it_dozes_misses_no_opening() {
        for opens_first in [true, false] {
            let (waker, bell) = wake::pair().unwrap();
            let (doorbell, attention) = Doorbell::new(waker);
            attention.wake_up();
            let latch = Latch::new(doorbell);
            assert!(!latch.ask());
            if opens_first {
                latch.open();
            }
            attention.doze();
            let seen = latch.ask();
            latch.open();
            assert_eq!((seen, bell.take_wake_up()), (opens_first, !opens_first));
        }
    }

    #[test]
    fn only_who_asked_too_early_is_rung_and_only_once() {
        let (waker, bell) = wake::pair().unwrap();
        let latch = Latch::new(Doorbell::from(waker.clone()));
        latch.open();
        assert!(latch.is_open() && latch.ask() && !bell.take_wake_up());
        let latch = Latch::new(Doorbell::from(waker));
        assert!(!latch.is_open() && !latch.ask() && !latch.ask());
        latch.open();
        assert!(latch.ask() && bell.take_wake_up());
        latch.open();
        assert!(!bell.take_wake_up());
    }
}
