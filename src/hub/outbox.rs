//! What sessions hold of the delivery window: a way in, and whether there is room.
//!
//! Every session has a [`Lane`]: an ordered queue whose entries stay until the
//! hub is known to have handled them. The queues themselves lie on the link
//! writer's desk; here are only the channel to it and the byte counts that
//! tell a reading thread to wait.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;

use super::desk::WriterDesk;
use super::latch::Latch;
use super::writer::LinkCommand;
use crate::protocol::outbound::Frame;
use crate::wake::Waker;
use crate::wake::doorbell::Doorbell;

/// An entry that is sent at once and larger is left to the writer, in bytes. In a flood two
/// threads, one that reads and one that writes, get further than one that does both.
const SMALL: usize = 4096;

/// The way into the delivery window. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    commands: Sender<Command>,
    writer: Doorbell,
    /// Where the writer's work lies, if others can do it.
    desk: Option<Arc<WriterDesk>>,
    total: Arc<Budget>,
}

/// What the writer is told.
pub enum Command {
    /// A session has something to say.
    Send {
        /// Which.
        lane: Arc<LaneShared>,
        /// What.
        entry: Entry,
    },
    /// A reading thread waits for room in its lane.
    NeedRoom {
        /// Which lane.
        lane: Arc<LaneShared>,
        /// How the thread is told.
        waker: Waker,
    },
    /// A bound was changed: somebody who waits may go on.
    LimitChanged,
    /// The session is over: its queue goes once everything in it is confirmed.
    Release {
        /// Which lane.
        lane: Arc<LaneShared>,
    },
    /// An answer that belongs to no session.
    Answer(Frame),
    /// From the connection's side: its reader and its supervisor.
    Link(LinkCommand),
}

/// One thing to deliver.
pub struct Entry {
    /// The text; the same on every re-send.
    pub frame: Frame,
    /// How it is treated.
    pub kind: EntryKind,
    /// Neither it nor what comes behind it in the lane is sent before this is open.
    pub after: Option<Latch>,
    /// Called once, by whoever does the writer's work then, when the hub is known to
    /// have handled the entry. Must not block.
    pub on_confirmed: Option<Box<dyn FnOnce() + Send>>,
}

/// What an entry is, as far as delivery treats it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// `agent.output`: counted against the bounds.
    Output,
    /// `turn.started`
    TurnStarted,
    /// `turn.completed`
    TurnCompleted,
    /// `session.created`, `stop.ack`
    Control,
    /// `permission.request`: never sent twice; a lost connection drops it.
    Permission,
    /// `file.available`: counted against the bounds, may exceed them alone.
    File,
}

impl EntryKind {
    /// Whether the entry counts against the byte bounds. Ends of turns and
    /// answers must get through even when output fills everything.
    pub fn counts(self) -> bool {
        matches!(self, Self::Output | Self::File)
    }
}

/// A count of bytes with a limit.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether more may come. A single entry may overshoot the limit, so that
    /// one larger than it still gets through alone.
    pub fn has_room(&self) -> bool {
        let used = self.used();
        used == 0 || used < self.limit()
    }

    /// Whether a quarter of the limit is free: the mark below which a stopped
    /// reader goes on, so that it is not woken for every confirmed chunk.
    pub fn has_ample_room(&self) -> bool {
        let limit = self.limit();
        self.used() <= limit - limit / 4
    }

    /// Changes the limit, in bytes.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives bytes back; the writer does so when an entry is confirmed or dropped.
    pub fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What lane handles and the writer share of one lane.
#[derive(Debug)]
pub struct LaneShared {
    /// The session.
    pub session_id: Arc<str>,
    /// Encoded bytes that are not confirmed yet.
    pub budget: Budget,
    /// What the last entry that waits for something waits for. Never locked for long.
    held_by: Mutex<Option<Latch>>,
}

impl LaneShared {
    /// An empty lane with `limit` bytes.
    pub(super) fn new(session_id: Arc<str>, limit: usize) -> Self {
        Self { session_id, budget: Budget::new(limit), held_by: Mutex::default() }
    }

    /// Whether what was said last may go out; if not, the writer is rung when it may.
    fn may_go(&self) -> bool {
        let mut held_by = self.held_by.lock().unwrap_or_else(PoisonError::into_inner);
        if held_by.as_ref().is_some_and(|latch| !latch.ask()) {
            return false;
        }
        *held_by = None;
        true
    }
}

