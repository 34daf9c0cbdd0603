//! The course of one child, from running to nothing left to read: pure
//! decisions about what its pipe thread has to do next.
//!
//! | phase | begins when | input | ends when |
//! |---|---|---|---|
//! | running | it was launched | open | it exited: draining; told to end: ending |
//! | draining | it exited by itself | closed | both outputs were read to their end: done; held for a second: ending |
//! | ending | told to end, or a grandchild holds an output | closed | everything of it was ended: last |
//! | last | nothing of it is alive | closed | what then lay in both outputs was read (waited for a second, where it can be on its way unseen): done |
//!
//! Output is read in every phase while there is room for it. *Held* is not the
//! same as *not read to its end*: without room, what a dead child wrote still
//! lies in its pipe, and nobody is to be ended for that. Who still writes in the
//! last phase has shed everything it could be known by; it is not waited for.

use std::time::{Duration, Instant};

/// How long a grandchild may hold the output of a child that exited, and how long
/// output may be on its way.
const HELD: Duration = Duration::from_secs(1);

/// Where a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining { until: Instant },
    Ending,
    Last { until: Instant },
}

/// What is known of a child at a moment.
#[expect(clippy::struct_excessive_bools, reason = "facts that hold or not, independently")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The child itself has exited.
    pub exited: bool,
    /// Its profile wants it ended.
    pub end_wanted: bool,
    /// Both its outputs were read to their end.
    pub ended: bool,
    /// Some process can still write to an output; see [`Course::asks_for_holders`].
    pub held: bool,
    /// Everything of it was ended, as far as that is possible.
    pub over: bool,
    /// Nothing is to be read at the moment; see [`Course::is_last`].
    pub empty: bool,
    /// Output may be on its way that does not show yet.
    pub lags: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on reading, until this moment at the latest.
    Wait(Option<Instant>),
    /// Ask again, with the facts of the phase it is in now.
    Again,
    /// Close its input, then ask again.
    CloseInput,
    /// Close its input and begin to end everything of it, then ask again.
    End,
    /// Everything was read; it is over.
    Done,
}

/// The state machine of the table above.
#[derive(Debug)]
pub(super) struct Course(Phase);

impl Course {
    /// A child that was just launched.
    pub fn new() -> Self {
        Self(Phase::Running)
    }

    /// Whether [`Facts::held`] counts.
    pub fn asks_for_holders(&self) -> bool {
        matches!(self.0, Phase::Draining { .. })
    }

    /// Whether nothing of it is alive any more, so that [`Facts::empty`] counts.
    pub fn is_last(&self) -> bool {
        matches!(self.0, Phase::Last { .. })
    }

    /// What follows from the facts at `now`.
    pub fn step(&mut self, facts: Facts, now: Instant) -> Step {
        if self.0 == Phase::Ending && facts.over {
            self.0 = Phase::Last { until: now + HELD };
            // Other facts count from here on, and nothing may happen any more that
            // would bring them up.
            return Step::Again;
        }
        match self.0 {
            Phase::Running | Phase::Draining { .. } if facts.end_wanted => self.end(),
            Phase::Running if facts.exited => {
                self.0 = Phase::Draining { until: now + HELD };
                Step::CloseInput
            }
            Phase::Draining { .. } | Phase::Last { .. } if facts.ended => Step::Done,
            Phase::Draining { until } if now < until => Step::Wait(Some(until)),
            Phase::Draining { .. } if facts.held => self.end(),
            Phase::Last { until } if facts.lags && now < until => Step::Wait(Some(until)),
            Phase::Last { .. } if facts.empty => Step::Done,
            _ => Step::Wait(None),
        }
    }

