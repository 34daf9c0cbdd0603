//! Wakes a thread that waits on descriptors (`poll`), where a channel cannot.
//!
//! The sending half of such a thread is a channel plus a [`Waker`]: put the
//! message into the channel, then wake. The waiting thread polls the
//! [`WakeFd`], drains it, then empties the channel. An eventfd on Linux, a pipe
//! on other Unix systems.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The end that wakes. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

/// The end that is polled for readability.
#[derive(Debug)]
pub struct WakeFd(Arc<OwnedFd>);

/// Makes a connected pair.
///
/// # Errors
/// When the process is out of descriptors (`EMFILE`, `ENFILE`).
#[cfg(target_os = "linux")]
pub fn pair() -> io::Result<(Waker, WakeFd)> {
    use rustix::event::{EventfdFlags, eventfd};
    let fd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Waker(Arc::clone(&fd)), WakeFd(fd)))
}

/// Makes a connected pair.
///
/// # Errors
/// When the process is out of descriptors (`EMFILE`, `ENFILE`).
#[cfg(all(unix, not(target_os = "linux")))]
pub fn pair() -> io::Result<(Waker, WakeFd)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
    }
    Ok((Waker(Arc::new(writer)), WakeFd(Arc::new(reader))))
}

impl Waker {
    /// Makes the other end readable. A full pipe or counter is a wake-up already.
    pub fn wake(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Whether both wake the same thread.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl WakeFd {
    /// Takes all wake-ups so far, so that the next `poll` waits for a new one.
    pub fn drain(&self) {
        let mut taken = [0u8; 64];
        // An eventfd is empty after one read, a pipe when a read comes back short.
        while matches!(rustix::io::read(&self.0, &mut taken), Ok(n) if n == taken.len()) {}
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
