//! How threads are made: named, with a measured stack, and failing is an answer.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::resident;

/// Stack of a thread, in bytes. Only what is touched costs memory; larger
/// buffers belong on the heap. Unoptimised builds keep every temporary in its
/// own place and need more.
///
/// glibc keeps 40 MiB of ended threads' stacks for later ones, with all that was
/// touched of them: of 64 KiB each that was 10 MB after a thousand sessions, of
/// 2 MiB it is a quarter of one.
pub const STACK: usize = if cfg!(debug_assertions) {
    512 * 1024
} else if cfg!(all(target_os = "linux", target_env = "gnu")) {
    2 * 1024 * 1024
} else {
    64 * 1024
};

/// Stack of a thread that shakes hands over TLS, resolves names or parses a configuration.
/// To send a message over TLS takes eleven KiB.
pub const LARGE_STACK: usize = 1024 * 1024;

/// Starts a thread with [`STACK`].
///
/// # Errors
/// When the system refuses another thread (`EAGAIN`): the caller refuses what it was for.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let run = || {
        resident::stack_begins();
        run()
    };
    start(name.into(), STACK, Box::new(run))
}

/// Starts a thread with [`LARGE_STACK`].
///
/// # Errors
/// As [`spawn`].
pub fn spawn_large<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    start(name.into(), LARGE_STACK, Box::new(run))
}

/// Tells the system the thread's name. The standard library does; but musl's way, with
/// its `printf`, is left out of the static binaries (`scripts/static.sh`).
fn tell_name() {
    #[cfg(target_env = "musl")]
    if let Some(Ok(name)) = std::thread::current().name().map(std::ffi::CString::new) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Boxed, because what the standard library does to start a thread is compiled
/// anew for every function it is given: that came to as much as what they do.
fn start<T: Send + 'static>(
    name: String,
    stack: usize,
    run: Box<dyn FnOnce() -> T + Send>,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name).stack_size(stack).spawn(|| {
        tell_name();
        run()
    })
}
