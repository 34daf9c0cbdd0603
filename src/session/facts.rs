//! What a session's worker lets others see of it: plain counts and moments, for
//! the dispatcher's decisions and the status. It decides nothing itself.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::dispatcher::mailbox::Mailbox;
use crate::receive::Sleeper;

/// What a session's worker lets others see.
#[derive(Debug)]
pub struct Facts {
    /// The worker's thread.
    pub worker: Sleeper,
    base: Instant,
    active_ms: AtomicU64,
    /// A turn is open, or messages wait. Written by [`Facts::show_busy`].
    pub busy: AtomicBool,
    /// Messages on their way to the worker.
    coming: AtomicUsize,
    /// Whom to tell when that is over.
    idle: OnceLock<Arc<Mailbox>>,
    /// The last turn ended only by `idle_timeout`, so a command may still run.
    pub uncertain: AtomicBool,
    /// Permission requests that wait for an answer.
    pub permissions: AtomicUsize,
    /// A stop is on its way; a second one would say nothing new.
    pub stopping: AtomicBool,
    /// A second `session.create` is on its way to be answered.
    pub reattaching: AtomicBool,
    /// Turns so far.
    pub turns: AtomicU64,
    /// Messages that were not taken.
    pub refused: AtomicU64,
    /// When the open turn began, as `active_ms`, plus one; 0 without one.
    turn_ms: AtomicU64,
}

impl Facts {
    /// Facts of a session that is active now.
    pub fn new(now: Instant) -> Self {
        Self {
            worker: Sleeper::default(),
            base: now,
            active_ms: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            coming: AtomicUsize::new(0),
            idle: OnceLock::new(),
            uncertain: AtomicBool::new(false),
            permissions: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            reattaching: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            turn_ms: AtomicU64::new(0),
        }
    }

    /// A message is given to the worker.
    pub fn comes(&self) {
        self.coming.fetch_add(1, Ordering::Relaxed);
    }

    /// The worker has it.
    pub fn came(&self) {
        self.coming.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a turn is open, or messages wait or are on their way.
    pub fn is_busy(&self) -> bool {
        self.coming.load(Ordering::Relaxed) > 0 || self.busy.load(Ordering::Relaxed)
    }

    /// Shows whether a turn is open or messages wait.
    pub fn show_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        // Either this sees whom to tell, or that one sees `busy` as it is now.
        fence(Ordering::SeqCst);
        if let Some(idle) = self.idle.get()
            && !busy
        {
            idle.tell_idle();
        }
    }

    /// From now on `idle` is told whenever nothing is open any more. What is so
    /// already is for the caller to look at, after this.
    pub fn tell_when_idle(&self, idle: &Arc<Mailbox>) {
        let _ = self.idle.set(Arc::clone(idle));
        fence(Ordering::SeqCst);
    }

    /// When the session was started.
    pub fn started(&self) -> Instant {
        self.base
    }

    /// A turn begins.
    pub fn begin_turn(&self, now: Instant) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.turn_ms.store(self.ms(now).saturating_add(1), Ordering::Relaxed);
    }

    /// The open turn is over.
    pub fn end_turn(&self) {
        self.turn_ms.store(0, Ordering::Relaxed);
    }

    /// When the open turn began; `None` without one.
    pub fn turn_since(&self) -> Option<Instant> {
        let ms = self.turn_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(ms))
    }

    fn ms(&self, now: Instant) -> u64 {
        let ms = now.saturating_duration_since(self.base).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// Notes activity at `now`.
    pub fn touch(&self, now: Instant) {
        self.active_ms.fetch_max(self.ms(now), Ordering::Relaxed);
    }

    /// The latest activity.
    pub fn last_active(&self) -> Instant {
        self.base + Duration::from_millis(self.active_ms.load(Ordering::Relaxed))
    }
}
