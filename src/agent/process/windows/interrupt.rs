//! Ctrl-C, to everything at a child's console.
//!
//! Every child has a console of its own that is not shown, as elsewhere it has a
//! session of its own: our Ctrl-C is not the agents', nor theirs ours. A process
//! can be at one console only, and that decides about its standard handles, too:
//! so a short-lived process of our own binary goes there to press the keys.

use std::ffi::OsString;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use windows_sys::Win32::System::Threading::DETACHED_PROCESS;

use super::calls;
use super::reaper::Pid;

/// First argument of our own binary when it is to go to a child's console.
pub const MODE: &str = "__interrupt";

/// Interrupts what is at the console of a process that lives. Waits for nothing.
pub(super) fn interrupt(process: Pid) -> io::Result<()> {
    let mut messenger = Command::new(std::env::current_exe()?);
    messenger.arg(MODE).arg(process.to_string()).env_clear();
    messenger.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It ends by itself; who is not waited for leaves nothing behind here.
    messenger.creation_flags(DETACHED_PROCESS).spawn().map(drop)
}

/// Runs the messenger, which has no console.
pub fn run(process: Option<OsString>) -> ExitCode {
    let Some(process) = process.and_then(|process| process.to_str()?.parse::<Pid>().ok()) else {
        eprintln!("{MODE} is for the runtime alone: it expects the number of a process");
        return ExitCode::from(64);
    };
    match calls::interrupt_console_of(process) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
