//! A child and whatever comes of it.

use std::os::fd::BorrowedFd;

use rustix::process::{Pid, Signal, kill_process_group};

use super::census::{self, Look, Search};
use super::cgroup::Group;
use super::held::Held;
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
        self.look(&[]).living
    }

    /// Whether there is more than its first process, or no way to tell.
    pub fn has_company(&self) -> bool {
        !procfs::is_there() || self.processes().len() > 1
    }

    /// Whether nothing of it lives: twice nothing was found, and nothing that
    /// may yet turn out to be of it.
    pub(super) fn is_extinct(&self) -> bool {
        let found_nothing = || {
            let Look { living, unsure } = self.look(&[]);
            living.is_empty() && !unsure
        };
        found_nothing() && found_nothing()
    }

    /// Looks for its processes; `known` are its own for sure.
    pub(super) fn look(&self, known: &[Process]) -> Look {
        if !procfs::is_there() {
            let running = self.exit.try_status().is_none();
            let living = running.then(|| Process::of_group(self.root())).into_iter().collect();
            return Look { living, unsure: false };
        }
        census::look_for(&Search {
            root: self.root(),
            root_start: self.root_start,
            mark: &self.mark,
            known,
            group: self.group.as_ref(),
            reaper: Some(self.exit.reaper()),
        })
    }

    /// Takes hold of one of its processes; `None` when it is gone.
    pub(super) fn hold(&self, process: &Process) -> Option<Held> {
        if process.is_group() {
            return Some(Held::group(self.exit.clone()));
        }
        Held::of(process)
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
            // All are held before the first dies, so that no number can change hands.
            let processes = self.processes();
            let held: Vec<Held> = processes.iter().filter_map(|found| self.hold(found)).collect();
            self.group.iter().for_each(Group::kill);
            super::end::kill_now(&held);
        }
    }
}
