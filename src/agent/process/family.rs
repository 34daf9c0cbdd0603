//! A child and whatever comes of it.

use std::os::fd::BorrowedFd;

use rustix::process::{Pid, Signal, kill_process_group};

#[cfg(target_os = "linux")]
use super::census::{self, Search};
use super::cgroup::Group;
use super::mark::Mark;
use super::procfs::{self, Process};
use super::reaper::ExitWatch;

/// Every process that belongs to one launch, known or not yet found. Dropped
/// without an [`Ending`](super::end::Ending), all of them are killed at once.
#[derive(Debug)]
pub struct Family {
    exit: ExitWatch,
    root_start: Option<u64>,
    mark: Mark,
    group: Option<Group>,
    over: bool,
}

impl Family {
    pub(super) fn new(exit: ExitWatch, mark: Mark, group: Option<Group>) -> Self {
        // Not reaped after the look: the number was its own when we looked.
        let start = procfs::process(exit.pid()).map(|process| process.start);
        let root_start = start.filter(|_| exit.try_status().is_none());
        Self { exit, root_start, mark, group, over: false }
    }

    /// The first process. After its end the number may be another's.
    pub fn root(&self) -> Pid {
        self.exit.pid()
    }

    /// The end of the first process.
    pub fn exit(&self) -> &ExitWatch {
        &self.exit
    }

    /// What its processes carry.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Its control group.
    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Nothing is left to be ended.
    pub(super) fn is_over(&mut self) {
        self.over = true;
    }

    /// Its living processes, the first one first while it lives, as one look
    /// shows them: what is handed to us meanwhile may be missing.
    pub fn processes(&self) -> Vec<Process> {
        self.living(&[])
    }

    /// The same, where `known` are its own for sure.
    #[cfg(target_os = "linux")]
    pub(super) fn living(&self, known: &[Process]) -> Vec<Process> {
        census::living(&Search {
            root: self.root(),
            root_start: self.root_start,
            mark: &self.mark,
            known,
            group: self.group.as_ref(),
            reaper: Some(self.exit.reaper()),
        })
    }

    /// Its living processes: where nothing tells us of others, the first one
    /// stands for its whole process group.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn living(&self, _known: &[Process]) -> Vec<Process> {
        let root = self.root();
        let stand_in = Process {
            pid: root,
            start: 0,
            state: '?',
            parent: None,
            group: Some(root),
            session: Some(root),
            threads: 1,
        };
        self.exit.try_status().is_none().then_some(stand_in).into_iter().collect()
    }

    /// Sends SIGINT to what runs in the foreground: on a terminal (its master)
    /// the group it is lent to, else the first process's own.
    pub fn interrupt(&self, terminal: Option<BorrowedFd>) {
        let root = self.root();
        let foreground = terminal.and_then(|master| rustix::termios::tcgetpgrp(master).ok());
        match foreground.filter(|&group| group != root) {
            None => {
                // The first process leads its group; unreaped, the number is its own.
                self.exit.while_unreaped(|root| kill_process_group(root, Signal::INT));
            }
            Some(group) => {
                let is_ours = |process: &Process| process.group == Some(group);
                if self.processes().iter().any(is_ours) {
                    let _ = kill_process_group(group, Signal::INT);
                }
            }
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if !self.over {
            let processes = self.processes();
            self.group.iter().for_each(Group::kill);
            super::end::kill_now(&processes);
        }
    }
}
