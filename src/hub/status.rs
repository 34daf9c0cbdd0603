//! What others may know of the connection at any moment.
//!
//! Counters are kept by the threads that count; the rest is written by the
//! supervisor at each change. Reading it disturbs nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::outbox::Budget;
use super::socket::Traffic;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// A dial is under way.
    Connecting,
    /// Registered with the hub.
    Connected,
    /// Waiting before the next dial.
    Waiting,
    /// As [`LinkState::Waiting`], after the hub refused the credentials.
    Refused,
    /// Shut down.
    Stopped,
}

/// A snapshot of the connection.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// Where it stands.
    pub state: LinkState,
    /// For how long.
    pub since: Duration,
    /// When the next dial begins, where one waits.
    pub next_dial: Option<Duration>,
    /// Age of the last pong of any connection.
    pub last_pong: Option<Duration>,
    /// Registrations after the first.
    pub reconnects: u64,
    /// Bytes received and sent, on the wire.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// Messages received and sent; a repetition counts again.
    pub messages_in: u64,
    /// See `messages_in`.
    pub messages_out: u64,
    /// Messages on the wire that are not confirmed.
    pub unconfirmed: usize,
    /// Their bytes.
    pub unconfirmed_bytes: usize,
    /// Bytes that may be on the wire unconfirmed.
    pub window: usize,
    /// Encoded bytes of all sessions that are not confirmed.
    pub buffered: usize,
    /// Messages of all sessions that are not confirmed.
    pub pending: usize,
    /// Why the last connection or dial failed.
    pub last_error: Option<String>,
}

/// What the hub's threads keep for [`LinkStatus`], and tell each other.
#[derive(Debug)]
pub struct Shared {
    epoch: Instant,
    /// Bytes of all connections.
    pub traffic: Arc<Traffic>,
    /// Whether the hub was seen to ping: only newer ones do.
    pub hub_pings: AtomicBool,
    /// Messages received.
    pub messages_in: AtomicU64,
    /// Messages sent.
    pub messages_out: AtomicU64,
    /// Messages on the wire that are not confirmed.
    pub unconfirmed: AtomicUsize,
    /// Their bytes.
    pub unconfirmed_bytes: AtomicUsize,
    /// Bytes that may be on the wire unconfirmed.
    pub window: AtomicUsize,
    /// Messages of all sessions that are not confirmed.
    pub pending: AtomicUsize,
    /// Sessions with an open turn.
    pub open_turns: AtomicUsize,
    /// Milliseconds from `epoch` to the last pong, plus one; 0 for none.
    last_pong: AtomicU64,
    total: Arc<Budget>,
    written: Mutex<Written>,
}

/// What the supervisor writes.
#[derive(Debug)]
struct Written {
    state: LinkState,
    since: Instant,
    next_dial: Option<Instant>,
    registrations: u64,
    last_error: Option<String>,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(total: Arc<Budget>) -> Self {
        let epoch = Instant::now();
        let written = Written {
            state: LinkState::Connecting,
            since: epoch,
            next_dial: None,
            registrations: 0,
            last_error: None,
        };
        Self {
            epoch,
            traffic: Arc::default(),
            hub_pings: AtomicBool::new(false),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            unconfirmed: AtomicUsize::new(0),
            unconfirmed_bytes: AtomicUsize::new(0),
            window: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            open_turns: AtomicUsize::new(0),
            last_pong: AtomicU64::new(0),
            total,
            written: Mutex::new(written),
        }
    }

    fn write(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The connection is in another state, for one that waits until then.
    pub fn set_state(&self, state: LinkState, next_dial: Option<Instant>) {
        self.write(|written| {
            if written.state != state {
                written.since = Instant::now();
            }
            written.state = state;
            written.next_dial = next_dial;
            written.registrations += u64::from(state == LinkState::Connected);
        });
    }

    /// A connection or a dial failed.
    pub fn set_error(&self, error: String) {
        self.write(|written| written.last_error = Some(error));
    }

    /// A pong came.
    pub fn pong(&self, at: Instant) {
        let age = at.saturating_duration_since(self.epoch).as_millis();
        self.last_pong.store(u64::try_from(age).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }

    /// What there is to know.
    pub fn snapshot(&self) -> LinkStatus {
        let now = Instant::now();
        let last_pong = self
            .last_pong
            .load(Ordering::Relaxed)
            .checked_sub(1)
            .map(|age| now.saturating_duration_since(self.epoch + Duration::from_millis(age)));
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let size = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        LinkStatus {
            state: written.state,
            since: now.saturating_duration_since(written.since),
            next_dial: written.next_dial.map(|at| at.saturating_duration_since(now)),
            last_pong,
            reconnects: written.registrations.saturating_sub(1),
            bytes_in: number(&self.traffic.received),
            bytes_out: number(&self.traffic.sent),
            messages_in: number(&self.messages_in),
            messages_out: number(&self.messages_out),
            unconfirmed: size(&self.unconfirmed),
            unconfirmed_bytes: size(&self.unconfirmed_bytes),
            window: size(&self.window),
            buffered: self.total.used(),
            pending: size(&self.pending),
            last_error: written.last_error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_shows_what_was_told() {
        let shared = Shared::new(Arc::new(Budget::new(10)));
        assert_eq!(shared.snapshot().last_pong, None);
        shared.set_state(LinkState::Connected, None);
        shared.set_error("cut".into());
        shared.set_state(LinkState::Connected, None);
        shared.pong(Instant::now());
        let status = shared.snapshot();
        assert_eq!((status.state, status.reconnects), (LinkState::Connected, 1));
        assert_eq!(status.last_error.as_deref(), Some("cut"));
        assert!(status.last_pong.unwrap() < Duration::from_secs(5));
    }
}
