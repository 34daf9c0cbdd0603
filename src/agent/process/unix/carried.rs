//! Which mark a process carries in its environment, as far as that can be told.

use rustix::process::Pid;

use super::procfs::{self, Process};
use crate::agent::process::mark::Mark;

/// `PF_KTHREAD`: a thread of the kernel's own, without an environment.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Fields of a line of `/proc/PID/stat`.
const FLAGS: usize = 9;
const ENVIRONMENT_END: usize = 51;

/// What a look at an environment shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// This mark.
    Mark(Vec<u8>),
    /// No mark.
    Nothing,
    /// It is not to be seen: another user's, or guarded.
    Hidden,
    /// There is none yet: the process is in the middle of an `exec`, and may
    /// carry any mark in a moment. A loaded machine can make that moment long.
    Unsettled,
}

/// Looks at the environment of a process as it was at its last `exec`.
pub(super) fn carried(process: &Process) -> Carried {
    let pid = process.pid.as_raw_nonzero();
    let directory = match living_thread(process) {
        Some(thread) => format!("/proc/{pid}/task/{}", thread.as_raw_nonzero()),
        None => format!("/proc/{pid}"),
    };
    let environment = || procfs::read(&format!("{directory}/environ"));
    let field = |number| procfs::stat_field(&format!("{directory}/stat"), number);
    match environment() {
        Err(_) => return Carried::Hidden,
        Ok(text) if !text.is_empty() => return find(&text),
        Ok(_) => {}
    }
    // Empty, or not there yet?
    if field(FLAGS).is_some_and(|flags| flags & KERNEL_THREAD != 0) {
        return Carried::Nothing;
    }
    if field(ENVIRONMENT_END) == Some(0) {
        return Carried::Unsettled;
    }
    // It may have come between the two looks.
    environment().map_or(Carried::Hidden, |text| find(&text))
}

/// A main thread that has ended before others has no memory to look at any more.
fn living_thread(process: &Process) -> Option<Pid> {
    let threads = || procfs::threads(process.pid).into_iter();
    (process.state == 'Z').then(|| threads().find(|&thread| thread != process.pid))?
}

fn find(environment: &[u8]) -> Carried {
    let prefix = [Mark::VARIABLE.as_bytes(), b"="].concat();
    environment
        .split(|&byte| byte == 0)
        .find_map(|variable| variable.strip_prefix(prefix.as_slice()))
        .map_or(Carried::Nothing, |mark| Carried::Mark(mark.to_vec()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_among_other_variables() {
        let mark = |text: &[u8]| Carried::Mark(text.to_vec());
        assert_eq!(find(b"A=1\0AMURG_MARK=n.7\0B=2\0"), mark(b"n.7"));
        assert_eq!(find(b"XAMURG_MARK=n.7\0AMURG_MARKS=n.8\0"), Carried::Nothing);
        assert_eq!(find(b"A=\xff\0AMURG_MARK=\xfe"), mark(b"\xfe"));
        assert_eq!(find(b""), Carried::Nothing);
    }

    #[test]
    fn a_thread_of_the_kernel_carries_nothing_for_sure() {
        let kernel = |pid: &Pid| {
            let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
            procfs::stat_field(&path, FLAGS).is_some_and(|flags| flags & KERNEL_THREAD != 0)
        };
        let Some(pid) = procfs::all().into_iter().find(kernel) else {
            println!("skipped: no thread of the kernel to be seen from here");
            return;
        };
        let process = procfs::process(pid).unwrap();
        // Without the right to look, it is hidden.
        assert!(matches!(carried(&process), Carried::Nothing | Carried::Hidden));
    }
}