/// One session's ordered way to the hub. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    outbox: Outbox,
    shared: Arc<LaneShared>,
}

impl Outbox {
    /// The handle of a writer that reads `commands` and polls the other end of `writer`.
    pub fn new(commands: Sender<Command>, writer: impl Into<Doorbell>, total: Arc<Budget>) -> Self {
        Self { commands, writer: writer.into(), desk: None, total }
    }

    /// The same, where a session may do the writer's work for a few words.
    pub(super) fn with_desk(self, desk: Arc<WriterDesk>) -> Self {
        Self { desk: Some(desk), ..self }
    }

    /// A lane for one session with `limit` bytes. Asked again for the same
    /// session, the order goes on where it was.
    pub fn lane(&self, session_id: Arc<str>, limit: usize) -> Lane {
        let shared = Arc::new(LaneShared::new(session_id, limit));
        Lane { outbox: self.clone(), shared }
    }

    /// Sends an answer that belongs to no session. A lost connection drops it.
    pub fn answer(&self, frame: Frame) {
        self.tell(Command::Answer(frame));
    }

    /// Changes the bound of all sessions together, in bytes.
    pub fn set_total_limit(&self, bytes: usize) {
        self.total.set_limit(bytes);
        self.tell(Command::LimitChanged);
    }

    /// Encoded bytes of all sessions that are not confirmed yet.
    pub fn buffered(&self) -> usize {
        self.total.used()
    }

    /// Tells the writer. It never waits: the channel is bounded by the budgets.
    pub fn tell(&self, command: Command) {
        // The writer outlives every session; it is gone only when the process ends.
        let _ = self.commands.send(command);
        self.hasten();
    }

    /// Tells the writer what it need not know before it wakes anyway.
    pub fn tell_later(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Makes the writer look at what it was told later.
    pub fn hasten(&self) {
        self.writer.ring();
    }
}

impl Lane {
    /// Puts an entry at the end of the lane. Never blocks.
    pub fn send(&self, entry: Entry) {
        // A thread that masks what it sends has a generator of random numbers from then
        // on, half a kilobyte: a session that only answered has none.
        let writers = entry.frame.text.len() > SMALL || entry.kind == EntryKind::Control;
        self.send_later(entry);
        if !writers {
            self.hasten();
        } else if self.shared.may_go() {
            self.outbox.hasten();
        }
    }

    /// The same for an entry that more will follow in a moment: it goes out with
    /// that, or with [`Lane::hasten`]. One packet and one wake-up for both.
    pub fn send_later(&self, entry: Entry) {
        if entry.kind.counts() {
            let bytes = entry.frame.text.len();
            self.shared.budget.take(bytes);
            self.outbox.total.take(bytes);
        }
        if let Some(latch) = &entry.after {
            let mut held_by = self.shared.held_by.lock().unwrap_or_else(PoisonError::into_inner);
            *held_by = Some(latch.clone());
        }
        self.outbox.tell_later(Command::Send { lane: Arc::clone(&self.shared), entry });
    }

    /// What was to be sent later goes out now, from this thread if the writer sleeps;
    /// or as soon as the latches before it are open: nobody need look sooner.
    pub fn hasten(&self) {
        if self.shared.may_go() {
            let desk = &self.outbox.desk;
            self.outbox.writer.ring_unless(|| desk.as_ref().is_some_and(|desk| desk.stand_in()));
        }
    }

    /// Something for an entry to wait for.
    pub fn latch(&self) -> Latch {
        Latch::new(self.outbox.writer.clone())
    }

    /// Whether the agent may be read from.
    pub fn has_room(&self) -> bool {
        self.shared.budget.has_room() && self.outbox.total.has_room()
    }

    /// Wakes `waker` once there is room; at once if there is room now.
    pub fn wake_when_room(&self, waker: Waker) {
        self.outbox.tell(Command::NeedRoom { lane: Arc::clone(&self.shared), waker });
    }

    /// Changes the lane's bound, in bytes.
    pub fn set_limit(&self, bytes: usize) {
        self.shared.budget.set_limit(bytes);
        self.outbox.tell(Command::LimitChanged);
    }

    /// Encoded bytes that are not confirmed yet.
    pub fn buffered(&self) -> usize {
        self.shared.budget.used()
    }

    /// The session is over: its queue goes once everything in it is confirmed.
    pub fn release(&self) {
        self.outbox.tell(Command::Release { lane: Arc::clone(&self.shared) });
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("session_id", &self.shared.session_id).finish_non_exhaustive()
    }
}
