//! What the journal has not written yet and the hub must not hear of before.
//!
//! The worker does not wait for the journal: what it says is held back by a
//! latch, which the journal's thread opens. Only where that takes too long has the
//! worker to do with it again: a sick disk never holds a turn.

use std::time::Instant;

use crate::hub::latch::Latch;
use crate::state::LONGEST_WAIT;

/// One session's latches that are not known to be open, oldest first.
#[derive(Default)]
pub(super) struct Unwritten(Vec<(Instant, Latch)>);

impl Unwritten {
    /// One more.
    pub fn add(&mut self, latch: Latch, now: Instant) {
        self.0.push((now + LONGEST_WAIT, latch));
    }

    /// When to stop waiting; `None`: everything is written.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.0.retain(|(_, latch)| !latch.is_open());
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        self.0.first().map(|(until, _)| *until)
    }

    /// What is held back goes out, written or not.
    pub fn give_up(&mut self) {
        for (_, latch) in std::mem::take(&mut self.0) {
            latch.open();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wake;

    #[test]
    fn each_latch_has_its_own_time_and_an_open_one_none() {
        let (waker, _bell) = wake::pair().unwrap();
        let latches = [(); 2].map(|()| Latch::new(waker.clone().into()));
        let start = Instant::now();
        let later = start + Duration::from_millis(150);
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.deadline(), None);
        unwritten.add(latches[0].clone(), start);
        unwritten.add(latches[1].clone(), later);
        assert_eq!(unwritten.deadline(), Some(start + LONGEST_WAIT));
        latches[0].open();
        assert_eq!(unwritten.deadline(), Some(later + LONGEST_WAIT));
        unwritten.give_up();
        assert!(latches[1].is_open());
        assert_eq!(unwritten.deadline(), None);
    }
}
