//! A running child, as whoever reads its pipes holds it: those, its exit, and
//! everything that came of it. Knows how far its end has come, and not why it ends.

use std::mem;
use std::time::Instant;

use super::course::{Course, Facts};
use super::end::{self, Ending, Progress};
use super::family::Family;
use super::pipes::Pipes;
use super::reaper::{ExitWatch, Pid, exit_code};
use super::stream::{Ready, Wanted};
use crate::wake::{WakeFd, Waker};

/// A running child in its pipe thread. Dropped, everything of it is killed.
#[derive(Debug)]
pub struct Child {
    /// Our ends of its standard streams.
    pub pipes: Pipes,
    /// One terminal instead of three pipes.
    pub tty: bool,
    exit: ExitWatch,
    processes: Living,
    end: Option<End>,
}

/// Everything that came of a child.
#[derive(Debug)]
enum Living {
    Free(Family),
    Ending(Ending),
    /// As far as that was possible.
    Ended(end::Ended),
}

/// How a child is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All its output matters.
    Drained,
    /// Output there is no room for is given up: its session ends.
    Abandoned,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, 128+n for signal n; `None` when it could not be ended.
    pub exit_code: Option<i32>,
    /// Bytes of output that were given up.
    pub unread: u64,
    /// What came of its processes.
    pub rest: Rest,
}

/// What came of the processes of a child that has ended.
#[derive(Debug)]
pub enum Rest {
    /// Nothing of it lives.
    Nothing,
    /// It left a daemon behind. Dropped, that is killed.
    Alive(Family),
    /// These could not be ended.
    Unending(end::Ended),
}

impl Child {
    /// A child as it was launched; `waker` wakes the thread that will run it.
    pub fn new(pipes: Pipes, tty: bool, exit: ExitWatch, family: Family, waker: Waker) -> Self {
        exit.wake_on_exit(waker);
        Self { pipes, tty, exit, processes: Living::Free(family), end: None }
    }

    /// Its first process.
    pub fn root(&self) -> Pid {
        self.exit.pid()
    }

    /// Ends everything of it: asked to, and killed after five seconds.
    pub fn end(&mut self) {
        self.end.get_or_insert(End::Drained);
    }

    /// As [`Child::end`], for a session that ends: what it still writes is
    /// taken only as far as there is room.
    pub fn abandon(&mut self) {
        self.end = Some(End::Abandoned);
    }

    /// Whether it was given up by [`Child::abandon`].
    pub(super) fn is_abandoned(&self) -> bool {
        self.end == Some(End::Abandoned)
    }

    /// Whether it has exited or is being ended: nothing may be asked of it any more.
    pub fn is_leaving(&self) -> bool {
        self.end.is_some() || self.exit.try_status().is_some()
    }

    /// Whether more than its first process may be running.
    pub fn has_company(&self) -> bool {
        matches!(&self.processes, Living::Free(family) if family.has_company())
    }

    /// An interrupt, as from a keyboard, to what runs in the foreground.
    pub fn interrupt(&self) {
        if let Living::Free(family) = &self.processes {
            self.pipes.interrupt(family, self.tty);
        }
    }

    /// Closing its input ends many a program that ignores TERM. A terminal is
    /// hung up, for which all of its master has to be closed.
    pub(super) fn begin_end(&mut self, now: Instant) {
        self.pipes.stdin.close();
        if self.tty {
            self.pipes.close();
        }
        let nothing = Living::Ended(end::Ended::default());
        self.processes = match mem::replace(&mut self.processes, nothing) {
            Living::Free(family) => Living::Ending(Ending::begin(family, now + end::GRACE)),
            begun => begun,
        };
    }

    /// Goes on with the end; when to do so again.
    pub(super) fn go_on_ending(&mut self, now: Instant) -> Option<Instant> {
        let Living::Ending(ending) = &mut self.processes else { return None };
        match ending.step(now) {
            Progress::Waiting(until) => Some(until),
            Progress::Over(ended) => {
                self.pipes.bound();
                self.processes = Living::Ended(ended);
                None
            }
        }
    }

    /// `kept`: output was read and not taken.
    pub(super) fn facts(&self, course: &Course, kept: bool) -> Facts {
        Facts {
            exited: self.exit.try_status().is_some(),
            end_wanted: self.end.is_some(),
            ended: !kept && self.pipes.ended(),
            held: course.asks_for_holders() && self.pipes.held(),
            over: matches!(self.processes, Living::Ended(_)),
            empty: !kept && course.is_last() && !self.pipes.has_output(),
            lags: course.is_last() && self.pipes.lags(),
        }
    }

    /// Waits for its output, for room in its input, and for whatever its end waits for.
    pub(super) fn wait(&mut self, wake: &WakeFd, wanted: Wanted) -> Ready {
        let ending = match &self.processes {
            Living::Ending(ending) => Some(ending),
            Living::Free(_) | Living::Ended(_) => None,
        };
        self.pipes.wait(wake, ending, wanted)
    }

    /// What became of it. To be asked once, when it is over.
    pub(super) fn take_ended(&mut self, unread: u64) -> Ended {
        let nothing = Living::Ended(end::Ended::default());
        let rest = match mem::replace(&mut self.processes, nothing) {
            Living::Free(mut family) => {
                if family.is_extinct() {
                    family.is_over();
                    Rest::Nothing
                } else {
                    Rest::Alive(family)
                }
            }
            Living::Ending(ending) => Rest::Unending(ending.finish()),
            Living::Ended(ended) if ended.left > 0 => Rest::Unending(ended),
            Living::Ended(_) => Rest::Nothing,
        };
        Ended { exit_code: self.exit.try_status().map(exit_code), unread, rest }
    }
}

/// Forgets daemons that have ended by themselves meanwhile.
pub fn forget_extinct(left: &mut Vec<Family>) {
    left.retain_mut(|family| {
        let lives = !family.is_extinct();
        if !lives {
            family.is_over();
        }
        lives
    });
}
