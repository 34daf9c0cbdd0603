//! What is true now: all records so far, folded.
//!
//! The same fold serves the running process and the reading of a file, so a
//! snapshot of the ledger can stand for everything before it. No I/O, no clock:
//! "oldest" is by the order of records.

use std::collections::{HashMap, VecDeque};

use super::lines::encode;
use super::records::{
    EndedTurn, Header, MessageRef, OpenTurn, Record, RememberedSession, Run, Undelivered, VERSION,
};

/// Sessions that can be made again; beyond it the one unused for longest goes.
pub const MOST_SESSIONS: usize = 4096;

/// Message ids of one session that are not executed again.
pub const MOST_RECENT: usize = 1024;

/// Message ids in all. Beyond it each session keeps its newest
/// [`RECENT_WHEN_FULL`], and the sessions unused for longest none.
const MOST_RECENT_IN_ALL: usize = 8192;
const RECENT_WHEN_FULL: usize = 64;

/// Turns whose end waits for the hub. Only a hub that never confirms gets
/// there; the outbox is in the same state then.
const MOST_TURNS: usize = 16384;

/// Former processes whose leftovers may still be there.
const MOST_RUNS: usize = 8;

/// Longest prompt profile that is remembered, in bytes.
const LONGEST_PROFILE: usize = 4096;

/// What the last process left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Former processes whose children may still run, oldest first.
    pub runs: Vec<Run>,
    /// Sessions that can be made again, the one unused for longest first.
    pub sessions: Vec<RememberedSession>,
    /// Turns to close with a `system` line.
    pub open_turns: Vec<OpenTurn>,
    /// Turns whose frames have to be sent again, exactly so.
    pub ended_turns: Vec<EndedTurn>,
    /// Messages that never had a turn.
    pub queued: Vec<MessageRef>,
    /// The newest message ids of each session, oldest first.
    pub recent: Vec<(String, Vec<String>)>,
    /// What the last shutdown could not deliver; told once.
    pub undelivered: Option<Undelivered>,
}

/// The folded records.
#[derive(Debug, Default)]
pub struct Ledger {
    runs: Vec<Run>,
    sessions: HashMap<String, Session>,
    remembered: usize,
    turns: usize,
    recent: usize,
    undelivered: Option<Undelivered>,
    /// Counts records; the clock of [`Session::used`].
    now: u64,
}

#[derive(Debug, Default)]
struct Session {
    remembered: Option<RememberedSession>,
    used: u64,
    turns: Vec<Turn>,
    queued: Vec<String>,
    recent: VecDeque<String>,
}

#[derive(Debug)]
enum Turn {
    Open(OpenTurn),
    Ended(EndedTurn),
}

impl Turn {
    fn message(&self) -> &str {
        match self {
            Self::Open(turn) => &turn.message_id,
            Self::Ended(turn) => &turn.message_id,
        }
    }
}

impl Ledger {
    /// Makes a record true. Twice is as good as once.
    pub fn apply(&mut self, record: Record) {
        self.now += 1;
        match record {
            Record::Run(run) => {
                self.runs.retain(|known| known.nonce != run.nonce);
                self.runs.push(run);
                let surplus = self.runs.len().saturating_sub(MOST_RUNS);
                self.runs.drain(..surplus);
            }
            Record::RunOver { nonce } => self.runs.retain(|run| run.nonce != nonce),
            Record::Session(session) => self.remember(session),
            Record::SessionForgotten { session } => self.forget(&session),
            Record::TurnOpened(turn) => self.open(turn),
            Record::TurnEnded(turn) => self.end(turn),
            Record::TurnConfirmed(message) => self.confirm(&message),
            Record::Queued(message) => {
                let session = self.session(&message.session_id);
                if !session.queued.contains(&message.message_id) {
                    session.queued.push(message.message_id);
                }
            }
            Record::Unqueued(message) => {
                if let Some(session) = self.sessions.get_mut(&message.session_id) {
                    session.queued.retain(|queued| *queued != message.message_id);
                    self.drop_if_empty(&message.session_id);
                }
            }
            Record::Recent { session, messages } => {
                let known = &mut self.session(&session).recent;
                let before = known.len();
                *known = messages.into();
                let after = known.len();
                self.recent = self.recent - before + after;
                self.trim_recent();
            }
            Record::Undelivered(undelivered) => self.undelivered = Some(undelivered),
        }
    }

    /// What a new process has to know. The count of undelivered things is taken out.
    pub fn recover(&mut self) -> Recovery {
        let mut recovery = Recovery {
            runs: self.runs.clone(),
            undelivered: self.undelivered.take(),
            ..Recovery::default()
        };
        for (id, session) in self.by_use() {
            recovery.sessions.extend(session.remembered.clone());
            for turn in &session.turns {
                match turn {
                    Turn::Open(turn) => recovery.open_turns.push(turn.clone()),
                    Turn::Ended(turn) => recovery.ended_turns.push(turn.clone()),
                }
            }
            recovery.queued.extend(session.queued.iter().map(|message| refer(id, message)));
            if !session.recent.is_empty() {
                recovery.recent.push((id.clone(), session.recent.iter().cloned().collect()));
            }
        }
        recovery
    }

