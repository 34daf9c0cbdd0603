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
//! queue plus a [`Sleeper`]: put the message in, then wake.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, fence};
use std::thread::{self, Thread};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, never, select_biased};

use crate::queue::Queue;

/// One thread that parks while it has nothing to do, as others know it.
#[derive(Debug, Default)]
pub struct Sleeper(OnceLock<Thread>);

impl Sleeper {
    /// This thread is the one. To be said before it looks for the first time.
    pub fn is_here(&self) {
        let _ = self.0.set(thread::current());
        fence(Ordering::SeqCst);
    }

    /// Wakes it, after something was put where it will look.
    pub fn wake(&self) {
        // Either the thread is known by now, or it has yet to look.
        fence(Ordering::SeqCst);
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
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
