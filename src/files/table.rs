//! Who has stored how much, and whose files go when. Counts only; what it knows
//! of the disk is what it found there at the start.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::system::directory::Directory;
use super::{FileLimits, Refusal, TRASH, name};
use crate::resident;

/// What the smallest file counts for, in bytes: a block and its names.
const LEAST: u64 = 4096;
/// Files of the largest size one session may store.
const PER_SESSION: u64 = 16;

/// A session's place in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Directory of its endpoint.
    pub endpoint: String,
    /// Its own within.
    pub session: String,
}

impl Key {
    /// The place of a session, whatever its ids are.
    pub fn new(endpoint_id: &str, session_id: &str) -> Self {
        Self { endpoint: name::component(endpoint_id), session: name::component(session_id) }
    }
}

#[derive(Debug, Default)]
struct Session {
    /// There is a directory.
    made: bool,
    bytes: u64,
    /// Lives of the session: a new one may begin before the last has ended.
    lives: usize,
    ended: Option<SystemTime>,
}

/// Counts of every session that is under way or has a directory.
#[derive(Debug)]
pub struct Table {
    /// What applies now.
    pub limits: FileLimits,
    sessions: HashMap<Key, Session>,
    total: u64,
}

impl Table {
    /// Counts what lies in `root`. Its sessions ended when their directories
    /// were last changed.
    pub fn of(root: &Directory, limits: FileLimits, now: SystemTime) -> Self {
        let mut table = Self { limits, sessions: HashMap::new(), total: 0 };
        let endpoints = root.names().into_iter().flatten().filter(|endpoint| endpoint != TRASH);
        for endpoint in endpoints {
            let Ok(directory) = root.open(&endpoint) else { continue };
            let sessions = directory.names().into_iter().flatten();
            for session in sessions.filter(|session| !session.starts_with('.')) {
                let Ok(files) = directory.open(&session) else { continue };
                if directory.remove_empty(&session).is_ok() {
                    continue;
                }
                // An agent may have set any time: never one to come.
                let ended = files.changed().map_or(now, |changed| changed.min(now));
                // Once all is used up, nothing more is stored: no need to count on.
                let left = limits.max_stored_bytes.saturating_sub(table.total);
                let bytes = count(&files, left);
                table.total += bytes;
                let key = Key { endpoint: endpoint.clone(), session };
                table
                    .sessions
                    .insert(key, Session { made: true, bytes, lives: 0, ended: Some(ended) });
            }
        }
        table
    }

    /// Bytes that are counted now.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A life of the session is under way.
    pub fn begin(&mut self, key: &Key) {
        let session = self.sessions.entry(key.clone()).or_default();
        session.lives += 1;
        session.ended = None;
    }

    /// The session has a directory.
    pub fn made(&mut self, key: &Key) {
        self.sessions.entry(key.clone()).or_default().made = true;
    }

    /// Whether it has one.
    pub fn is_made(&self, key: &Key) -> bool {
        self.sessions.get(key).is_some_and(|session| session.made)
    }

    /// A life of the session has ended. False when another one is under way.
    pub fn end(&mut self, key: &Key, now: SystemTime) -> bool {
        let session = self.sessions.entry(key.clone()).or_default();
        session.lives = session.lives.saturating_sub(1);
        let last = session.lives == 0;
        session.ended = last.then_some(now);
        last
    }

    /// The session's directory is gone, and with it what it counted.
    pub fn forget(&mut self, key: &Key) {
        let bytes = self.move_out(key);
        self.removed(bytes);
    }

    /// The session's directory waits to be removed; what [`Table::removed`] must
    /// be told then.
    pub fn move_out(&mut self, key: &Key) -> u64 {
        let bytes = self.sessions.remove(key).map_or(0, |session| session.bytes);
        resident::shrink(&mut self.sessions);
        bytes
    }

    /// So many bytes are gone from the disk.
    pub fn removed(&mut self, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
    }

    /// Counts a file that is about to be stored in the session's directory, and says
    /// for how much.
    ///
    /// # Errors
    /// [`Refusal::SessionFull`], [`Refusal::StoreFull`]
    pub fn reserve(&mut self, key: &Key, size: usize) -> Result<u64, Refusal> {
        let counted = counted(size as u64);
        let session_limit = PER_SESSION.saturating_mul(self.limits.max_file_bytes as u64);
        let used = self.sessions.get(key).map_or(0, |session| session.bytes);
        if used + counted > session_limit.max(LEAST) {
            return Err(Refusal::SessionFull(session_limit));
        }
        if self.total + counted > self.limits.max_stored_bytes {
            return Err(Refusal::StoreFull(self.limits.max_stored_bytes));
        }
        let session = self.sessions.entry(key.clone()).or_default();
        session.made = true;
        session.bytes += counted;
        self.total += counted;
        Ok(counted)
    }

    /// The file was not stored after all.
    pub fn give_back(&mut self, key: &Key, counted: u64) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.bytes = session.bytes.saturating_sub(counted);
            self.removed(counted);
        }
    }

    /// Sessions whose files are to go.
    pub fn due(&self, now: SystemTime) -> Vec<Key> {
        self.sessions.keys().filter(|key| self.is_due(key, now)).cloned().collect()
    }

    /// Whether the session's files are to go.
    pub fn is_due(&self, key: &Key, now: SystemTime) -> bool {
        self.left(key, now) == Some(Duration::ZERO)
    }

    /// How long until the next files are to go.
    pub fn next_due(&self, now: SystemTime) -> Option<Duration> {
        self.sessions.keys().filter_map(|key| self.left(key, now)).min()
    }

    fn left(&self, key: &Key, now: SystemTime) -> Option<Duration> {
        let ended = self.sessions.get(key)?.ended?;
        // A clock that was set back must not keep files for longer than the retention.
        let age = now.duration_since(ended).unwrap_or_default();
        Some(self.limits.retention.saturating_sub(age))
    }
}

fn counted(size: u64) -> u64 {
    size.max(LEAST)
}

/// What the uploads in a session's directory count for, about `room` at most.
fn count(session: &Directory, room: u64) -> u64 {
    let mut bytes = 0;
    for file in session.names().into_iter().flatten() {
        let Ok(directory) = session.open(&file) else { continue };
        for name in directory.names().into_iter().flatten() {
            bytes += directory.size_of(&name).map_or(0, counted);
            if bytes > room {
                return bytes;
            }
        }
    }
    bytes
}
