//! How many senders reach one thread that polls descriptors, at almost no cost.
//!
//! A [`Waker`] costs a system call each time. During a flood the listening
//! thread is awake anyway and will look before it sleeps, into its channel or queue and
//! at the latches it waits for: a flag says so, and then nobody rings. It knows nothing
//! of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Waker;

/// The senders' side. Put the message into the channel, or open the latch, first; then ring.
#[derive(Clone, Debug)]
pub struct Doorbell {
    waker: Waker,
    /// Whether the listener will look without being woken.
    /// `None`: nobody keeps that flag, so every ring wakes.
    attentive: Option<Arc<AtomicBool>>,
}

/// The listener's side of the flag.
#[derive(Debug)]
pub struct Attention(Arc<AtomicBool>);

impl Doorbell {
    /// A doorbell and the flag its listener keeps.
    pub fn new(waker: Waker) -> (Self, Attention) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self { waker, attentive: Some(Arc::clone(&flag)) }, Attention(flag))
    }

    /// Makes the listener look. Never blocks.
    pub fn ring(&self) {
        let will_look =
            self.attentive.as_ref().is_some_and(|flag| flag.swap(true, Ordering::SeqCst));
        if !will_look {
            self.waker.wake();
        }
    }
}

impl From<Waker> for Doorbell {
    /// A doorbell whose every ring wakes.
    fn from(waker: Waker) -> Self {
        Self { waker, attentive: None }
    }
}

impl Attention {
    /// The listener is about to sleep. It must look once more after this call: what
    /// was there before is not rung for again.
    pub fn doze(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// The listener is up and will look before it sleeps again.
    pub fn wake_up(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake;

    #[test]
    fn only_the_first_ring_wakes_a_dozing_listener() {
        let (waker, bell) = wake::pair().unwrap();
        let (door, attention) = Doorbell::new(waker);
        attention.doze();
        door.ring();
        assert!(bell.is_woken());
        bell.drain();
        door.ring();
        assert!(!bell.is_woken(), "the listener has not dozed off again");
        attention.doze();
        door.ring();
        assert!(bell.is_woken());
    }

    #[test]
    fn a_plain_waker_always_wakes() {
        let (waker, bell) = wake::pair().unwrap();
        let door = Doorbell::from(waker);
        for _ in 0..2 {
            door.ring();
            assert!(bell.is_woken());
            bell.drain();
        }
    }
}
