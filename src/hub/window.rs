//! The delivery window: everything the runtime has to say, until the hub is
//! known to have handled it.
//!
//! Entries live in lanes, one per session, and outlive connections:
//!
//! | state     | it is                                   | leaves it by                              |
//! |-----------|-----------------------------------------|-------------------------------------------|
//! | queued    | in its lane behind what was sent        | its turn in the round → sent, or held     |
//! | held      | queued, and what it waits for has not   | its latch is open → queued                |
//! |           | happened; its lane is out of the round  |                                           |
//! | sent      | on the wire, its place in `wire`        | a pong for a later ping → confirmed       |
//! |           |                                         | loss → queued in front, the same frame    |
//! | confirmed | gone; bytes given back, callback called |                                           |
//! | set aside | poison: see `window::poison`            | a `system` line is queued in its place    |
//! | dropped   | a permission request at any loss; an    |                                           |
//! |           | answer at any loss, or without a link   |                                           |
//!
//! The round gives each lane one entry in turn, so a flood delays another
//! session by one entry. After a loss, what was on the wire goes first, in the
//! order in which it was sent. An entry is sent when it fits into what may be
//! unconfirmed, or when nothing else is.
//!
//! Pure: no I/O, no clock; moments are passed in. It calls back what was
//! confirmed and wakes who waits for room, neither of which blocks.

mod lane;
pub mod pace;
mod poison;
mod repeat;
mod room;
mod round;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::Utf8Bytes;

use self::lane::{Item, LaneQueue};
use self::pace::{Pace, PingTimes};
use self::poison::Alone;
use super::outbox::{Budget, Entry, EntryKind, LaneShared};
use crate::protocol::outbound::Frame;
use crate::resident;

/// Answers that may wait unsent, in bytes. A hub that asks and does not read
/// must not fill our memory.
pub const ANSWERS_LIMIT: usize = 4 * 1024 * 1024;

/// Places that a queue keeps when it is empty.
const KEPT: usize = 64;

/// Less on the wire than this leaves room for whatever comes, in bytes: that it
/// is confirmed need not be known at once.
const LITTLE: usize = 16 * 1024;

/// More than [`ANSWERS_LIMIT`] waits unsent: the connection must be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyAnswers;

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It broke: whatever was first in line may have been the cause.
    Broken,
    /// The hub closed it and called that an error.
    Rejected,
    /// We closed it ourselves, for a reason that has nothing to do with it.
    Planned,
}

/// What has not been confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// Messages.
    pub entries: usize,
    /// Sessions they belong to.
    pub sessions: usize,
}

/// An entry to send now.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The frame's text.
    pub text: Utf8Bytes,
    /// Send only its first part, then [`Window::ask`], and the rest when
    /// [`Window::is_in_hand`].
    pub careful: bool,
}

/// Whether entries may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// There is no connection.
    Disconnected,
    /// There is one.
    Open,
    /// There is one that is about to be closed.
    Paused,
}

/// Whose turn it is.
#[derive(Clone, Debug)]
enum Source {
    Lane(Arc<str>),
    Answers,
}

/// An entry's place on the wire.
#[derive(Debug)]
struct OnWire {
    /// Position among the entries of this connection, from 1.
    order: u64,
    /// `None` for an answer.
    session: Option<Arc<str>>,
    kind: EntryKind,
    bytes: usize,
}

/// See the module's head.
pub struct Window {
    total: Arc<Budget>,
    pace: Pace,
    /// The table keeps the size of the largest crowd for a while, so it holds pointers.
    lanes: HashMap<Arc<str>, Box<LaneQueue>>,
    /// Lanes with something to send, each at most once.
    round: VecDeque<Source>,
    /// Lanes out of the round because their next entry waits for a latch.
    held: Vec<Arc<str>>,
    /// What was on the wire at the last loss, oldest first; goes before the round.
    resend: VecDeque<Arc<str>>,
    answers: VecDeque<Utf8Bytes>,
    answer_bytes: usize,
    answers_in_round: bool,
    wire: VecDeque<OnWire>,
    wire_bytes: usize,
    /// Entries begun on this connection.
    begun: u64,
    /// Whether a suspect is on the wire: nothing may join it.
    alone: Alone,
    /// What was repeated after a loss is not pinged yet.
    settling: bool,
    gate: Gate,
    /// Lanes that wait for room in the total, longest wait first.
    line: VecDeque<Arc<str>>,
    /// Somebody waits for room, or did.
    room_wanted: bool,
    repeats: VecDeque<(Instant, Arc<str>)>,
    repeat_after: Duration,
    entries: usize,
    open_turns: usize,
}

