//! How many senders reach one thread that polls descriptors, at almost no cost.
//!
//! A [`Waker`] costs a system call each time. During a flood the listening
//! thread is awake anyway and will look before it sleeps, into its channel or queue and
//! at the latches it waits for: a flag says so, and then nobody rings. And a listener
//! that sleeps may leave its work to whoever comes: a change of threads costs more than
//! most messages. It knows nothing of these.

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
        self.ring_unless(|| false);
    }

    /// The same, unless `stand_in` does a sleeping listener's work here and now and says
    /// that it can sleep on.
    ///
    /// The flag is up by then; like the listener, whoever does it lowers it by
    /// [`Attention::doze`] when everything is done, and looks once more. Not for who
    /// holds a lock that the work takes.
    pub fn ring_unless(&self, stand_in: impl FnOnce() -> bool) {
        let will_look =
            self.attentive.as_ref().is_some_and(|flag| flag.swap(true, Ordering::SeqCst));
        if !will_look && !stand_in() {
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
    use std::cell::Cell;

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
    fn who_comes_does_the_work_of_a_sleeping_listener_and_wakes_it_for_the_rest() {
        for leaves_something in [false, true] {
            let (waker, bell) = wake::pair().unwrap();
            let (door, attention) = Doorbell::new(waker);
            let done = Cell::new(0);
            let help = || {
                door.ring_unless(|| {
                    done.set(done.get() + 1);
                    attention.doze();
                    !leaves_something
                });
            };
            attention.doze();
            help();
            assert_eq!((done.get(), bell.take_wake_up()), (1, leaves_something));
            attention.wake_up();
            help();
            assert_eq!((done.get(), bell.is_woken()), (1, false), "it will look itself");
            attention.doze();
            door.ring();
            assert_eq!((done.get(), bell.is_woken()), (1, true));
        }
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
