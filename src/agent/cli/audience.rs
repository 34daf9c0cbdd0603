//! Who hears a process: its one session, or every session attached to it.
//!
//! A session of its own holds the process back when it is full. A shared
//! process must not stall the others for one: there, what a full session
//! cannot take is dropped for it, and it is told how much.

use std::sync::Arc;
use std::time::Instant;

use crate::agent::process::stream::Stream;
use crate::agent::{AgentEvent, AgentEvents, TurnEnd};
use crate::protocol::outbound::Channel;
use crate::session::output::SessionOutput;
use crate::session::stream::OutputStream;
use crate::wake::Waker;

/// One session that hears the process.
pub struct Listener {
    /// The session's number in this process.
    pub number: u64,
    output: Arc<SessionOutput>,
    events: AgentEvents,
    streams: [OutputStream; 2],
    /// Bytes it could not take since it was last told.
    dropped: u64,
}

impl Listener {
    /// A session that will hear everything from now on.
    pub fn new(number: u64, output: Arc<SessionOutput>, events: AgentEvents) -> Self {
        let streams = [output.stream(Channel::Stdout), output.stream(Channel::Stderr)];
        Self { number, output, events, streams, dropped: 0 }
    }

    /// Says something to the user.
    pub fn system(&mut self, text: &str) {
        self.output.system(text);
    }

    /// Its message is about to be given to the process.
    pub fn turn_begins(&mut self) {
        for stream in &mut self.streams {
            stream.begin_turn();
        }
    }

    /// Tells the end of a turn, after everything that was read before it.
    /// `whole`: nothing of a character cut short can follow any more.
    pub fn turn_ended(&mut self, end: TurnEnd, whole: bool, now: Instant) {
        self.tell_dropped();
        for stream in &mut self.streams {
            stream.end_turn(whole, now);
        }
        self.events.tell(AgentEvent::TurnEnded(end));
    }

    /// What was to go out with something else goes out now.
    pub fn hasten(&self) {
        self.output.hasten();
    }

    /// What a turn left running is over.
    pub fn at_rest(&self) {
        self.events.tell(AgentEvent::AtRest);
    }

    /// The session is over: nothing follows.
    pub fn closed(mut self) {
        self.tell_dropped();
        self.flush(true, Instant::now());
        self.events.tell(AgentEvent::Closed);
    }

    fn flush(&mut self, whole: bool, now: Instant) {
        for stream in &mut self.streams {
            if whole {
                stream.finish();
            } else {
                stream.flush(now);
            }
        }
    }

    fn push(&mut self, stream: Stream, bytes: &[u8], shared: bool, now: Instant) {
        if shared && !self.output.has_room() {
            self.dropped += bytes.len() as u64;
            self.output.drop_bytes(bytes.len());
            return;
        }
        self.tell_dropped();
        self.streams[stream as usize].push(bytes, now);
    }

    /// Says how much is missing, at the place where it is missing.
    fn tell_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.flush(true, Instant::now());
            self.output.system(&format!(
                "{dropped} bytes of output were dropped here: other sessions share the agent, and it does not wait for one."
            ));
        }
    }
}

/// Everybody who hears one process.
pub struct Audience {
    listeners: Vec<Listener>,
    /// Several sessions may listen, and none may hold the process back.
    shared: bool,
}

impl Audience {
    /// Nobody yet.
    pub fn new(shared: bool) -> Self {
        Self { listeners: Vec::new(), shared }
    }

    /// One more.
    pub fn join(&mut self, listener: Listener) {
        // Mostly there is only one.
        self.listeners.reserve_exact(1);
        self.listeners.push(listener);
    }

    /// One less.
    pub fn leave(&mut self, number: u64) -> Option<Listener> {
        let place = self.listeners.iter().position(|listener| listener.number == number)?;
        Some(self.listeners.swap_remove(place))
    }

    /// Whoever has this number.
    pub fn listener(&mut self, number: u64) -> Option<&mut Listener> {
        self.listeners.iter_mut().find(|listener| listener.number == number)
    }

    /// Everybody leaves.
    pub fn all_leave(&mut self) -> Vec<Listener> {
        std::mem::take(&mut self.listeners)
    }

    /// Says something to everybody.
    pub fn system(&mut self, text: &str) {
        for listener in &mut self.listeners {
            listener.system(text);
        }
    }

    /// Output, for everybody.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], now: Instant) {
        for listener in &mut self.listeners {
            listener.push(stream, bytes, self.shared, now);
        }
    }

    /// The process has ended: nothing completes a character any more.
    pub fn finish(&mut self) {
        for listener in &mut self.listeners {
            listener.flush(true, Instant::now());
        }
    }

    /// Whether the process may be read from.
    pub fn has_room(&self) -> bool {
        self.shared || self.listeners.iter().all(|listener| listener.output.has_room())
    }

    /// Wakes once there is room; at once if there is by now.
    pub fn wake_when_room(&self, waker: &Waker) {
        for listener in &self.listeners {
            listener.output.wake_when_room(waker.clone());
        }
    }

    /// When gathered output must go.
    pub fn due(&self) -> Option<Instant> {
        let streams = self.listeners.iter().flat_map(|listener| &listener.streams);
        streams.filter_map(OutputStream::due).min()
    }

    /// Sends gathered output whose time has come.
    pub fn send_due(&mut self, now: Instant) {
        let streams = self.listeners.iter_mut().flat_map(|listener| &mut listener.streams);
        for stream in streams {
            if stream.due().is_some_and(|due| due <= now) {
                stream.flush(now);
            }
        }
    }
}