impl Window {
    /// An empty window. `repeat_after` is how long after a loss an end of turn
    /// is said once more (see [`Window::repeat_due`]).
    pub fn new(total: Arc<Budget>, pings: PingTimes, repeat_after: Duration) -> Self {
        Self {
            total,
            pace: Pace::new(pings),
            lanes: HashMap::new(),
            round: VecDeque::new(),
            held: Vec::new(),
            resend: VecDeque::new(),
            answers: VecDeque::new(),
            answer_bytes: 0,
            answers_in_round: false,
            wire: VecDeque::new(),
            wire_bytes: 0,
            begun: 0,
            alone: Alone::No,
            settling: false,
            gate: Gate::Disconnected,
            line: VecDeque::new(),
            room_wanted: false,
            repeats: VecDeque::new(),
            repeat_after,
            entries: 0,
            open_turns: 0,
        }
    }

    /// Puts an entry at the end of its session's lane.
    pub fn push(&mut self, lane: &Arc<LaneShared>, entry: Entry) {
        self.push_item(lane, Item::new(Arc::clone(lane), entry));
    }

    fn push_item(&mut self, lane: &Arc<LaneShared>, item: Item) {
        let session = &lane.session_id;
        let queue = self
            .lanes
            .entry(Arc::clone(session))
            .or_insert_with(|| Box::new(LaneQueue::new(Arc::clone(lane))));
        if !Arc::ptr_eq(&queue.current, lane) {
            queue.current = Arc::clone(lane);
        }
        match item.kind {
            EntryKind::TurnStarted if !queue.turn_open => {
                queue.turn_open = true;
                self.open_turns += 1;
            }
            EntryKind::TurnCompleted => {
                if std::mem::take(&mut queue.turn_open) {
                    self.open_turns -= 1;
                }
                if queue.repeat_at.is_some() {
                    queue.last_completed = Some(item.text.clone());
                }
            }
            _ => {}
        }
        queue.entries.push_back(item);
        self.entries += 1;
        if !queue.in_round {
            queue.in_round = true;
            self.round.push_back(Source::Lane(Arc::clone(session)));
        }
    }

    /// Queues an answer that belongs to no session. Without a connection it is
    /// dropped: who asked is gone.
    ///
    /// # Errors
    /// When more than [`ANSWERS_LIMIT`] would wait unsent.
    pub fn answer(&mut self, frame: Frame) -> Result<(), TooManyAnswers> {
        if self.gate == Gate::Disconnected {
            return Ok(());
        }
        if self.answer_bytes + frame.text.len() > ANSWERS_LIMIT {
            return Err(TooManyAnswers);
        }
        self.answer_bytes += frame.text.len();
        self.answers.push_back(frame.text.into());
        if !self.answers_in_round {
            self.answers_in_round = true;
            self.round.push_back(Source::Answers);
        }
        Ok(())
    }

    /// The session is over: its lane goes when everything in it is confirmed.
    /// An older handle of a session that came back changes nothing.
    pub fn release(&mut self, lane: &Arc<LaneShared>) {
        let Some(queue) = self.lanes.get_mut(&lane.session_id) else { return };
        queue.waiters.retain(|waiter| !Arc::ptr_eq(&waiter.lane, lane));
        if Arc::ptr_eq(&queue.current, lane) && std::mem::take(&mut queue.turn_open) {
            self.open_turns -= 1;
        }
        self.forget_if_idle(&lane.session_id);
    }

    /// A connection is registered: entries may be sent.
    pub fn connect(&mut self, now: Instant) {
        self.gate = Gate::Open;
        self.begun = 0;
        self.pace.connected(now);
    }

    /// Nothing more is to be sent on this connection, which is about to be closed.
    pub fn pause(&mut self) {
        if self.gate == Gate::Open {
            self.gate = Gate::Paused;
        }
    }

    /// Somebody waits for everything to be confirmed: no ping is put off.
    pub fn hurry(&mut self) {
        self.pace.hurry();
    }

    /// The connection took all of the entry that [`Window::begin_next`] gave.
    pub fn finish(&mut self, now: Instant) {
        let Some(last) = self.wire.back() else { return };
        let settled = self.settling && self.resend.is_empty();
        if settled {
            self.settling = false;
        }
        // On a bad link, what was repeated should be confirmed before the next loss.
        let urgent = settled || self.alone != Alone::No;
        self.pace.finish(last.bytes, urgent, now);
    }

    /// Payload of the ping behind the first part of a careful entry.
    pub fn ask(&mut self, now: Instant) -> [u8; 8] {
        let payload = self.pace.ping(now);
        self.alone = Alone::Asked(self.pace.number());
        payload
    }

    /// Whether the hub has the first part of a careful entry: the rest may go.
    pub fn is_in_hand(&self) -> bool {
        self.alone == Alone::InHand
    }

