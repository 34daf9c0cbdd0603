//! `__launch`, the hidden command the runtime runs itself with to start a child.

use std::process::ExitCode;

pub use crate::agent::process::launch::MODE;
use crate::agent::process::launcher;

/// Becomes the child; an exit code is what is left when it cannot.
pub fn run() -> ExitCode {
    launcher::run()
}
