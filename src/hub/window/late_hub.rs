//! An older hub that handles an old connection late, against the window: no
//! order of events may leave a session *responding* for ever.
//!
//! Such a hub does not close the connection that a new one replaces. What it
//! had received there it may handle at any later time, within two minutes,
//! between the messages of the new connection. Its session is *responding* from
//! a `turn.started` to the next `turn.completed`, wherever they came from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::model::{Told, seeds};
use super::*;

const REPEAT: Duration = Duration::from_secs(120);

/// How late the old connection's reader may be, after its connection broke.
const LATEST: Duration = Duration::from_secs(115);

enum Wire {
    Started,
    Completed,
    Ping([u8; 8]),
}

struct World {
    rng: Rng,
    window: Window,
    lane: Arc<LaneShared>,
    start: Instant,
    now: Instant,
    connected: bool,
    turn_open: bool,
    turns: usize,
    /// What the hub received on the present connection and has not handled.
    present: VecDeque<Wire>,
    /// The same of each earlier one, with the moment until which it may be late.
    old: Vec<(Instant, VecDeque<Wire>)>,
    /// What a user sees: whether the next message would be refused.
    responding: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let session_id = "s".into();
        Self {
            rng: Rng::with_seed(seed),
            window: Window::new(Arc::new(Budget::new(1 << 20)), PingTimes::default(), REPEAT),
            lane: Arc::new(LaneShared::new(session_id, 1 << 20)),
            start: now,
            now,
            connected: false,
            turn_open: false,
            turns: 0,
            present: VecDeque::new(),
            old: Vec::new(),
            responding: false,
        }
    }

    fn say(&mut self, kind: EntryKind, text: &str) {
        let frame = Frame { id: String::new(), text: text.into() };
        self.window.push(&self.lane, Entry { frame, kind, after: None, on_confirmed: None });
    }

    /// A user's message begins a turn, if the hub lets it through; a turn ends.
    fn turn(&mut self) {
        if self.turn_open {
            self.turn_open = false;
            self.say(EntryKind::TurnCompleted, "completed");
        } else if self.connected && !self.responding {
            self.turn_open = true;
            self.turns += 1;
            self.say(EntryKind::TurnStarted, "started");
        }
    }

    fn send(&mut self) {
        while let Some(outgoing) = self.window.begin_next() {
            if outgoing.careful {
                let ping = self.window.ask(self.now);
                self.present.push_back(Wire::Ping(ping));
                self.window.pong(&ping, self.now);
            }
            self.window.finish(self.now);
            let started = outgoing.text.as_str() == "started";
            self.present.push_back(if started { Wire::Started } else { Wire::Completed });
        }
        if self.connected {
            self.present.push_back(Wire::Ping(self.window.ping(self.now)));
        }
    }

    fn handle_present(&mut self) {
        match self.present.pop_front() {
            Some(Wire::Ping(payload)) => {
                self.window.pong(&payload, self.now);
            }
            Some(wire) => self.responding = matches!(wire, Wire::Started),
            None => {}
        }
    }

    /// One of the old readers goes on by one message.
    fn handle_old(&mut self) {
        if self.old.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.old.len());
        match self.old[index].1.pop_front() {
            Some(Wire::Ping(_)) => {}
            Some(wire) => self.responding = matches!(wire, Wire::Started),
            None => drop(self.old.swap_remove(index)),
        }
    }

    fn lose(&mut self) {
        if self.connected {
            self.connected = false;
            self.window.lost(Loss::Broken, self.now);
            self.old.push((self.now + LATEST, std::mem::take(&mut self.present)));
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now += time;
        while let Some(index) = self.old.iter().position(|(latest, _)| *latest <= self.now) {
            for wire in self.old.swap_remove(index).1 {
                if !matches!(wire, Wire::Ping(_)) {
                    self.responding = matches!(wire, Wire::Started);
                }
            }
        }
        self.window.repeat_due(true, self.now);
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..20 => self.turn(),
            20..45 => self.send(),
            45..65 => self.handle_present(),
            65..80 => self.handle_old(),
            80..84 => self.lose(),
            84..92 if !self.connected => {
                self.connected = true;
                self.window.connect(self.now);
            }
            _ => {
                let time = Duration::from_secs(self.rng.u64(..20));
                self.pass_time(time);
            }
        }
    }

    /// The faults end; three minutes later the user must be able to go on.
    fn settle(&mut self) {
        if !self.connected {
            self.connected = true;
            self.window.connect(self.now);
        }
        if self.turn_open {
            self.turn();
        }
        for _ in 0..180 {
            self.send();
            while !self.present.is_empty() {
                self.handle_present();
            }
            self.pass_time(Duration::from_secs(1));
        }
        assert!(!self.responding, "locked out after {:?}", self.now - self.start);
        assert!(self.window.is_drained());
    }
}

#[test]
fn no_order_of_late_handling_locks_a_user_out() {
    for seed in seeds(500) {
        let _told = Told(seed);
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.settle();
        assert!(world.turns > 0, "the model does nothing");
    }
}
