//! What is known of the orphans this process got as a subreaper.
//!
//! An orphan's session is told from its environment and its `setsid` session,
//! as they were when it was first seen. Reading those for every orphan at every
//! end of a session would cost the square of their number. An orphan is our child:
//! until we reap it its pid is its own, so what was read once can be kept by pid.

use std::collections::HashMap;

use rustix::process::{Pid, getpid};

use super::carried::{Carried, carried};
use super::procfs::{self, Process};
use crate::resident;

/// One orphan, as it was when it was first seen.
#[derive(Debug)]
pub(super) struct Orphan {
    /// When it started.
    pub start: u64,
    /// Its `setsid` session.
    pub session: Option<Pid>,
    /// The mark in its environment.
    pub carried: Carried,
}

/// Whether an orphan is of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    Yes,
    No,
    /// It cannot be told yet.
    Unsure,
}

/// Which orphans are of a session.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// These are.
    pub found: Vec<Pid>,
    /// There are some of which it cannot be told yet. One that ended before it was
    /// looked at is one of these: it may have left another that was not listed.
    pub unsure: bool,
}

impl Sorted {
    /// Sorts `children` by looking at each.
    pub fn of(children: &[Pid], belongs: impl Fn(&Orphan) -> Belongs) -> Self {
        let mut sorted = Self::default();
        for &pid in children {
            match Orphan::look(pid) {
                Some(orphan) => sorted.add(pid, belongs(&orphan)),
                None => sorted.unsure |= !procfs::is_hidden(pid),
            }
        }
        sorted
    }

    pub fn add(&mut self, pid: Pid, belongs: Belongs) {
        match belongs {
            Belongs::Yes => self.found.push(pid),
            Belongs::No => {}
            Belongs::Unsure => self.unsure = true,
        }
    }
}

impl Orphan {
    /// Looks at a child of this process; `None` when it is none, or has ended.
    pub fn look(pid: Pid) -> Option<Self> {
        let process = child(pid)?;
        let Process { start, session, .. } = process;
        Some(Self { start, session, carried: carried(&process) })
    }
}

/// The orphans seen so far that have not been reaped.
#[derive(Debug, Default)]
pub(super) struct Orphans(HashMap<Pid, Orphan>);

impl Orphans {
    /// What is known of `pid`.
    pub fn get(&self, pid: Pid) -> Option<&Orphan> {
        self.0.get(&pid)
    }

    /// Keeps what was seen, if it can be relied on and still holds. Only
    /// while nothing can be reaped.
    pub fn keep(&mut self, pid: Pid, orphan: Orphan) {
        let reliable = matches!(orphan.carried, Carried::Mark(_) | Carried::Nothing);
        if reliable && child(pid).is_some_and(|now| now.start == orphan.start) {
            self.0.insert(pid, orphan);
        }
    }

    /// `pid` was reaped: the number may be another's from now on.
    pub fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
        resident::shrink(&mut self.0);
    }
}

/// A living child of this process.
pub(super) fn child(pid: Pid) -> Option<Process> {
    procfs::process(pid).filter(|process| process.parent == Some(getpid()) && process.is_alive())
}
