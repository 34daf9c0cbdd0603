//! What the hub sees of a runtime, counted in the hub's own reader, and waiting
//! for more of it. Keeps nothing of what it counts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amurg_runtime::loopback::{Frame, Incoming, Received, Script, Verdict};

use super::Outcome;

/// The longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How much of a frame's end is searched for the marker: more than what stands
/// behind the content.
const TAIL: usize = 1024;

/// What was seen so far.
#[derive(Default)]
pub struct Seen {
    /// Each hello, with its moment.
    pub hellos: Vec<Instant>,
    /// Whether the first one registered its agents in the newer spelling.
    pub newer: bool,
    /// Sessions that were made.
    pub created: HashSet<String>,
    /// Errors of those that were not.
    pub refused: Vec<String>,
    /// Messages of output, by session.
    pub outputs: HashMap<String, u64>,
    /// Ids of messages whose turns are over.
    pub completed: HashSet<String>,
    /// Bytes of frames, with their WebSocket headers.
    pub wire_bytes: u64,
    /// The last word of a flood, while one runs. Nothing else wakes whoever
    /// waits: a flood must not pay for that.
    marker: Option<String>,
    /// When it came.
    marked: Option<Instant>,
}

/// Watches one hub.
#[derive(Default)]
pub struct Observer {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Observer {
    /// The way into the hub.
    pub fn script(self: &Arc<Self>) -> Script {
        let observer = Arc::clone(self);
        Arc::new(move |incoming: &Incoming<'_>| {
            if let Received::Frame(frame) = incoming.what {
                observer.frame(frame);
            }
            Verdict::Handle
        })
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is of interest but the end of a flood.
    pub fn expect(&self, marker: &str) {
        let mut seen = self.seen();
        seen.marked = None;
        seen.marker = Some(marker.to_owned());
    }

    /// Waits for the end of the flood; answers its moment.
    pub fn flooded(&self) -> Outcome<Instant> {
        let at = self.wait("the end of a flood", |seen| seen.marked);
        self.seen().marker = None;
        at
    }

    /// Waits until `pick` picks something of what was seen.
    pub fn wait<T>(&self, what: &str, mut pick: impl FnMut(&Seen) -> Option<T>) -> Outcome<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        loop {
            if let Some(picked) = pick(&seen) {
                return Ok(picked);
            }
            if let Some(error) = seen.refused.first() {
                return Err(format!("waiting for {what}: a session was refused: {error}").into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("waited in vain for {what}").into());
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn frame(&self, frame: &Frame) {
        let mut seen = self.seen();
        seen.count(frame);
        let wakes = seen.marker.is_none() || seen.marked.is_some();
        drop(seen);
        if wakes {
            self.changed.notify_all();
        }
    }
}

impl Seen {
    fn count(&mut self, frame: &Frame) {
        let text = frame.text();
        self.wire_bytes += (header(text.len()) + text.len()) as u64;
        match frame.kind() {
            "agent.output" => {
                if let Some(marker) = &self.marker {
                    let tail = &text.as_bytes()[text.len().saturating_sub(TAIL)..];
                    if tail.windows(marker.len()).any(|window| window == marker.as_bytes()) {
                        self.marked.get_or_insert_with(Instant::now);
                    }
                }
                if let Some(session) = frame.session() {
                    match self.outputs.get_mut(session) {
                        Some(count) => *count += 1,
                        None => {
                            self.outputs.insert(session.to_owned(), 1);
                        }
                    }
                }
            }
            "turn.completed" => {
                self.completed.insert(frame.text_of("in_response_to").to_owned());
            }
            "session.created" => {
                if frame.field("ok") == &serde_json::Value::Bool(true) {
                    self.created.extend(frame.session().map(str::to_owned));
                } else {
                    self.refused.push(frame.text_of("error").to_owned());
                }
            }
            "runtime.hello" => {
                self.hellos.push(Instant::now());
                self.newer = frame.field("agents").is_array();
            }
            _ => {}
        }
    }
}

/// Length of the header of a masked WebSocket frame.
fn header(length: usize) -> usize {
    match length {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    }
}
