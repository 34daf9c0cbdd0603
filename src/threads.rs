//! How threads are made: named, with a measured stack, and failing is an answer.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Stack of a thread, in bytes. Only what is touched costs memory; larger
/// buffers belong on the heap. Unoptimised builds keep every temporary in its
/// own place and need more.
pub const STACK: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

/// Stack of a thread that runs TLS, name resolution or a JSON parser.
pub const LARGE_STACK: usize = 1024 * 1024;

/// Starts a thread with [`STACK`].
///
/// # Errors
/// When the system refuses another thread (`EAGAIN`): the caller refuses what it was for.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).stack_size(STACK).spawn(run)
}

/// Starts a thread with [`LARGE_STACK`].
///
/// # Errors
/// As [`spawn`].
pub fn spawn_large<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).stack_size(LARGE_STACK).spawn(run)
}
