//! One session's queue inside the window, and who waits for room in it.
//!
//! Knows the order of one session's entries and how many of them were sent; not
//! other sessions, the wire or time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tungstenite::Utf8Bytes;

use crate::hub::latch::Latch;
use crate::hub::outbox::{Budget, Entry, EntryKind, LaneShared};
use crate::wake::Waker;

/// An entry in its lane.
pub struct Item {
    /// The frame; cheap to clone, the same on every re-send.
    pub text: Utf8Bytes,
    /// How it is treated.
    pub kind: EntryKind,
    /// Losses at which it was first in line on the wire.
    pub losses: u8,
    /// Whose budget counts it.
    pub owner: Arc<LaneShared>,
    /// It is not sent before this is open.
    pub after: Option<Latch>,
    /// Called once when the hub is known to have handled it.
    pub on_confirmed: Option<Box<dyn FnOnce() + Send>>,
}

impl Item {
    /// Takes an entry over; its text is not copied.
    pub fn new(owner: Arc<LaneShared>, entry: Entry) -> Self {
        let Entry { frame, kind, after, on_confirmed } = entry;
        Self { text: frame.text.into(), kind, losses: 0, owner, after, on_confirmed }
    }

    /// Whether what it waits for has not happened; then the writer is rung when it has.
    pub fn is_held(&self) -> bool {
        self.after.as_ref().is_some_and(|latch| !latch.ask())
    }

    /// Bytes it holds of its lane's and the total budget.
    pub fn counted(&self) -> usize {
        if self.kind.counts() { self.text.len() } else { 0 }
    }

    /// Gives back what it holds of the budgets.
    pub fn give_back(&self, total: &Budget) {
        let bytes = self.counted();
        if bytes > 0 {
            self.owner.budget.give(bytes);
            total.give(bytes);
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("kind", &self.kind)
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}

/// A reading thread that waits for room.
#[derive(Debug)]
pub struct Waiter {
    /// The budget it waits for, besides the total.
    pub lane: Arc<LaneShared>,
    /// How to tell it.
    pub waker: Waker,
}

/// One session's entries, oldest first. The first `sent` of them are on the wire.
#[derive(Debug)]
pub struct LaneQueue {
    /// The handle that spoke last; an older one's release means nothing.
    pub current: Arc<LaneShared>,
    /// Everything that is not confirmed.
    pub entries: VecDeque<Item>,
    /// How many of the entries are on the wire.
    pub sent: usize,
    /// Whether the lane has a place in the round, or will have one when a latch opens.
    pub in_round: bool,
    /// Whether the last thing said of a turn is that it started.
    pub turn_open: bool,
    /// Reading threads that wait for room.
    pub waiters: Vec<Waiter>,
    /// Whether they wait in line for the total, not for this lane.
    pub in_line: bool,
    /// When the last `turn.completed` is to be said once more, if at all.
    pub repeat_at: Option<Instant>,
    /// What is said then.
    pub last_completed: Option<Utf8Bytes>,
}

impl LaneQueue {
    /// A lane in which nothing was said.
    pub fn new(current: Arc<LaneShared>) -> Self {
        Self {
            current,
            entries: VecDeque::new(),
            sent: 0,
            in_round: false,
            turn_open: false,
            waiters: Vec::new(),
            in_line: false,
            repeat_at: None,
            last_completed: None,
        }
    }

    /// The next entry to send.
    pub fn next(&self) -> Option<&Item> {
        self.entries.get(self.sent)
    }

    /// Whether nothing would be lost by forgetting the lane.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty()
            && !self.in_round
            && !self.turn_open
            && !self.in_line
            && self.waiters.is_empty()
            && self.repeat_at.is_none()
    }

    /// The connection is gone: everything is queued again, except permission
    /// requests, which are dropped whether they were sent or not. Returns how
    /// many were dropped.
    pub fn unsend(&mut self) -> usize {
        self.sent = 0;
        let before = self.entries.len();
        self.entries.retain(|item| item.kind != EntryKind::Permission);
        before - self.entries.len()
    }

    /// Wakes those whose own budget has room, as long as `more` allows another.
    pub fn wake(&mut self, mut more: impl FnMut() -> bool) {
        self.waiters.retain(|waiter| {
            let go = waiter.lane.budget.has_ample_room() && more();
            if go {
                waiter.waker.wake();
            }
            !go
        });
    }
}
