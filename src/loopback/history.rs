//! What happened on the hub's side, in order, and waiting for more of it.
//!
//! A frame of the runtime enters the history when the hub handles it, so what
//! stands here is exactly what a real hub would have stored and shown.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::frame::{Direction, Frame};
use super::shared::lock;

/// Something that happened on the hub's side.
#[derive(Clone, Debug)]
pub enum Event {
    /// A WebSocket handshake was accepted.
    Opened {
        /// The connection's number.
        connection: u64,
        /// When.
        at: Instant,
        /// Whether an `Authorization: Bearer` header came with a valid token.
        authorized: bool,
    },
    /// A text message, either way.
    Frame(Arc<Frame>),
    /// A WebSocket ping of the runtime, handled.
    Ping {
        /// The connection's number.
        connection: u64,
        /// When.
        at: Instant,
    },
    /// A message to a runtime that is not there: never sent.
    Dropped(Arc<Frame>),
    /// A connection is over.
    Ended {
        /// The connection's number.
        connection: u64,
        /// When.
        at: Instant,
        /// Why, in words.
        why: &'static str,
    },
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> Instant {
        match self {
            Self::Opened { at, .. } | Self::Ping { at, .. } | Self::Ended { at, .. } => *at,
            Self::Frame(frame) | Self::Dropped(frame) => frame.at,
        }
    }

    /// The message, if it is one that was sent or handled.
    pub fn frame(&self) -> Option<&Arc<Frame>> {
        match self {
            Self::Frame(frame) => Some(frame),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longest text shown, in characters: a scene has to stay readable.
        const SHOWN: usize = 400;
        match self {
            Self::Opened { connection, authorized, .. } => {
                write!(f, "#{connection} opened authorized={authorized}")
            }
            Self::Ping { connection, .. } => write!(f, "#{connection} ping"),
            Self::Ended { connection, why, .. } => write!(f, "#{connection} ended: {why}"),
            Self::Frame(frame) | Self::Dropped(frame) => {
                let arrow = match (self, frame.direction) {
                    (Self::Dropped(_), _) => "-x",
                    (_, Direction::FromRuntime) => "<-",
                    (_, Direction::ToRuntime) => "->",
                };
                let text = frame.text();
                let cut = text.char_indices().nth(SHOWN).map_or(text.len(), |(index, _)| index);
                let shown = &text[..cut];
                write!(f, "#{} {arrow} {shown}", frame.connection)?;
                if shown.len() < text.len() {
                    write!(f, "… ({} bytes)", text.len())?;
                }
                Ok(())
            }
        }
    }
}

/// What a hub remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Every event.
    #[default]
    Everything,
    /// Every event but `agent.output`, which is only counted (for measurements).
    AllButOutput,
    /// Nothing but the counts (for a hub that runs as long as somebody types).
    Nothing,
}

/// What the runtime has said so far, in numbers. Counted in every [`Keep`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Text messages handled.
    pub frames: u64,
    /// Their bytes, encoded.
    pub bytes: u64,
    /// Pings handled.
    pub pings: u64,
    /// For each session: `agent.output` messages handled, and their encoded bytes.
    pub output: HashMap<String, (u64, u64)>,
}

/// What was waited for did not come in time.
#[derive(Debug)]
pub struct Timeout {
    /// Everything the hub remembers of what happened instead.
    pub seen: Vec<Event>,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the deadline passed; the hub saw {} events:", self.seen.len())?;
        f.write_str(&transcript(&self.seen))
    }
}

impl std::error::Error for Timeout {}

/// The events, a line each with the time since the first; of very many only both ends.
pub(super) fn transcript(events: &[Event]) -> String {
    const END: usize = 100;
    let mut text = String::new();
    let Some(start) = events.first().map(Event::at) else { return text };
    for (index, event) in events.iter().enumerate() {
        if index == END && events.len() > 2 * END {
            text.push_str("  …\n");
        }
        if index < END || index >= events.len().saturating_sub(END) {
            let since = event.at().saturating_duration_since(start).as_secs_f64();
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "  {since:9.4} {event}");
        }
    }
    text
}

