//! When to look: soon after the last output, then ever more rarely.
//!
//! A silent command (`sleep 1`) ends with no output to notice, so while a turn
//! is open the look is repeated: the one place where the runtime looks at
//! something again and again.

use std::time::{Duration, Instant};

use super::QUIET;

/// The longest pause between two looks.
const RAREST: Duration = Duration::from_millis(500);

/// The moments at which a program with an open turn is looked at.
#[derive(Debug)]
pub struct Schedule {
    pause: Duration,
    next: Instant,
}

impl Schedule {
    /// Something was written or read at `now`: the first look is [`QUIET`] later.
    pub fn starting(now: Instant) -> Self {
        Self { pause: QUIET, next: now + QUIET }
    }

    /// Looked at `now` and saw nothing certain: the pause doubles, up to half a second.
    pub fn looked(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(RAREST);
        self.next = now + self.pause;
    }

    /// The next look.
    pub fn next(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rarer_up_to_half_a_second() {
        let start = Instant::now();
        let mut schedule = Schedule::starting(start);
        let mut at = Vec::new();
        for _ in 0..8 {
            let now = schedule.next();
            at.push((now - start).as_millis());
            schedule.looked(now);
        }
        assert_eq!(at, [20, 60, 140, 300, 620, 1120, 1620, 2120]);
    }
}