    /// Header and records that say all of this at the start of a file.
    pub fn snapshot(&self) -> Vec<u8> {
        let records = self.records();
        let mut bytes = Vec::with_capacity(64 + 192 * records.len());
        encode(&Header { journal: VERSION, snapshot: records.len() }, &mut bytes);
        for record in &records {
            encode(record, &mut bytes);
        }
        bytes
    }

    fn records(&self) -> Vec<Record> {
        let mut records: Vec<_> = self.runs.iter().cloned().map(Record::Run).collect();
        for (id, session) in self.by_use() {
            records.extend(session.remembered.clone().map(Record::Session));
            records.extend(session.turns.iter().map(|turn| match turn {
                Turn::Open(turn) => Record::TurnOpened(turn.clone()),
                Turn::Ended(turn) => Record::TurnEnded(turn.clone()),
            }));
            records.extend(session.queued.iter().map(|m| Record::Queued(refer(id, m))));
            if !session.recent.is_empty() || !session.turns.is_empty() {
                // After the turns: it replaces what they added.
                let messages = session.recent.iter().cloned().collect();
                records.push(Record::Recent { session: id.clone(), messages });
            }
        }
        records.extend(self.undelivered.map(Record::Undelivered));
        records
    }

    /// Sessions, the one unused for longest first.
    fn by_use(&self) -> Vec<(&String, &Session)> {
        let mut sessions: Vec<_> = self.sessions.iter().collect();
        sessions.sort_unstable_by_key(|(_, session)| session.used);
        sessions
    }

    fn session(&mut self, id: &str) -> &mut Session {
        let now = self.now;
        if !self.sessions.contains_key(id) {
            self.sessions.insert(id.to_owned(), Session { used: now, ..Session::default() });
        }
        self.sessions.get_mut(id).expect("inserted above")
    }

    fn remember(&mut self, mut info: RememberedSession) {
        if info.prompt_profile.as_ref().is_some_and(|text| text.len() > LONGEST_PROFILE) {
            info.prompt_profile = None;
        }
        let now = self.now;
        let session = self.session(&info.session_id);
        session.used = now;
        let new = session.remembered.replace(info).is_none();
        self.remembered += usize::from(new);
        if self.remembered > MOST_SESSIONS {
            let oldest = (self.sessions.iter())
                .filter(|(_, session)| session.remembered.is_some())
                .min_by_key(|(_, session)| session.used)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            self.remembered -= usize::from(session.remembered.take().is_some());
            self.recent -= session.recent.len();
            session.recent = VecDeque::new();
            self.drop_if_empty(id);
        }
    }

    fn open(&mut self, turn: OpenTurn) {
        let now = self.now;
        let session = self.session(&turn.session_id);
        session.used = now;
        session.queued.retain(|queued| *queued != turn.message_id);
        if session.turns.iter().any(|known| known.message() == turn.message_id) {
            return;
        }
        session.recent.push_back(turn.message_id.clone());
        let surplus = session.recent.len() > MOST_RECENT;
        if surplus {
            session.recent.pop_front();
        }
        session.turns.push(Turn::Open(turn));
        self.turns += 1;
        self.recent += usize::from(!surplus);
        self.trim_recent();
    }

    fn end(&mut self, turn: EndedTurn) {
        let full = self.turns >= MOST_TURNS;
        let session = self.session(&turn.session_id);
        session.queued.retain(|queued| *queued != turn.message_id);
        let known = session.turns.iter_mut().find(|known| known.message() == turn.message_id);
        let id = turn.session_id.clone();
        match known {
            Some(known) => *known = Turn::Ended(turn),
            None if full => {}
            None => {
                session.turns.push(Turn::Ended(turn));
                self.turns += 1;
            }
        }
        self.drop_if_empty(&id);
    }

    fn confirm(&mut self, message: &MessageRef) {
        if let Some(session) = self.sessions.get_mut(&message.session_id) {
            let before = session.turns.len();
            session.turns.retain(|turn| turn.message() != message.message_id);
            self.turns -= before - session.turns.len();
            if session.turns.is_empty() {
                // A session that is only remembered keeps no room for turns.
                session.turns = Vec::new();
            }
            self.drop_if_empty(&message.session_id);
        }
    }

    /// A session that is not remembered and owes nothing leaves no trace.
    fn drop_if_empty(&mut self, id: &str) {
        if let Some(session) = self.sessions.get(id)
            && session.remembered.is_none()
            && session.turns.is_empty()
            && session.queued.is_empty()
        {
            self.recent -= session.recent.len();
            self.sessions.remove(id);
        }
    }

    /// Runs once in a thousand records at most: it makes that much room.
    fn trim_recent(&mut self) {
        if self.recent <= MOST_RECENT_IN_ALL + MOST_RECENT {
            return;
        }
        let mut sessions: Vec<_> = self.sessions.values_mut().collect();
        sessions.sort_unstable_by_key(|session| std::cmp::Reverse(session.used));
        self.recent = 0;
        for session in sessions {
            let keep = RECENT_WHEN_FULL.min(MOST_RECENT_IN_ALL - self.recent);
            let surplus = session.recent.len().saturating_sub(keep);
            session.recent.drain(..surplus);
            session.recent.shrink_to_fit();
            self.recent += session.recent.len();
        }
    }
}

fn refer(session: &str, message: &str) -> MessageRef {
    MessageRef { session_id: session.to_owned(), message_id: message.to_owned() }
}

#[cfg(test)]
mod tests;