/// The log of one hub. Shared by its connections and clients.
#[derive(Debug)]
pub(super) struct History {
    keep: Keep,
    log: Mutex<Log>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    counts: Counts,
    /// Threads in [`History::wait_for`]: nobody is notified where nobody waits.
    waiting: usize,
}

impl History {
    pub fn new(keep: Keep) -> Self {
        Self { keep, log: Mutex::default(), grown: Condvar::new() }
    }

    pub fn push(&self, event: Event) {
        let mut log = lock(&self.log);
        let keep = match self.keep {
            Keep::Everything => true,
            Keep::AllButOutput => !event.frame().is_some_and(|frame| frame.is("agent.output")),
            Keep::Nothing => false,
        };
        log.counts.count(&event);
        if keep {
            log.events.push(event);
            if log.waiting > 0 {
                self.grown.notify_all();
            }
        }
    }

    pub fn events(&self) -> Vec<Event> {
        lock(&self.log).events.clone()
    }

    pub fn counts(&self) -> Counts {
        lock(&self.log).counts.clone()
    }

    /// Gives every event, from the first, to `pick` until it picks one.
    pub fn wait_for<T>(
        &self,
        deadline: Instant,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, Timeout> {
        let mut seen = 0;
        loop {
            let Some(new) = self.after(seen, deadline) else {
                return Err(Timeout { seen: self.events() });
            };
            if let Some(picked) = new.iter().find_map(&mut pick) {
                return Ok(picked);
            }
            seen += new.len();
        }
    }

    /// The events behind the first `seen`, waiting for at least one; `None` at the deadline.
    fn after(&self, seen: usize, deadline: Instant) -> Option<Vec<Event>> {
        let mut log = lock(&self.log);
        while log.events.len() == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            log.waiting += 1;
            log = match self.grown.wait_timeout(log, left) {
                Ok((log, _)) => log,
                Err(poisoned) => poisoned.into_inner().0,
            };
            log.waiting -= 1;
        }
        Some(log.events[seen..].to_vec())
    }
}

impl Counts {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) if frame.direction == Direction::FromRuntime => {
                let bytes = frame.text().len() as u64;
                self.frames += 1;
                self.bytes += bytes;
                if frame.is("agent.output") {
                    let session = frame.session().unwrap_or_default();
                    if !self.output.contains_key(session) {
                        self.output.insert(session.to_owned(), (0, 0));
                    }
                    if let Some((frames, total)) = self.output.get_mut(session) {
                        *frames += 1;
                        *total += bytes;
                    }
                }
            }
            Event::Ping { .. } => self.pings += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Event {
        Event::Frame(Arc::new(Frame::new(1, Direction::FromRuntime, text.into())))
    }

    const OUTPUT: &str = r#"{"type":"agent.output","session_id":"outer",
        "payload":{"session_id":"inner","content":"x"}}"#;

    #[test]
    fn output_is_counted_even_where_it_is_not_kept() {
        let history = History::new(Keep::AllButOutput);
        history.push(said(OUTPUT));
        history.push(said(r#"{"type":"turn.completed"}"#));
        assert_eq!(history.events().len(), 1);
        assert_eq!(history.counts().frames, 2);
        assert_eq!(history.counts().output["inner"], (1, OUTPUT.len() as u64));
    }

    #[test]
    fn a_wait_ends_with_the_event_or_with_everything_seen() {
        let history = Arc::new(History::new(Keep::Everything));
        let wanted = |event: &Event| event.frame().filter(|f| f.is("turn.completed")).cloned();
        history.push(said(OUTPUT));

        let timeout = history.wait_for(Instant::now(), wanted).expect_err("nothing there");
        assert_eq!(timeout.seen.len(), 1);
        assert!(timeout.to_string().contains("agent.output"));

        let other = Arc::clone(&history);
        let pusher = std::thread::spawn(move || other.push(said(r#"{"type":"turn.completed"}"#)));
        let deadline = Instant::now() + Duration::from_secs(20);
        history.wait_for(deadline, wanted).expect("the event");
        pusher.join().expect("pusher");
    }
}
