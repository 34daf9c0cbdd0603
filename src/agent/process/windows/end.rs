//! Ends what is in a session's job object. Whoever does so first closes the
//! child's input, which ends many a program by itself; the rest is asked to by
//! Ctrl-C, and killed when its time is over.

use std::time::{Duration, Instant};

use super::family::{Family, KILL_WAIT};
use super::reaper::Reaper;
pub use crate::agent::process::ended::{Ended, GRACE, Progress};

/// How often a job is asked for what lives in it: nothing else tells that a
/// grandchild has ended. Only while a session ends.
const LOOK: Duration = Duration::from_millis(20);

/// The end of one family, step by step.
#[derive(Debug)]
pub struct Ending {
    family: Family,
    kill_at: Instant,
    asked: bool,
    /// Set when it was killed.
    give_up: Option<Instant>,
}

impl Ending {
    /// Begins: Ctrl-C goes out with the first [`Ending::step`]. From `kill_at`
    /// on, or at once where that cannot be sent, everything is killed.
    pub fn begin(family: Family, kill_at: Instant) -> Self {
        Self { family, kill_at, asked: false, give_up: None }
    }

    /// Brings the kill forward to `at`.
    pub fn kill_by(&mut self, at: Instant) {
        self.kill_at = self.kill_at.min(at);
    }

    /// Does what can be done now. Never blocks.
    pub fn step(&mut self, now: Instant) -> Progress {
        let left = self.family.living();
        if left == 0 {
            return Progress::Over(Ended::default());
        }
        if !std::mem::replace(&mut self.asked, true) && !self.family.interrupt() {
            self.kill_by(now);
        }
        match self.give_up {
            Some(at) if now >= at => return Progress::Over(Ended { left, denied: 0 }),
            None if now >= self.kill_at => {
                self.family.kill();
                self.give_up = Some(now + KILL_WAIT);
            }
            _ => {}
        }
        let next = self.give_up.unwrap_or(self.kill_at);
        Progress::Waiting(next.min(now + LOOK))
    }

    /// Blocks until it is over.
    pub fn finish(mut self) -> Ended {
        loop {
            let now = Instant::now();
            match self.step(now) {
                Progress::Over(ended) => return ended,
                Progress::Waiting(until) => {
                    std::thread::sleep(until.saturating_duration_since(now));
                }
            }
        }
    }
}

/// Ends a family and waits for it; see [`Ending::begin`] and [`Ended`].
pub fn end(family: Family, kill_at: Instant) -> Ended {
    Ending::begin(family, kill_at).finish()
}

/// For the end of a shutdown: nothing sheds its job object.
pub fn sweep_descendants(_reaper: &Reaper, _kill_at: Instant) -> Ended {
    Ended::default()
}

/// For an exit at once: the job objects end with this process.
pub fn kill_descendants() {}
