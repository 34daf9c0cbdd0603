//! An eventfd, which is both ends, or a pipe.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub(super) type End = OwnedFd;

#[cfg(target_os = "linux")]
pub(super) fn pair() -> io::Result<(Arc<End>, Arc<End>)> {
    use rustix::event::{EventfdFlags, eventfd};
    let fd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Arc::clone(&fd), fd))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pair() -> io::Result<(Arc<End>, Arc<End>)> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
    }
    Ok((Arc::new(writer), Arc::new(reader)))
}

pub(super) fn ring(end: &End) {
    let _ = rustix::io::write(end, &1u64.to_ne_bytes());
}

pub(super) fn drain(end: &End) {
    let mut taken = [0u8; 64];
    // An eventfd is empty after one read, a pipe when a read comes back short.
    while matches!(rustix::io::read(end, &mut taken), Ok(n) if n == taken.len()) {}
}
