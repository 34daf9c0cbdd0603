//! The heap of deadlines. Time is passed in; threads are not known here.
//!
//! What was disarmed or armed anew stays in the heap until it comes up, or until
//! half of the heap is of that kind; `armed` tells which entries are still meant.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::time::Instant;

use super::{Deadline, Notify, Reason};
use crate::resident;

/// What is armed.
#[derive(Default)]
pub(super) struct Deadlines {
    armed: HashMap<(u64, Reason), Armed>,
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
}

/// When, serial number, whose.
type Entry = (Instant, u64, (u64, Reason));

struct Armed {
    serial: u64,
    at: Instant,
    generation: u64,
    notify: Notify,
}

impl Deadlines {
    pub(super) fn arm(&mut self, deadline: Deadline, at: Instant, notify: Notify) {
        let id = (deadline.key, deadline.reason);
        self.serial += 1;
        let (serial, generation) = (self.serial, deadline.generation);
        self.armed.insert(id, Armed { serial, at, generation, notify });
        self.heap.push(Reverse((at, serial, id)));
        self.compact();
    }

    pub(super) fn disarm(&mut self, key: u64, reason: Reason) {
        self.armed.remove(&(key, reason));
        self.compact();
    }

    pub(super) fn forget(&mut self, key: u64) {
        for reason in Reason::ALL {
            self.armed.remove(&(key, reason));
        }
        self.compact();
    }

    /// Takes out what has passed, the earliest first.
    pub(super) fn take_passed(&mut self, now: Instant) -> Vec<(Deadline, Notify)> {
        let mut passed = Vec::new();
        while let Some(at) = self.next()
            && at <= now
            && let Some(Reverse((_, _, id))) = self.heap.pop()
            && let Some(armed) = self.armed.remove(&id)
        {
            let (key, reason) = id;
            passed.push((Deadline { key, reason, generation: armed.generation }, armed.notify));
        }
        passed
    }

    /// When the earliest deadline is.
    pub(super) fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, serial, id))) = self.heap.peek() {
            if self.armed.get(id).is_some_and(|armed| armed.serial == *serial) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    fn compact(&mut self) {
        resident::shrink(&mut self.armed);
        if self.heap.len() > 64 + 2 * self.armed.len() {
            self.heap = self
                .armed
                .iter()
                .map(|(id, armed)| Reverse((armed.at, armed.serial, *id)))
                .collect();
        }
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").field("armed", &self.armed.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn deadline(key: u64, generation: u64) -> Deadline {
        Deadline { key, reason: Reason::IdleTurn, generation }
    }

    fn nobody() -> Notify {
        Arc::new(|_| {})
    }

    fn passed(deadlines: &mut Deadlines, now: Instant) -> Vec<(u64, u64)> {
        let passed = deadlines.take_passed(now);
        passed.iter().map(|(deadline, _)| (deadline.key, deadline.generation)).collect()
    }

    #[test]
    fn deadlines_pass_in_the_order_of_time_and_once() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (key, seconds) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            deadlines.arm(deadline(key, 0), at(seconds), nobody());
        }
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(passed(&mut deadlines, at(9)), []);
        assert_eq!(passed(&mut deadlines, at(30)), [(2, 0), (3, 0), (1, 0)]);
        assert_eq!(passed(&mut deadlines, at(30)), []);
        assert_eq!(deadlines.next(), Some(at(40)));
    }

    #[test]
    fn armed_anew_the_old_one_does_not_pass() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        deadlines.arm(deadline(1, 1), at(10), nobody());
        deadlines.arm(deadline(1, 2), at(20), nobody());
        assert_eq!(passed(&mut deadlines, at(15)), []);
        deadlines.arm(deadline(1, 3), at(5), nobody());
        assert_eq!(passed(&mut deadlines, at(30)), [(1, 3)]);
    }

    #[test]
    fn disarmed_and_forgotten_ones_do_not_pass() {
        let mut deadlines = Deadlines::default();
        let now = Instant::now();
        for key in 1..=3 {
            deadlines.arm(deadline(key, 0), now, nobody());
            let stop = Deadline { reason: Reason::StopGrace, ..deadline(key, 1) };
            deadlines.arm(stop, now, nobody());
        }
        deadlines.disarm(1, Reason::IdleTurn);
        deadlines.forget(2);
        assert_eq!(passed(&mut deadlines, now), [(1, 1), (3, 0), (3, 1)]);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn stale_entries_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        let far = Instant::now() + Duration::from_secs(3600);
        for generation in 0..100_000 {
            deadlines.arm(deadline(generation % 10, generation), far, nobody());
        }
        assert!(deadlines.heap.len() <= 64 + 2 * 10);
        for key in 0..10 {
            deadlines.disarm(key, Reason::IdleTurn);
        }
        assert!(deadlines.heap.len() <= 64);
        assert_eq!(deadlines.next(), None);
        assert!(deadlines.heap.is_empty());
    }

    #[test]
    fn every_reason_is_forgotten() {
        let mut deadlines = Deadlines::default();
        for reason in Reason::ALL {
            deadlines.arm(Deadline { reason, ..deadline(1, 0) }, Instant::now(), nobody());
        }
        deadlines.forget(1);
        assert!(deadlines.armed.is_empty());
    }
}
