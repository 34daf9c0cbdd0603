//! What is known of the orphans this process got as a subreaper.
//!
//! An orphan's session is told from its environment and its `setsid` session,
//! as they were when it was first seen. Reading those for every orphan at every
//! end of a session would cost the square of their number. An orphan is our child:
//! until we reap it its pid is its own, so what was read once can be kept by pid.

use std::collections::HashMap;

use rustix::process::{Pid, getpid};

use super::procfs::{self, Process};

/// One orphan, as it was when it was first seen.
#[derive(Debug)]
pub(super) struct Orphan {
    /// When it started.
    pub start: u64,
    /// Its `setsid` session.
    pub session: Option<Pid>,
    /// The mark in its environment.
    pub mark: Option<Vec<u8>>,
}

impl Orphan {
    /// Looks at a child of this process; `None` when it is none.
    pub fn look(pid: Pid) -> Option<Self> {
        let Process { start, session, .. } = child(pid)?;
        Some(Self { start, session, mark: procfs::mark(pid) })
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

    /// Keeps what was seen, if it still holds. Only while nothing can be reaped.
    pub fn keep(&mut self, pid: Pid, orphan: Orphan) {
        if child(pid).is_some_and(|now| now.start == orphan.start) {
            self.0.insert(pid, orphan);
        }
    }

    /// `pid` was reaped: the number may be another's from now on.
    pub fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
        // After a burst of thousands, give the room back.
        if self.0.is_empty() && self.0.capacity() > 64 {
            self.0 = HashMap::new();
        }
    }
}

fn child(pid: Pid) -> Option<Process> {
    procfs::process(pid).filter(|process| process.parent == Some(getpid()))
}
