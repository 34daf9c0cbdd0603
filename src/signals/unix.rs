//! The "signals" thread: signals as events, and the reaping of children.

use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::Notice;
use crate::agent::process::end;
use crate::agent::process::reaper::Reaper;
use crate::threads;

/// The running thread; ended and joined by [`SignalThread::stop`].
#[derive(Debug)]
pub struct SignalThread {
    handle: Handle,
    thread: JoinHandle<()>,
}

/// Takes TERM, INT, HUP and CHLD from now on. `notify` is called in the
/// thread and must not block: children are reaped there.
///
/// # Errors
/// When a handler cannot be set, or there can be no thread.
pub fn start(
    reaper: Reaper,
    notify: impl FnMut(Notice) + Send + 'static,
) -> io::Result<SignalThread> {
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])?;
    let handle = signals.handle();
    // One may have ended before there was a handler.
    reaper.reap();
    let thread = threads::spawn("signals", move || run(signals, &reaper, notify))?;
    Ok(SignalThread { handle, thread })
}

/// Takes CHLD alone: for a process whose terminal has other uses for the rest.
///
/// # Errors
/// As [`start`].
pub fn reap_only(reaper: Reaper) -> io::Result<SignalThread> {
    let signals = Signals::new([SIGCHLD])?;
    let handle = signals.handle();
    reaper.reap();
    let thread = threads::spawn("signals", move || run(signals, &reaper, |_| {}))?;
    Ok(SignalThread { handle, thread })
}

/// Calls `told` in a thread of its own whenever somebody presses Ctrl-C, from now
/// until the process ends.
///
/// # Errors
/// As [`start`].
pub fn on_interrupt(mut told: impl FnMut() + Send + 'static) -> io::Result<()> {
    // The thread first: what is caught and told to nobody would be lost.
    let mut signals = Signals::new([0; 0])?;
    let handle = signals.handle();
    threads::spawn("ctrl-c", move || signals.forever().for_each(|_| told()))?;
    handle.add_signal(SIGINT)
}

impl SignalThread {
    /// Ends the thread. TERM, INT and HUP are ignored from then on.
    pub fn stop(self) {
        self.handle.close();
        // A panic there was reported when it happened.
        let _ = self.thread.join();
    }
}

fn run(mut signals: Signals, reaper: &Reaper, mut notify: impl FnMut(Notice)) {
    let mut terminating = false;
    for signal in signals.forever() {
        match signal {
            SIGCHLD => reaper.reap(),
            SIGHUP => notify(Notice::Reload),
            _ if terminating => exit_now(signal),
            _ => {
                terminating = true;
                notify(Notice::Terminate);
            }
        }
    }
}

/// Ends the process without another word to anybody, but not without its children.
fn exit_now(signal: i32) -> ! {
    end::kill_descendants();
    // No exit handler runs: one might wait for a thread that is stuck.
    signal_hook::low_level::exit(128 + signal)
}
