//! What the launcher got from its ancestors without asking, and the child must not have:
//! open descriptors and ignored signals.
//!
//! The runtime's own descriptors all close on exec. But whoever started the
//! runtime may have left it others (a shell's `3<secret`, a manager's sockets),
//! or signals that are ignored (`nohup`, `&` in a script), and both survive every exec.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets every descriptor but the standard three close on exec.
///
/// Without a list of them (no `/proc`) nothing can be done, and nothing is.
///
/// # Errors
/// When the list cannot be read, or a descriptor not be changed.
// The only way from a number in a directory to a descriptor is `borrow_raw`.
#[expect(unsafe_code, reason = "descriptors nobody here opened can only be named by number")]
pub(super) fn close_descriptors_on_exec() -> io::Result<()> {
    use std::os::fd::BorrowedFd;

    let list = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    let entries = match std::fs::read_dir(list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        if number > 2 {
            // SAFETY: the launcher has one thread, and the directory being read
            // is closed after this loop: every listed number is open right now.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

/// Gives ignored signals their default action after the exec.
///
/// A caught signal is set back to its default by `exec`, an ignored one is not;
/// so each ignored one is caught, with a handler that does nothing of note.
/// Signals that are not ignored are left alone: a TERM must end the launcher.
pub(super) fn catch_ignored_signals() {
    for signal in ignored_signals() {
        // KILL, STOP and the faults are refused; those cannot be ignored on purpose.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
}

fn ignored_signals() -> impl Iterator<Item = i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or(IGNORED_BY_SHELLS);
    let faults = signal_hook::consts::FORBIDDEN;
    (1..=31).filter(move |signal| mask >> (signal - 1) & 1 == 1 && !faults.contains(signal))
}

/// HUP, INT and QUIT: for where it cannot be asked which signals are ignored.
const IGNORED_BY_SHELLS: u64 = 0b111;
