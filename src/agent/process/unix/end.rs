//! Ends processes: those of a session, or whatever a runtime has left.
//!
//! [`Ending`] does not block: the thread that reads a session's pipes goes on
//! reading while the session ends, and waits on [`Ending::fds`] beside its own.
//! [`end`] is the same for whoever has nothing else to do.
//!
//! Whoever ends a session first closes its stdin, or its terminal's master: an
//! interactive shell ignores TERM, but neither of these.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};

use super::census::{self, Look};
use super::cgroup::{Group, Groups};
use super::family::Family;
use super::held::Held;
use super::poll;
use super::procfs::Process;
use super::reaper::Reaper;
use super::rounds::{Hold, Rounds, World};
pub use crate::agent::process::ended::{Ended, GRACE, Progress};

/// The end of one family, step by step.
#[derive(Debug)]
pub struct Ending(Rounds<Family>);

impl Ending {
    /// Begins: TERM goes out with the first [`Ending::step`]. From `kill_at` on it
    /// is KILL; a moment that has passed means KILL at once. It is over two
    /// seconds after the first KILL at the latest.
    pub fn begin(family: Family, kill_at: Instant) -> Self {
        Self(Rounds::new(family, kill_at))
    }

    /// Brings the first KILL forward to `at`.
    pub fn kill_by(&mut self, at: Instant) {
        self.0.kill_by(at);
    }

    /// Does what can be done now. Never blocks.
    pub fn step(&mut self, now: Instant) -> Progress {
        let progress = self.0.step(now);
        if let Progress::Over(_) = progress {
            self.0.world_mut().is_over();
        }
        progress
    }

    /// Descriptors that are readable when [`Ending::step`] has something to do;
    /// others after each step.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.fds()
    }

    /// Blocks until it is over.
    pub fn finish(mut self) -> Ended {
        let ended = finish(&mut self.0);
        self.0.world_mut().is_over();
        ended
    }
}

/// Ends a family and waits for it; see [`Ending::begin`] and [`Ended`].
pub fn end(family: Family, kill_at: Instant) -> Ended {
    Ending::begin(family, kill_at).finish()
}

/// Ends whatever descends from this process: what shed every mark of its
/// session is among it. For the end of a shutdown, after all sessions.
pub fn sweep_descendants(reaper: &Reaper, kill_at: Instant) -> Ended {
    let world = Sweep { find: census::own_descendants, groups: Vec::new(), reaper };
    finish(&mut Rounds::new(world, kill_at))
}

/// Ends what the runtime that had `nonce` left behind when it was killed.
/// Never touches other users' processes, this one, nor what this one descends from.
pub fn sweep_leftovers(
    nonce: &str,
    groups: Option<&Groups>,
    reaper: &Reaper,
    kill_at: Instant,
) -> Ended {
    let groups = groups.map(|groups| groups.left_by(nonce)).unwrap_or_default();
    let world = Sweep { find: || census::marked(nonce), groups, reaper };
    finish(&mut Rounds::new(world, kill_at))
}

/// Kills whatever descends from this process, once, without waiting: for an exit at once.
pub fn kill_descendants() {
    let living = census::own_descendants().living;
    kill_now(&living.iter().filter_map(Held::of).collect::<Vec<_>>());
}

/// Kills these, once, without waiting.
pub(super) fn kill_now(held: &[Held]) {
    for process in held {
        let _ = process.signal(Signal::KILL);
    }
}

fn finish<W: World>(rounds: &mut Rounds<W>) -> Ended {
    loop {
        let until = match rounds.step(Instant::now()) {
            Progress::Over(ended) => return ended,
            Progress::Waiting(until) => until,
        };
        let holds: Vec<BorrowedFd> = rounds.fds().collect();
        let mut fds: Vec<PollFd> =
            holds.iter().map(|hold| PollFd::from_borrowed_fd(*hold, PollFlags::IN)).collect();
        // An error (no memory) comes to the same as a wake-up: the next step looks.
        let _ = poll::any(&mut fds, until);
    }
}

impl World for Family {
    type Hold = Held;

    fn look(&mut self, known: &[Process]) -> Look {
        Self::look(self, known)
    }

    fn hold(&mut self, process: &Process) -> Option<Held> {
        Self::hold(self, process)
    }

    fn kill_unseen(&mut self) {
        if let Some(group) = self.group() {
            group.kill();
        }
    }

    fn kill_group(&mut self, group: Pid) {
        kill_group(group);
    }

    fn reap(&mut self, pid: Pid) {
        self.exit().reaper().reap_one(pid);
    }
}

/// Processes that no family holds together.
struct Sweep<'a, F: FnMut() -> Look> {
    find: F,
    groups: Vec<Group>,
    reaper: &'a Reaper,
}

impl<F: FnMut() -> Look> World for Sweep<'_, F> {
    type Hold = Held;

    fn look(&mut self, _known: &[Process]) -> Look {
        // What has ended must not keep a look from being sure.
        self.reaper.reap();
        (self.find)()
    }

    fn hold(&mut self, process: &Process) -> Option<Held> {
        Held::of(process)
    }

    fn kill_unseen(&mut self) {
        self.groups.iter().for_each(Group::kill);
    }

    fn kill_group(&mut self, group: Pid) {
        kill_group(group);
    }

    fn reap(&mut self, pid: Pid) {
        self.reaper.reap_one(pid);
    }
}

fn kill_group(group: Pid) {
    // Every child starts in a session of its own: neither can be, and neither may.
    if group != getpgrp() && group != Pid::INIT {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