    fn end(&mut self) -> Step {
        self.0 = Phase::Ending;
        Step::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Facts = Facts {
        exited: false,
        end_wanted: false,
        ended: false,
        held: true,
        over: false,
        empty: false,
        lags: false,
    };
    const EXITED: Facts = Facts { exited: true, ..RUNNING };
    const UNREAD: Facts = Facts { held: false, ..EXITED };
    const DRAINED: Facts = Facts { ended: true, ..UNREAD };
    const WANTED: Facts = Facts { end_wanted: true, ..RUNNING };

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_child_that_exits_is_done_when_its_output_is_drained() {
        let start = Instant::now();
        let mut course = Course::new();
        assert_eq!(course.step(RUNNING, start), Step::Wait(None));
        // Closing all output is not an exit.
        let closed = Facts { ended: true, held: false, ..RUNNING };
        assert_eq!(course.step(closed, start), Step::Wait(None));
        assert_eq!(course.step(EXITED, start), Step::CloseInput);
        assert_eq!(course.step(EXITED, start), Step::Wait(Some(after(start, 1000))));
        assert_eq!(course.step(DRAINED, after(start, 5)), Step::Done);
    }

    #[test]
    fn a_grandchild_that_holds_the_output_gets_one_second() {
        let start = Instant::now();
        let mut course = Course::new();
        course.step(EXITED, start);
        assert_eq!(course.step(EXITED, after(start, 999)), Step::Wait(Some(after(start, 1000))));
        assert_eq!(course.step(EXITED, after(start, 1000)), Step::End);
        assert_eq!(course.step(EXITED, after(start, 1001)), Step::Wait(None));
        let over = Facts { over: true, ..DRAINED };
        assert_eq!(course.step(over, after(start, 1020)), Step::Again);
        assert_eq!(course.step(over, after(start, 1020)), Step::Done);
    }

    #[test]
    fn output_that_cannot_be_read_yet_ends_nobody() {
        let start = Instant::now();
        let mut course = Course::new();
        course.step(UNREAD, start);
        assert_eq!(course.step(UNREAD, after(start, 60_000)), Step::Wait(None));
        assert_eq!(course.step(DRAINED, after(start, 60_001)), Step::Done);
    }

    #[test]
    fn what_was_ended_is_read_to_the_last_byte() {
        let start = Instant::now();
        let mut course = Course::new();
        assert_eq!(course.step(WANTED, start), Step::End);
        let exited = Facts { exited: true, ended: true, ..WANTED };
        assert_eq!(course.step(exited, after(start, 10)), Step::Wait(None), "others may live");
        let over = Facts { over: true, held: false, ..WANTED };
        assert_eq!(course.step(over, after(start, 20)), Step::Again);
        assert_eq!(course.step(over, after(start, 20)), Step::Wait(None), "not read yet");
        assert_eq!(course.step(Facts { ended: true, ..over }, after(start, 20)), Step::Done);
    }

    #[test]
    fn output_held_by_what_cannot_be_ended_is_over_when_it_is_empty() {
        let start = Instant::now();
        let mut course = Course::new();
        course.step(WANTED, start);
        let over = Facts { over: true, ..WANTED };
        assert_eq!(course.step(over, start), Step::Again);
        assert_eq!(course.step(over, start), Step::Wait(None));
        assert_eq!(course.step(Facts { empty: true, ..over }, start), Step::Done);
    }

    #[test]
    fn output_that_is_on_its_way_gets_one_second() {
        let start = Instant::now();
        let mut course = Course::new();
        course.step(WANTED, start);
        let lagging = Facts { over: true, empty: true, lags: true, ..WANTED };
        assert_eq!(course.step(lagging, start), Step::Again);
        assert_eq!(course.step(lagging, start), Step::Wait(Some(after(start, 1000))));
        let arrived = Facts { ended: true, lags: false, ..lagging };
        assert_eq!(course.step(arrived, after(start, 5)), Step::Done);
        let mut course = Course::new();
        course.step(WANTED, start);
        course.step(lagging, start);
        course.step(lagging, start);
        assert_eq!(course.step(lagging, after(start, 1000)), Step::Done, "a stranger holds it");
    }

    #[test]
    fn an_end_while_draining_does_not_wait_out_the_second() {
        let start = Instant::now();
        let mut course = Course::new();
        course.step(EXITED, start);
        let both = Facts { end_wanted: true, ..EXITED };
        assert_eq!(course.step(both, after(start, 10)), Step::End);
    }
}
