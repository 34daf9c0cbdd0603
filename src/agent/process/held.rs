//! A process that cannot be mistaken for another while it is held.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::procfs::Process;
use super::rounds::Hold;

/// A process and, where there can be one, its pidfd. Held only while it is being ended.
#[derive(Debug)]
pub(super) struct Held {
    process: Process,
    /// Without one (no descriptors left, an old kernel) the identity is looked at each time.
    pidfd: Option<OwnedFd>,
}

impl Held {
    /// Takes hold; `None` when it is gone.
    pub fn of(process: &Process) -> Option<Self> {
        let pidfd = open(process.pid).ok()?;
        // The descriptor was taken by number: it is the right one if the number
        // still is this process's now.
        process.again()?;
        Some(Self { process: *process, pidfd })
    }
}

impl Hold for Held {
    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        match &self.pidfd {
            #[cfg(target_os = "linux")]
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
            _ => {
                self.process.again().ok_or(Errno::SRCH)?;
                kill_process(self.process.pid, signal)
            }
        }
    }

    fn has_ended(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
            }
            None => !self.process.again().is_some_and(|process| process.is_alive()),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}

/// `Err`: no such process. `Ok(None)`: no descriptor to be had.
#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Result<Option<OwnedFd>, Errno> {
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH) => Err(Errno::SRCH),
        Err(_) => Ok(None),
    }
}

#[cfg(not(target_os = "linux"))]
fn open(_pid: Pid) -> Result<Option<OwnedFd>, Errno> {
    Ok(None)
}
