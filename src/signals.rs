//! What the user or the service manager wants of the process, as events.
//!
//! It does not know what a shutdown or a reload is; it tells somebody who does.

#[cfg_attr(unix, path = "signals/unix.rs")]
#[cfg_attr(windows, path = "signals/windows.rs")]
mod system;

pub use system::{SignalThread, on_interrupt, reap_only, start};

/// What the user or the service manager wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// TERM or INT; Ctrl-C, a closed console: end in good order. Told once; the
    /// second one ends the process here and now.
    Terminate,
    /// HUP: read configuration and token again.
    Reload,
}
