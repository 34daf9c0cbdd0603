//! Waiting for a channel without spinning first.
//!
//! `Receiver::recv` looks at its channel some hundred times and yields the
//! processor four times before it sleeps. That is right between two busy
//! threads. Here a message passes half a dozen threads that sleep most of the
//! time, and each would pay for it at every message. Selecting among several
//! channels sleeps at once; so a second one is added that never says anything.
//!
//! That still costs two locks that sender and receiver meet at. Where every
//! message matters, the receiver is parked instead, and the sender's half is a
//! queue plus a [`Sleeper`]: put the message in, then wake. A thread that polls
//! descriptors can be woken the same way, in a [`Nap`].

use std::convert::Infallible;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};
use std::thread::{self, Thread};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, never, select_biased};

use crate::queue::Queue;
use crate::wake::Waker;
use crate::wake::doorbell::{Attention, Doorbell};

/// One thread that sleeps while it has nothing to do, as others know it.
#[derive(Debug, Default)]
pub struct Sleeper(OnceLock<Bed>);

/// What it sleeps in.
#[derive(Debug)]
enum Bed {
    Parked(Thread),
    Polls(Doorbell),
}

impl Sleeper {
    /// This thread is the one, and parks. To be said before it looks for the first time.
    pub fn is_here(&self) {
        self.lies_in(Bed::Parked(thread::current()));
    }

    /// It polls what `waker` wakes, each time in a [`Nap`] of what is returned. To be
    /// said before it looks for the first time.
    pub fn polls(&self, waker: Waker) -> Attention {
        let (doorbell, attention) = Doorbell::new(waker);
        // Nobody need ring before the first nap.
        attention.wake_up();
        self.lies_in(Bed::Polls(doorbell));
        attention
    }

    fn lies_in(&self, bed: Bed) {
        let _ = self.0.set(bed);
        fence(Ordering::SeqCst);
    }

    /// Wakes it, after something was put where it will look.
    pub fn wake(&self) {
        // Either the thread is known by now, or it has yet to look.
        fence(Ordering::SeqCst);
        match self.0.get() {
            Some(Bed::Parked(thread)) => thread.unpark(),
            Some(Bed::Polls(doorbell)) => doorbell.ring(),
            None => {}
        }
    }
}

/// What a thread that polls asks around each wait, so that nobody has to ring while it
/// is busy, and nothing that comes right before the wait is missed.
#[derive(Clone, Copy)]
pub struct Nap<'a> {
    attention: &'a Attention,
    nothing_came: &'a dyn Fn() -> bool,
}

impl<'a> Nap<'a> {
    /// Of the thread that `attention` is of; `nothing_came` looks where others put
    /// something before they wake it.
    pub fn new(attention: &'a Attention, nothing_came: &'a dyn Fn() -> bool) -> Self {
        Self { attention, nothing_came }
    }

    /// `wait`, unless something has come already; then `None`.
    pub fn take<T>(&self, wait: impl FnOnce() -> T) -> Option<T> {
        self.attention.doze();
        // Either whoever puts something in sees that it sleeps, or it is seen here.
        fence(Ordering::SeqCst);
        let waited = (self.nothing_came)().then(wait);
        self.attention.wake_up();
        waited
    }
}

/// Waits, parked, for the next message; every sender wakes this thread's [`Sleeper`].
/// `None`: `deadline`, where there is one, has passed.
pub fn receive_parked<T>(from: &Queue<T>, deadline: Option<Instant>) -> Option<T> {
    loop {
        if let Some(message) = from.pop() {
            return Some(message);
        }
        let Some(deadline) = deadline else {
            thread::park();
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// Waits for the next message.
///
/// # Errors
/// When every sender is gone and nothing is left.
pub fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    select_biased! {
        recv(from) -> message => message,
        recv(never::<Infallible>()) -> _ => Err(RecvError),
    }
}

/// Waits for the next message until `deadline`, where there is one.
///
/// # Errors
/// When the deadline passed, or when every sender is gone and nothing is left.
pub fn receive_until<T>(
    from: &Receiver<T>,
    deadline: Option<Instant>,
) -> Result<T, RecvTimeoutError> {
    let Some(deadline) = deadline else { return receive(from).map_err(RecvTimeoutError::from) };
    select_biased! {
        recv(from) -> message => message.map_err(RecvTimeoutError::from),
        recv(never::<Infallible>()) -> _ => Err(RecvTimeoutError::Disconnected),
        default(deadline.saturating_duration_since(Instant::now())) => {
            Err(RecvTimeoutError::Timeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn what_is_there_comes_before_the_deadline_and_the_end() {
        let (sender, receiver) = bounded(2);
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        drop(sender);
        assert_eq!(receive_until(&receiver, Some(Instant::now())), Ok(1));
        assert_eq!(receive(&receiver), Ok(2));
        assert_eq!(receive(&receiver), Err(RecvError));
        assert_eq!(receive_until(&receiver, None), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_parked_thread_misses_nothing() {
        let queue = Queue::default();
        let sleeper = Sleeper::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                sleeper.is_here();
                (0..1000).map(|_| receive_parked(&queue, None).unwrap()).sum::<u64>()
            });
            for number in 0..1000 {
                queue.push(number);
                sleeper.wake();
            }
            assert_eq!(waiting.join().unwrap(), 499_500);
        });
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(receive_parked(&queue, Some(soon)), None);
        assert!(Instant::now() >= soon);
    }

    #[test]
    fn a_polling_thread_misses_nothing() {
        let (waker, bell) = crate::wake::pair().unwrap();
        let queue = Queue::default();
        let sleeper = Sleeper::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let attention = sleeper.polls(waker.clone());
                let nothing_came = || queue.is_empty();
                let nap = Nap::new(&attention, &nothing_came);
                let mut sum = 0;
                let mut left = 1000;
                while left > 0 {
                    while let Some(number) = queue.pop() {
                        sum += number;
                        left -= 1;
                    }
                    if left > 0 {
                        nap.take(|| bell.wait());
                    }
                }
                sum
            });
            for number in 0..1000u64 {
                queue.push(number);
                sleeper.wake();
            }
            assert_eq!(waiting.join().unwrap(), 499_500);
        });
        bell.drain();
        sleeper.wake();
        assert!(!bell.is_woken(), "nobody rings for a thread that is awake");
    }

    #[test]
    fn a_wait_ends_with_a_message_or_at_its_deadline() {
        let (sender, receiver) = bounded(1);
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(receive_until(&receiver, Some(soon)), Err(RecvTimeoutError::Timeout));
        assert!(Instant::now() >= soon);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| receive(&receiver));
            sender.send(3).unwrap();
            assert_eq!(waiting.join().unwrap(), Ok(3));
        });
    }
}
