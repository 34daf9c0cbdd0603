//! Wakes a thread that waits on descriptors (`poll`), where a channel cannot.
//!
//! The sending half of such a thread is a channel, or a queue, plus a [`Waker`]: put
//! the message in, then wake. The waiting thread polls the [`WakeFd`], drains it,
//! then takes all there is. An eventfd on Linux, a pipe
//! on other Unix systems, a pair of sockets on Windows, which polls nothing else.

pub mod doorbell;
#[cfg_attr(unix, path = "wake/unix.rs")]
#[cfg_attr(windows, path = "wake/windows.rs")]
mod system;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};

/// The end that wakes. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Waker(Arc<system::End>);

/// The end that is polled for readability.
#[derive(Debug)]
pub struct WakeFd {
    polled: Arc<system::End>,
    /// Where the ends are two: that the last waker is gone is no wake-up.
    _waker: Waker,
}

/// How long a `poll` that ends at `deadline` may take; `None`: without end.
pub fn time_left(deadline: Option<Instant>) -> Option<Timespec> {
    timeout(deadline?.saturating_duration_since(Instant::now()))
}

/// `limit` as `poll` takes it. A wait too long for its type is as good as one without end.
pub fn timeout(limit: Duration) -> Option<Timespec> {
    Timespec::try_from(limit).ok()
}

/// Makes a connected pair.
///
/// # Errors
/// When the process is out of descriptors (`EMFILE`, `ENFILE`).
pub fn pair() -> io::Result<(Waker, WakeFd)> {
    let (waker, polled) = system::pair()?;
    let waker = Waker(waker);
    Ok((waker.clone(), WakeFd { polled, _waker: waker }))
}

impl Waker {
    /// Makes the other end readable. A full pipe or counter is a wake-up already.
    pub fn wake(&self) {
        system::ring(&self.0);
    }

    /// Whether both wake the same thread.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl WakeFd {
    /// Takes all wake-ups so far, so that the next `poll` waits for a new one.
    pub fn drain(&self) {
        system::drain(&self.polled);
    }

    /// Waits for a wake-up, and takes all there are by then.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// The same, until `deadline` at the longest, where there is one.
    pub fn wait_until(&self, deadline: Option<Instant>) {
        // Interrupted, or short of memory: the caller looks, and waits again.
        let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], time_left(deadline).as_ref());
        self.drain();
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.polled.as_fd()
    }
}

/// What tests ask of the end they listen at.
#[cfg(test)]
impl WakeFd {
    /// Whether there is a wake-up.
    pub fn is_woken(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&now)) == Ok(1)
    }

    /// The same, and takes it.
    pub fn take_wake_up(&self) -> bool {
        let woken = self.is_woken();
        self.drain();
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_add_up_to_one_and_are_drained_at_once() {
        let (waker, end) = pair().unwrap();
        assert!(!end.is_woken());
        for _ in 0..1000 {
            waker.wake();
        }
        assert!(end.is_woken());
        end.drain();
        assert!(!end.is_woken());
        waker.wake();
        drop(waker);
        assert!(end.is_woken());
        end.drain();
        assert!(!end.is_woken());
    }
}
