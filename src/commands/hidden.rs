//! Modes of the binary that the runtime itself runs, and nobody else.

use std::ffi::OsString;
use std::iter::Peekable;
use std::process::ExitCode;

/// Runs the mode that the first argument names, if it names one.
#[cfg(unix)]
pub fn run(arguments: &mut Peekable<impl Iterator<Item = OsString>>) -> Option<ExitCode> {
    use crate::agent::process::{launch, launcher};
    arguments.next_if(|mode| mode == launch::MODE)?;
    // Becomes the child; an exit code is what is left when it cannot.
    Some(launcher::run())
}

/// Runs the mode that the first argument names, if it names one.
#[cfg(windows)]
pub fn run(arguments: &mut Peekable<impl Iterator<Item = OsString>>) -> Option<ExitCode> {
    use crate::agent::process::interrupt;
    arguments.next_if(|mode| mode == interrupt::MODE)?;
    Some(interrupt::run(arguments.next()))
}
