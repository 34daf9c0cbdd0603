//! Random lives of a window against a simple hub, replayable by their seed.
//!
//! The hub of the model handles what reaches it strictly in order, may lose
//! pongs, and dies of poison. An oracle knows everything that was ever said and
//! checks after each step that nothing is confirmed that the hub did not handle,
//! that nothing confirmed is sent again, and at the end that every session's
//! messages are there, in order, and all budgets are back at zero.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::*;
use crate::hub::latch::Latch;
use crate::wake::{self, Waker};

const SESSIONS: usize = 4;

/// What travels to the hub; messages by their name.
enum Wire {
    Text(String),
    Ping([u8; 8]),
}

/// `session/number` of a message; a notice of the window's own is its whole text.
fn name_of(text: &str) -> String {
    if text.starts_with('{') {
        return text.to_owned();
    }
    text.rsplit_once('/').map(|(name, _)| name.to_owned()).expect("a message of this model")
}

struct Life {
    rng: Rng,
    window: Window,
    total: Arc<Budget>,
    lanes: Vec<Arc<LaneShared>>,
    now: Instant,
    connected: bool,
    unfinished: bool,
    /// An entry that is sent in two parts: its name, and the ping between them.
    careful: Option<(String, Option<u64>)>,
    /// Whether that ping's pong came.
    in_hand: bool,
    /// Sent, not handled yet.
    travelling: VecDeque<Wire>,
    /// Answered, not received yet.
    pongs: VecDeque<[u8; 8]>,
    /// Every message ever said, by session; permission requests apart.
    said: BTreeMap<usize, Vec<String>>,
    /// What the hub handled first, by session.
    handled: BTreeMap<usize, Vec<String>>,
    seen: BTreeSet<String>,
    permissions: BTreeSet<String>,
    confirmed: Arc<Mutex<BTreeSet<String>>>,
    /// What waits for its latch, oldest first.
    closed: VecDeque<(String, Latch)>,
    waker: Waker,
    number: usize,
    poison: Option<String>,
    /// The reference for poison: what was sent on this connection and is not
    /// confirmed, oldest first; losses at which each was first; what is set aside.
    on_wire: VecDeque<String>,
    strikes: BTreeMap<String, u8>,
    set_aside: Vec<String>,
    notices: usize,
    replaced_notices: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let total = Arc::new(Budget::new(1 << 20));
        let window =
            Window::new(Arc::clone(&total), PingTimes::default(), Duration::from_secs(120));
        let lane = |session: usize| {
            let session_id = session.to_string().into();
            Arc::new(LaneShared::new(session_id, 1 << 18))
        };
        Self {
            rng: Rng::with_seed(seed),
            window,
            total,
            lanes: (0..SESSIONS).map(lane).collect(),
            now: Instant::now(),
            connected: false,
            unfinished: false,
            careful: None,
            in_hand: false,
            travelling: VecDeque::new(),
            pongs: VecDeque::new(),
            said: BTreeMap::new(),
            handled: BTreeMap::new(),
            seen: BTreeSet::new(),
            permissions: BTreeSet::new(),
            confirmed: Arc::default(),
            closed: VecDeque::new(),
            waker: wake::pair().unwrap().0,
            number: 0,
            poison: None,
            on_wire: VecDeque::new(),
            strikes: BTreeMap::new(),
            set_aside: Vec::new(),
            notices: 0,
            replaced_notices: 0,
        }
    }

    fn say(&mut self) {
        let session = self.rng.usize(..SESSIONS);
        if self.rng.u8(..) < 8 {
            // The session ends and comes back under its old id.
            let old = Arc::clone(&self.lanes[session]);
            let session_id = Arc::clone(&old.session_id);
            self.lanes[session] = Arc::new(LaneShared::new(session_id, 1 << 18));
            self.window.release(&old);
        }
        self.number += 1;
        let kinds = [
            EntryKind::Output,
            EntryKind::Output,
            EntryKind::File,
            EntryKind::Control,
            EntryKind::TurnStarted,
            EntryKind::TurnCompleted,
            EntryKind::Permission,
        ];
        let kind = kinds[self.rng.usize(..kinds.len())];
        let padding = if self.rng.bool() { 0 } else { self.rng.usize(..100_000) };
        let name = format!("{session}/{}", self.number);
        let text = format!("{name}/{}", "x".repeat(padding));
        let lane = &self.lanes[session];
        if kind.counts() {
            lane.budget.take(text.len());
            self.total.take(text.len());
        }
        let (confirmed, named) = (Arc::clone(&self.confirmed), name.clone());
        let on_confirmed = Box::new(move || {
            assert!(confirmed.lock().unwrap().insert(named), "confirmed twice");
        });
        if kind == EntryKind::Permission {
            self.permissions.insert(name);
        } else {
            if self.poison.is_none() && self.number > 20 && self.rng.u8(..) < 2 {
                self.poison = Some(name.clone());
            }
            self.said.entry(session).or_default().push(name);
        }
        let frame = Frame { id: String::new(), text };
        let held = matches!(kind, EntryKind::TurnStarted | EntryKind::TurnCompleted);
        let after = held.then(|| Latch::new(self.waker.clone().into()));
        if let Some(latch) = &after {
            self.closed.push_back((name_of(&frame.text), latch.clone()));
        }
        self.window.push(lane, Entry { frame, kind, after, on_confirmed: Some(on_confirmed) });
    }

    /// Takes the next entry, or the second half of one begun before.
    fn send(&mut self) {
        self.window.release_held();
        if self.careful.is_some() {
            self.send_carefully();
        } else if self.unfinished {
            self.window.finish(self.now);
            self.unfinished = false;
        } else if let Some(Outgoing { text, careful }) = self.window.begin_next() {
            let name = name_of(&text);
            assert!(self.closed.iter().all(|(closed, _)| *closed != name), "sent too early");
            let confirmed = self.confirmed.lock().unwrap().contains(&name);
            assert!(!confirmed, "sent again after it was confirmed");
            self.on_wire.push_back(name.clone());
            if careful {
                assert_eq!(self.on_wire.len(), 1, "a suspect is alone");
                (self.careful, self.in_hand) = (Some((name, None)), false);
                return;
            }
            self.travelling.push_back(Wire::Text(name));
            if self.rng.u8(..) < 50 {
                self.unfinished = true;
            } else {
                self.window.finish(self.now);
            }
        }
    }

    /// A part of it and a ping, then the rest when the ping was answered.
    fn send_carefully(&mut self) {
        assert_eq!(self.window.is_in_hand(), self.in_hand);
        let Some((name, asked)) = &mut self.careful else { return };
        if self.in_hand {
            self.travelling.push_back(Wire::Text(name.clone()));
            self.careful = None;
            self.window.finish(self.now);
        } else if asked.is_none() {
            let payload = self.window.ask(self.now);
            *asked = Some(u64::from_be_bytes(payload));
            self.travelling.push_back(Wire::Ping(payload));
        }
    }

    /// As the journal does: in the order in which it was told.
    fn open(&mut self) {
        if let Some((_, latch)) = self.closed.pop_front() {
            latch.open();
        }
    }

    fn ping(&mut self) {
        // A ping between fragments reaches the hub before the entry is whole.
        let whole = if self.unfinished { self.travelling.pop_back() } else { None };
        self.travelling.push_back(Wire::Ping(self.window.ping(self.now)));
        self.travelling.extend(whole);
    }

    fn hub_handles(&mut self) {
        if self.unfinished && self.travelling.len() == 1 {
            return;
        }
        match self.travelling.pop_front() {
            Some(Wire::Ping(payload)) if self.rng.u8(..) > 40 => self.pongs.push_back(payload),
            Some(Wire::Text(text)) if Some(&text) == self.poison.as_ref() => {
                let loss = if self.rng.bool() { Loss::Broken } else { Loss::Rejected };
                self.cut(loss);
            }
            Some(Wire::Text(text)) => self.note(text),
            Some(Wire::Ping(_)) | None => {}
        }
    }

    fn note(&mut self, text: String) {
        if self.permissions.contains(&text) {
            assert!(self.seen.insert(text), "a permission request was sent twice");
            return;
        }
        if text.starts_with('{') {
            self.notices += usize::from(self.seen.insert(text));
            return;
        }
        let session: usize = text.split('/').next().unwrap().parse().unwrap();
        if self.seen.insert(text.clone()) {
            self.handled.entry(session).or_default().push(text);
        }
    }

    fn pong(&mut self) {
        if let Some(payload) = self.pongs.pop_front() {
            self.window.pong(&payload, self.now);
            if let Some((_, Some(asked))) = &self.careful {
                self.in_hand |= u64::from_be_bytes(payload) >= *asked;
            }
            let confirmed = self.confirmed.lock().unwrap();
            while self.on_wire.len() > self.window.unconfirmed().0 {
                let text = self.on_wire.pop_front().unwrap();
                // A notice is confirmed under the name of what it replaced.
                assert!(self.seen.contains(&text), "confirmed, but never handled");
                assert!(text.starts_with('{') || confirmed.contains(&text), "not called back");
            }
            self.in_hand &= !self.on_wire.is_empty();
        }
    }

    /// The rule in other words: who was first on the wire at the end of a third
    /// connection, which must have been its doing, is taken out.
    fn strike(&mut self, loss: Loss) {
        let Some(first) = self.on_wire.front() else { return };
        let strikes = self.strikes.entry(first.clone()).or_default();
        *strikes += 1;
        let guilty = self.in_hand || loss == Loss::Rejected;
        if !(*strikes >= 3 && guilty || *strikes >= 20) {
            return;
        }
        if first.starts_with('{') {
            *strikes = 0;
            self.replaced_notices += 1;
        } else if !self.permissions.contains(first) {
            for said in self.said.values_mut() {
                said.retain(|text| text != first);
            }
            self.set_aside.push(first.clone());
        }
    }

    fn cut(&mut self, loss: Loss) {
        if self.connected {
            if loss != Loss::Planned {
                self.strike(loss);
            }
            (self.careful, self.in_hand) = (None, false);
            self.on_wire.clear();
            // What the hub had received it may still handle; what was behind is gone.
            let arrived = self.rng.usize(..=self.travelling.len());
            let whole = self.travelling.len() - usize::from(self.unfinished);
            let rest: Vec<Wire> = self.travelling.drain(..).take(arrived.min(whole)).collect();
            for wire in rest {
                match wire {
                    Wire::Text(text) if Some(&text) == self.poison.as_ref() => break,
                    Wire::Text(text) => self.note(text),
                    Wire::Ping(_) => {}
                }
            }
            self.pongs.clear();
            self.unfinished = false;
            self.connected = false;
            self.window.lost(loss, self.now);
        }
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.window.connect(self.now);
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(..50));
        match self.rng.u8(..100) {
            0..25 => self.say(),
            25..55 => self.send(),
            55..65 => self.ping(),
            65..85 => self.hub_handles(),
            85..91 => self.pong(),
            91..93 => self.open(),
            93..95 => self.cut(Loss::Broken),
            95 => self.cut(Loss::Planned),
            _ => self.connect(),
        }
    }

    /// No more faults: everything must arrive.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.window.is_drained() {
                return;
            }
            self.now += Duration::from_millis(1);
            self.connect();
            self.open();
            self.send();
            if !self.unfinished && self.connected {
                self.ping();
            }
            while !self.travelling.is_empty() && !self.unfinished && self.connected {
                self.hub_handles();
                self.pong();
            }
        }
        panic!("not everything was delivered: {:?}", self.window.undelivered());
    }

    fn check(&self) {
        for (session, said) in &self.said {
            // What was set aside may have arrived all the same.
            let mut got = self.handled.get(session).cloned().unwrap_or_default();
            got.retain(|text| !self.set_aside.contains(text));
            assert_eq!(got, *said, "session {session}");
        }
        for lane in &self.lanes {
            assert_eq!(lane.budget.used(), 0);
        }
        assert_eq!(self.total.used(), 0);
        let spoken: usize = self.said.values().map(Vec::len).sum();
        let confirmed = self.confirmed.lock().unwrap();
        let confirmed = confirmed.iter().filter(|text| !self.permissions.contains(*text)).count();
        assert_eq!(confirmed, spoken + self.set_aside.len());
        // A notice that was set aside itself may have arrived, too.
        let told = self.set_aside.len();
        assert!((told..=told + self.replaced_notices).contains(&self.notices));
    }
}

/// Prints the seed of a life that went wrong.
pub struct Told(pub u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: set WINDOW_SEED to replay it alone", self.0);
        }
    }
}

/// So many seeds, or the one in `WINDOW_SEED`.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let replay: Option<u64> = std::env::var("WINDOW_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = replay.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let seeds = first..first + if replay.is_some() { 1 } else { count };
    eprintln!("seeds {seeds:?}");
    seeds
}

#[test]
fn random_lives_lose_nothing_reorder_nothing_and_repeat_nothing_confirmed() {
    for seed in seeds(300) {
        let _told = Told(seed);
        let mut life = Life::new(seed);
        for _ in 0..600 {
            life.step();
        }
        life.settle();
        life.check();
    }
}