    /// When a ping is due; `None` without a connection.
    pub fn next_ping(&self) -> Option<Instant> {
        self.pace.next_ping(!self.wire.is_empty())
    }

    /// Payload of a ping that is sent behind everything finished so far.
    pub fn ping(&mut self, now: Instant) -> [u8; 8] {
        self.pace.ping(now)
    }

    /// Since when a ping waits for its answer.
    pub fn unanswered_since(&self) -> Option<Instant> {
        self.pace.unanswered_since()
    }

    /// A pong came: everything sent before its ping is confirmed. Returns
    /// whether it answered a ping of this connection.
    pub fn pong(&mut self, payload: &[u8], now: Instant) -> bool {
        let Some(proof) = self.pace.pong(payload, now) else { return false };
        self.alone.answered(proof.number);
        let before = self.wire_bytes;
        while self.wire.front().is_some_and(|place| place.order <= proof.covers)
            && let Some(place) = self.wire.pop_front()
        {
            self.wire_bytes -= place.bytes;
            if let Some(session) = place.session {
                self.confirm(&session);
            }
        }
        if self.wire.is_empty() {
            self.alone = Alone::No;
            // What grew for a crowd is given back when the crowd has gone.
            self.wire.shrink_to(KEPT);
            self.round.shrink_to(KEPT);
            self.held.shrink_to(KEPT);
        }
        self.pace.delivered(&proof, before - self.wire_bytes, now);
        self.serve_line();
        true
    }

    fn confirm(&mut self, session: &Arc<str>) {
        let Some(queue) = self.lanes.get_mut(session) else { return };
        let Some(item) = queue.entries.pop_front() else { return };
        queue.sent -= 1;
        self.entries -= 1;
        item.give_back(&self.total);
        if let Some(callback) = item.on_confirmed {
            callback();
        }
        self.room_in(session);
        self.forget_if_idle(session);
    }

    /// The connection is gone. What was on the wire is queued again in front.
    pub fn lost(&mut self, loss: Loss, now: Instant) {
        self.gate = Gate::Disconnected;
        self.pace.disconnected();
        if loss != Loss::Planned {
            self.strike_first(loss);
        }
        let mut again = VecDeque::with_capacity(self.wire.len() + self.resend.len());
        for place in std::mem::take(&mut self.wire) {
            let Some(session) = place.session else { continue };
            if place.kind == EntryKind::TurnStarted {
                self.plan_repeat(&session, now);
            }
            if place.kind != EntryKind::Permission {
                again.push_back(session);
            }
        }
        again.append(&mut self.resend);
        self.settling = !again.is_empty();
        self.resend = again;
        self.wire_bytes = 0;
        self.alone = Alone::No;
        self.answers.clear();
        self.answer_bytes = 0;
        for queue in self.lanes.values_mut() {
            self.entries -= queue.unsend();
        }
        self.lanes.retain(|_, queue| !queue.is_idle());
    }

    fn forget_if_idle(&mut self, session: &Arc<str>) {
        if self.lanes.get(session).is_some_and(|queue| queue.is_idle()) {
            self.lanes.remove(session);
            resident::shrink(&mut self.lanes);
        }
    }

    /// Whether anything waits for a pong. Otherwise it may come to us with the
    /// next thing that happens, at the latest when the next ping is due.
    pub fn wants_pong(&mut self) -> bool {
        if self.wire.is_empty() {
            return false;
        }
        if self.room_wanted {
            self.room_wanted = self.lanes.values().any(|queue| !queue.waiters.is_empty());
        }
        let more_to_send = !self.round.is_empty() || !self.resend.is_empty();
        self.room_wanted
            || more_to_send
            || self.wire_bytes >= LITTLE
            || self.gate == Gate::Paused
            || self.alone != Alone::No
            || self.settling
            || self.pace.is_hurried()
    }

    /// Whether every entry is confirmed.
    pub fn is_drained(&self) -> bool {
        self.entries == 0
    }

    /// Entries that are not confirmed.
    pub fn pending(&self) -> usize {
        self.entries
    }

    /// Whether nothing is unconfirmed on the wire.
    pub fn wire_is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// Entries and bytes on the wire that are not confirmed.
    pub fn unconfirmed(&self) -> (usize, usize) {
        (self.wire.len(), self.wire_bytes)
    }

    /// Bytes that may be on the wire unconfirmed.
    pub fn limit(&self) -> usize {
        self.pace.limit()
    }

    /// Sessions that began a turn and did not end it.
    pub fn open_turns(&self) -> usize {
        self.open_turns
    }

    /// What has not been confirmed.
    pub fn undelivered(&self) -> Undelivered {
        let sessions = self.lanes.values().filter(|queue| !queue.entries.is_empty()).count();
        Undelivered { entries: self.entries, sessions }
    }
}

#[cfg(test)]
mod late_hub;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
