//! How many senders reach one thread that polls descriptors, at almost no cost.
//!
//! A [`Waker`] costs a system call each time. During a flood the listening
//! thread is awake anyway and will look before it sleeps, into its channel or queue and
//! at the latches it waits for: a flag says so, and then nobody rings. And a listener
//! that sleeps may leave its work to whoever comes: a change of threads costs more than
//! most messages. It knows nothing of these.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Waker;

/// The senders' side. Put the message into the channel, or open the latch, first; then ring.
#[derive(Clone)]
pub struct Doorbell {
    waker: Waker,
    /// Whether the listener will look without being woken.
    /// `None`: nobody keeps that flag, so every ring wakes.
    attentive: Option<Arc<AtomicBool>>,
    desk: Option<Arc<dyn Desk>>,
}

/// The work of a listener, where others can do it.
pub trait Desk: Send + Sync {
    /// Does what there is to do, unless somebody else is at it, and never waits.
    /// Returns whether the listener can sleep on.
    ///
    /// The flag is up by then; like the listener, whoever does it lowers it by
    /// [`Attention::doze`] when everything is done, and looks once more.
    fn stand_in(&self) -> bool;
}

/// The listener's side of the flag.
#[derive(Clone, Debug)]
pub struct Attention(Arc<AtomicBool>);

impl Doorbell {
    /// A doorbell and the flag its listener keeps.
    pub fn new(waker: Waker) -> (Self, Attention) {
        let flag = Arc::new(AtomicBool::new(false));
        let attentive = Some(Arc::clone(&flag));
        (Self { waker, attentive, desk: None }, Attention(flag))
    }

    /// The same doorbell, for a listener whose work others can do.
    #[must_use]
    pub fn with_desk(self, desk: Arc<dyn Desk>) -> Self {
        Self { desk: Some(desk), ..self }
    }

    /// Makes the listener look. Never blocks.
    pub fn ring(&self) {
        if !self.will_look() {
            self.waker.wake();
        }
    }

    /// Does the listener's work here and now, where that can be; otherwise rings.
    /// Never blocks. Not for who holds a lock that the work takes.
    pub fn help(&self) {
        if !self.will_look() && !self.desk.as_ref().is_some_and(|desk| desk.stand_in()) {
            self.waker.wake();
        }
    }

    fn will_look(&self) -> bool {
        self.attentive.as_ref().is_some_and(|flag| flag.swap(true, Ordering::SeqCst))
    }
}

impl From<Waker> for Doorbell {
    /// A doorbell whose every ring wakes.
    fn from(waker: Waker) -> Self {
        Self { waker, attentive: None, desk: None }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").field("waker", &self.waker).finish_non_exhaustive()
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
    use std::sync::atomic::AtomicUsize;

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

    /// Does nothing but count, and has more to do than it can or not.
    struct CountingDesk {
        attention: Attention,
        done: AtomicUsize,
        leaves_something: bool,
    }

    impl Desk for CountingDesk {
        fn stand_in(&self) -> bool {
            self.done.fetch_add(1, Ordering::Relaxed);
            self.attention.doze();
            !self.leaves_something
        }
    }

    #[test]
    fn who_comes_does_the_work_of_a_sleeping_listener_and_wakes_it_for_the_rest() {
        for leaves_something in [false, true] {
            let (waker, bell) = wake::pair().unwrap();
            let (door, attention) = Doorbell::new(waker);
            let desk = Arc::new(CountingDesk {
                attention: attention.clone(),
                done: AtomicUsize::new(0),
                leaves_something,
            });
            let door = door.with_desk(desk.clone());
            let done = || desk.done.load(Ordering::Relaxed);
            attention.doze();
            door.help();
            assert_eq!((done(), bell.take_wake_up()), (1, leaves_something));
            attention.wake_up();
            door.help();
            assert_eq!((done(), bell.is_woken()), (1, false), "it will look itself");
            attention.doze();
            door.ring();
            assert_eq!((done(), bell.is_woken()), (1, true));
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
