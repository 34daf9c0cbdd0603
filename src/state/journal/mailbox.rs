//! What the journal's users and its thread share: the ledger, and the records
//! that are not written yet.
//!
//! Not a channel of records, because a full channel must block or lose. Here a
//! record is true in the ledger as soon as it is posted; if a hung disk lets too
//! many pile up, they are dropped and a snapshot of the ledger takes their place.
//! The lock is held for copying and encoding in memory, never for I/O.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::Ledger;
use super::lines::encode;
use super::records::Record;
use super::segments::Synced;
use crate::receive::Sleeper;

/// Unwritten records, in bytes; beyond it a snapshot takes their place.
const MOST_PENDING: usize = 256 * 1024;

/// How soon a record has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Wakes the thread.
    Now,
    /// May go with what is written next, within a second: saves a thread switch.
    Soon,
    /// Whoever posts it posts one that wakes the thread right behind it.
    WithNext,
}

pub(super) struct Mailbox {
    state: Mutex<State>,
    /// The journal's thread.
    pub(super) sleeper: Sleeper,
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    news: News,
    /// The thread looks again within a second without being woken.
    soon_awake: bool,
}

/// What has come since the thread last looked.
#[derive(Default)]
pub(super) struct News {
    /// Encoded records.
    pub(super) records: Vec<u8>,
    /// Too many came: only a snapshot says it all.
    pub(super) overflowed: bool,
    /// Told when the records have been written, or cannot be.
    pub(super) waiters: Vec<Waiter>,
    /// The sync that was under way is done.
    pub(super) synced: Option<std::io::Result<Synced>>,
    /// The thread shall write what is left, and end.
    pub(super) closing: bool,
}

/// Told when a record has been written, or cannot be. Must not block.
pub(super) type Waiter = Box<dyn FnOnce() + Send>;

impl Mailbox {
    /// A mailbox whose thread is not known yet.
    pub(super) fn new(ledger: Ledger) -> Self {
        let state = State { ledger, ..State::default() };
        Self { state: Mutex::new(state), sleeper: Sleeper::default() }
    }

    /// Makes a record true and has it written.
    pub(super) fn post(&self, record: Record, urgency: Urgency, waiter: Option<Waiter>) {
        let mut state = self.lock();
        if !state.news.overflowed {
            encode(&record, &mut state.news.records);
            state.news.overflowed = state.news.records.len() > MOST_PENDING;
        }
        state.ledger.apply(record);
        state.news.waiters.extend(waiter);
        let wakes = match urgency {
            Urgency::Now => true,
            Urgency::Soon => !state.soon_awake,
            Urgency::WithNext => false,
        };
        drop(state);
        if wakes {
            self.wake();
        }
    }

    /// Tells when everything posted so far has been written, or cannot be.
    pub(super) fn tell_when_written(&self, waiter: Waiter) {
        self.lock().news.waiters.push(waiter);
        self.wake();
    }

    /// The session is over: see [`Ledger::rest`].
    pub(super) fn session_rests(&self, session_id: &str) {
        self.lock().ledger.rest(session_id);
    }

    /// The sync that was under way is done.
    pub(super) fn synced(&self, result: std::io::Result<Synced>) {
        self.lock().news.synced = Some(result);
        self.wake();
    }

    /// Write what is left, and end.
    pub(super) fn close(&self) {
        self.lock().news.closing = true;
        self.wake();
    }

    /// Takes the news; `buffer` is an empty one for those to come.
    pub(super) fn take(&self, buffer: Vec<u8>) -> News {
        let mut state = self.lock();
        // It looks again before it sleeps.
        state.soon_awake = true;
        mem::replace(&mut state.news, News { records: buffer, ..News::default() })
    }

    /// Everything that is true, encoded; and the records that waited, which it
    /// contains: needed only if the snapshot cannot be written.
    pub(super) fn snapshot(&self) -> (Vec<u8>, Vec<u8>) {
        let mut state = self.lock();
        state.news.overflowed = false;
        (state.ledger.snapshot(), mem::take(&mut state.news.records))
    }

    /// Whether the thread may sleep; `soon` when it has a deadline within a second.
    pub(super) fn may_sleep(&self, soon: bool) -> bool {
        let mut state = self.lock();
        let news = &state.news;
        let nothing_new = news.records.is_empty()
            && !news.overflowed
            && news.waiters.is_empty()
            && news.synced.is_none()
            && !news.closing;
        state.soon_awake = soon;
        nothing_new
    }

    fn wake(&self) {
        self.sleeper.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process; what is left of it may still say what it must.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
