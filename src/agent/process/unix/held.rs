//! A process that cannot be mistaken for another while it is held.

use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, OwnedFd};

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process, kill_process_group};

use super::procfs::Process;
use super::reaper::ExitWatch;
use super::rounds::Hold;

/// What is being ended; held no longer than that.
#[derive(Debug)]
pub(super) struct Held(What);

#[derive(Debug)]
enum What {
    /// One process, by its pidfd.
    #[cfg(target_os = "linux")]
    Open(OwnedFd),
    /// One process. There is no pidfd (no descriptors left, an old kernel): its
    /// identity is looked at each time.
    Known(Process),
    /// A process group, through its leader, a child of ours.
    Group(ExitWatch),
}

impl Held {
    /// Takes hold of a process; `None` when it is gone.
    pub fn of(process: &Process) -> Option<Self> {
        let held = open(process)?;
        // A pidfd is taken by number: it is the right one if the number still is
        // this process's now.
        process.again()?;
        Some(Self(held))
    }

    /// Takes hold of the group led by a child, as long as that lives.
    pub fn group(leader: ExitWatch) -> Self {
        Self(What::Group(leader))
    }
}

impl Hold for Held {
    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        match &self.0 {
            #[cfg(target_os = "linux")]
            What::Open(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
            What::Known(process) => {
                process.again().ok_or(Errno::SRCH)?;
                kill_process(process.pid, signal)
            }
            What::Group(leader) => leader
                .while_unreaped(|leader| kill_process_group(leader, signal))
                .unwrap_or(Err(Errno::SRCH)),
        }
    }

    fn has_ended(&self) -> bool {
        match &self.0 {
            #[cfg(target_os = "linux")]
            What::Open(pidfd) => {
                let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
            }
            What::Known(process) => !process.again().is_some_and(|process| process.is_alive()),
            What::Group(leader) => leader.try_status().is_some(),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            #[cfg(target_os = "linux")]
            What::Open(pidfd) => Some(pidfd.as_fd()),
            _ => None,
        }
    }
}

/// `None`: no such process.
#[cfg(target_os = "linux")]
fn open(process: &Process) -> Option<What> {
    match rustix::process::pidfd_open(process.pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => Some(What::Open(pidfd)),
        Err(Errno::SRCH) => None,
        Err(_) => Some(What::Known(*process)),
    }
}

#[cfg(not(target_os = "linux"))]
fn open(process: &Process) -> Option<What> {
    Some(What::Known(*process))
}
