//! The console's events. There are no others: `control` says the rest.

use std::io;

use super::Notice;
use crate::agent::process::reaper::Reaper;

/// Exit code of a process that was told twice, as for SIGINT elsewhere.
const INTERRUPTED: i32 = 130;

/// What takes the events; they cannot be given back.
#[derive(Debug)]
pub struct SignalThread;

/// Takes Ctrl-C, Ctrl-Break, the console's closing, logoff and shutdown from now
/// on. `notify` is called in a thread of its own, and must not block.
///
/// When the console is closed, the system ends the process a moment after it was
/// told: agents end with their job objects, and the journal closes their turns
/// at the next start.
///
/// # Errors
/// When the handler cannot be set.
pub fn start(
    _reaper: Reaper,
    mut notify: impl FnMut(Notice) + Send + 'static,
) -> io::Result<SignalThread> {
    let mut terminating = false;
    let told = move || {
        if std::mem::replace(&mut terminating, true) {
            std::process::exit(INTERRUPTED);
        }
        notify(Notice::Terminate);
    };
    on_interrupt(told)?;
    Ok(SignalThread)
}

/// Calls `told` in a thread of its own whenever somebody presses Ctrl-C, or the
/// console is closed, from now until the process ends.
///
/// # Errors
/// When the handler cannot be set.
pub fn on_interrupt(told: impl FnMut() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(told).map_err(io::Error::other)
}

/// Takes nothing: the events have other uses, and nothing has to be reaped.
///
/// # Errors
/// Never, here.
pub fn reap_only(_reaper: Reaper) -> io::Result<SignalThread> {
    Ok(SignalThread)
}

impl SignalThread {
    /// Events that come from now on are told to nobody who listens; a second
    /// one still ends the process.
    pub fn stop(self) {}
}
