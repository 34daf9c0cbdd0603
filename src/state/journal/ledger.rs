//! What is true now: all records so far, folded.
//!
//! The same fold serves the running process and the reading of a file, so a
//! snapshot of the ledger can stand for everything before it. No I/O, no clock:
//! "oldest" is by the order of records.

mod resting;

use std::collections::{HashMap, VecDeque};

use super::lines::encode;
use super::records::{
    EndedTurn, Header, MessageRef, OpenTurn, Record, RememberedSession, Run, Undelivered, VERSION,
};
use crate::packed::Packed;
use crate::resident;

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
    /// Those that live, or owe something. The table is often larger than its
    /// content, so it holds pointers.
    sessions: HashMap<String, Box<Session>>,
    /// All others, as [`resting`] packs them.
    resting: Packed,
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
    /// It is over, so far as anybody knows.
    at_rest: bool,
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
                    self.settle(&message.session_id);
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
        let resting = self.unpacked();
        for (id, session) in self.by_use(&resting) {
            recovery.sessions.extend(session.remembered.clone());
            for turn in &session.turns {
                match turn {
                    Turn::Open(turn) => recovery.open_turns.push(turn.clone()),
                    Turn::Ended(turn) => recovery.ended_turns.push(turn.clone()),
                }
            }
            recovery.queued.extend(session.queued.iter().map(|message| refer(id, message)));
            if !session.recent.is_empty() {
                recovery.recent.push((id.to_owned(), session.recent.iter().cloned().collect()));
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
        let resting = self.unpacked();
        for (id, session) in self.by_use(&resting) {
            records.extend(session.remembered.clone().map(Record::Session));
            records.extend(session.turns.iter().map(|turn| match turn {
                Turn::Open(turn) => Record::TurnOpened(turn.clone()),
                Turn::Ended(turn) => Record::TurnEnded(turn.clone()),
            }));
            records.extend(session.queued.iter().map(|m| Record::Queued(refer(id, m))));
            if !session.recent.is_empty() || !session.turns.is_empty() {
                // After the turns: it replaces what they added.
                let messages = session.recent.iter().cloned().collect();
                records.push(Record::Recent { session: id.to_owned(), messages });
            }
        }
        records.extend(self.undelivered.map(Record::Undelivered));
        records
    }

    /// The session is over, and is packed as soon as it owes nothing.
    pub fn rest(&mut self, id: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.at_rest = true;
            self.settle(id);
        }
    }

    /// So are all: no process of theirs lives any more.
    pub fn all_rest(&mut self) {
        for id in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.rest(&id);
        }
    }

    /// Sessions, the one unused for longest first.
    fn by_use<'a>(&'a self, resting: &'a [(&str, Session)]) -> Vec<(&'a str, &'a Session)> {
        let lively = self.sessions.iter().map(|(id, session)| (id.as_str(), &**session));
        let resting = resting.iter().map(|(id, session)| (*id, session));
        let mut sessions: Vec<_> = lively.chain(resting).collect();
        sessions.sort_unstable_by_key(|(_, session)| session.used);
        sessions
    }

    fn unpacked(&self) -> Vec<(&str, Session)> {
        let unpack = |(id, packed)| Some((id, resting::unpack(id, packed)?));
        self.resting.iter().filter_map(unpack).collect()
    }

    /// The session, up and about.
    fn session(&mut self, id: &str) -> &mut Session {
        if !self.sessions.contains_key(id) {
            let known = self.resting.get(id).and_then(|packed| resting::unpack(id, packed));
            self.resting.remove(id);
            let session = known.unwrap_or_else(|| Session { used: self.now, ..Session::default() });
            self.sessions.insert(id.to_owned(), Box::new(session));
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
        session.at_rest = false;
        let new = session.remembered.replace(info).is_none();
        self.remembered += usize::from(new);
        if self.remembered > MOST_SESSIONS {
            let lively = (self.sessions.iter())
                .filter(|(_, session)| session.remembered.is_some())
                .map(|(id, session)| (session.used, id.as_str()));
            let resting = self.resting.iter().map(|(id, packed)| (resting::used(packed), id));
            let oldest = lively.chain(resting).min().map(|(_, id)| id.to_owned());
            if let Some(oldest) = oldest {
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, id: &str) {
        let session = self.session(id);
        let known = session.remembered.take().is_some();
        let recent = std::mem::take(&mut session.recent).len();
        self.remembered -= usize::from(known);
        self.recent -= recent;
        self.settle(id);
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
        self.settle(&id);
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
            self.settle(&message.session_id);
        }
    }

    /// A session that owes nothing leaves no trace if it is not remembered, and is
    /// packed if it is over.
    fn settle(&mut self, id: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        if !session.turns.is_empty() || !session.queued.is_empty() {
            return;
        }
        if session.remembered.is_none() {
            self.recent -= session.recent.len();
        } else if session.at_rest
            && let Some(packed) = resting::pack(session)
        {
            self.resting.push(id, &packed);
        } else {
            return;
        }
        self.sessions.remove(id);
        resident::shrink(&mut self.sessions);
    }

    /// Runs once in a thousand records at most: it makes that much room.
    fn trim_recent(&mut self) {
        if self.recent <= MOST_RECENT_IN_ALL + MOST_RECENT {
            return;
        }
        let resting = self.unpacked();
        let mut room = MOST_RECENT_IN_ALL;
        let mut keeps = HashMap::new();
        for (id, session) in self.by_use(&resting).into_iter().rev() {
            let keep = session.recent.len().min(RECENT_WHEN_FULL).min(room);
            keeps.insert(id.to_owned(), keep);
            room -= keep;
        }
        let mut trimmed = Packed::default();
        for (id, mut session) in resting {
            session.keep_recent(keeps[id]);
            if let Some(packed) = resting::pack(&session) {
                trimmed.push(id, &packed);
            }
        }
        self.resting = trimmed;
        for (id, session) in &mut self.sessions {
            session.keep_recent(keeps[id]);
        }
        self.recent = MOST_RECENT_IN_ALL - room;
    }
}

impl Session {
    fn keep_recent(&mut self, newest: usize) {
        let surplus = self.recent.len().saturating_sub(newest);
        self.recent.drain(..surplus);
        self.recent.shrink_to_fit();
    }
}

fn refer(session: &str, message: &str) -> MessageRef {
    MessageRef { session_id: session.to_owned(), message_id: message.to_owned() }
}

#[cfg(test)]
mod tests;
