//! What the connections and clients of one hub share: who is connected, who is
//! registered, which sessions there are.
//!
//! No lock here is held across anything that blocks.

use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use log::warn;

use super::connection;
use super::frame::{Direction, Frame};
use super::history::{Event, History, Timeout};
use super::hub::Options;
use super::peer::Peer;
use super::registry::Registry;
use super::script::Script;
use super::sessions::{Session, Sessions};
use crate::protocol::Dialect;
use crate::threads;

/// Smallest frame limit of any hub, in bytes.
const LEAST_LIMIT: usize = 1 << 20;

/// All of it.
pub(super) struct Shared {
    pub options: Options,
    pub history: History,
    pub script: Mutex<Option<Script>>,
    state: Mutex<State>,
    /// Notified when somebody registers or goes.
    registered: Condvar,
}

struct State {
    /// Connections so far.
    count: u64,
    peers: HashMap<u64, Arc<Peer>>,
    readers: Vec<JoinHandle<()>>,
    registry: Registry,
    sessions: Sessions,
    tokens: HashSet<String>,
}

impl Shared {
    pub fn new(options: Options) -> Self {
        let state = State {
            count: 0,
            peers: HashMap::new(),
            readers: Vec::new(),
            registry: Registry::new(options.dialect),
            sessions: Sessions::new(),
            tokens: HashSet::from([options.token.clone()]),
        };
        let history = History::new(options.keep);
        let state = Mutex::new(state);
        Self { options, history, script: Mutex::default(), state, registered: Condvar::new() }
    }

    pub fn welcome(self: &Arc<Self>, stream: TcpStream) {
        let (peer, queue) = {
            let mut state = lock(&self.state);
            state.count += 1;
            let (peer, queue) = Peer::new(state.count, stream);
            state.peers.insert(peer.number, Arc::clone(&peer));
            (peer, queue)
        };
        let number = peer.number;
        let shared = Arc::clone(self);
        let reader = threads::spawn_large(format!("loopback-reader-{number}"), move || {
            connection::serve(&shared, &peer, queue);
        });
        let mut state = lock(&self.state);
        match reader {
            Ok(reader) => {
                state.readers.retain(|reader| !reader.is_finished());
                state.readers.push(reader);
            }
            Err(error) => {
                state.peers.remove(&number);
                warn!("loopback hub has no thread for a connection error={error}");
            }
        }
    }

    pub fn drop_connections(&self, reset: bool) {
        let (peers, readers) = {
            let mut state = lock(&self.state);
            (state.peers.drain().collect::<Vec<_>>(), std::mem::take(&mut state.readers))
        };
        for (_, peer) in peers {
            peer.cut(reset);
        }
        for reader in readers {
            let _ = reader.join();
        }
    }

    pub fn script(&self) -> Option<Script> {
        lock(&self.script).clone()
    }

    /// Largest frame a hub reads, in bytes.
    pub fn frame_limit(&self) -> usize {
        (self.options.max_file_bytes / 5 * 7 + 4096).max(LEAST_LIMIT)
    }

    /// Whether the token is one of those accepted now.
    pub fn accepts(&self, token: &str) -> bool {
        lock(&self.state).tokens.contains(token)
    }

    pub fn allow_token(&self, token: &str) {
        lock(&self.state).tokens.insert(token.to_owned());
    }

    pub fn forbid_token(&self, token: &str) {
        lock(&self.state).tokens.remove(token);
    }

    pub fn has_said_hello(&self, connection: u64) -> bool {
        lock(&self.state).registry.has_said_hello(connection)
    }

    /// Judges a first message, and registers its runtime. The error is the
    /// text of the refusal.
    pub fn hello(&self, peer: &Peer, frame: &Frame) -> Result<(), String> {
        if frame.kind() != "runtime.hello" {
            return Err("expected runtime.hello".to_owned());
        }
        let runtime = frame.text_of("runtime_id");
        if runtime.is_empty() || !self.accepts(frame.text_of("token")) {
            return Err("invalid runtime credentials".to_owned());
        }
        let registrations = match self.options.dialect {
            Dialect::Endpoint => frame.field("endpoints"),
            Dialect::Agent => frame.field("agents"),
        };
        let ids = registrations.as_array().into_iter().flatten();
        let ids = ids.filter_map(|one| one["id"].as_str().map(str::to_owned));
        let replaced = {
            let mut state = lock(&self.state);
            let replaced = state.registry.register(runtime, ids, peer.number);
            replaced.and_then(|number| state.peers.get(&number).cloned())
        };
        if let Some(replaced) = replaced {
            replaced.cut(false);
        }
        self.registered.notify_all();
        Ok(())
    }

    /// Follows what a handled message says of its session.
    pub fn follow(&self, frame: &Frame) {
        let Some(id) = frame.session() else { return };
        if let Some(session) = lock(&self.state).sessions.get_mut(id) {
            session.handled(self.options.dialect, frame);
        }
    }

    pub fn ended(&self, connection: u64, why: &'static str) {
        {
            let mut state = lock(&self.state);
            state.peers.remove(&connection);
            state.registry.ended(connection);
        }
        self.registered.notify_all();
        self.history.push(Event::Ended { connection, at: Instant::now(), why });
    }

    pub fn add_session(&self, id: &str, session: Session) {
        lock(&self.state).sessions.insert(id.to_owned(), session);
    }

    pub fn session(&self, id: &str) -> Option<Session> {
        lock(&self.state).sessions.get(id).cloned()
    }

    /// Puts a message into a connection's queue, and into the history first: an
    /// answer to it can only come after it.
    pub fn say(&self, peer: &Peer, text: String) {
        let text = tungstenite::Utf8Bytes::from(text);
        let frame = Frame::new(peer.number, Direction::ToRuntime, text.clone());
        self.history.push(Event::Frame(Arc::new(frame)));
        peer.say(text);
    }

    /// Says it to the runtime that has the endpoint; drops it where there is none.
    pub fn say_to(&self, endpoint: &str, text: String) {
        let peer = {
            let state = lock(&self.state);
            let number = state.registry.connection_of(endpoint);
            number.and_then(|number| state.peers.get(&number).cloned())
        };
        if let Some(peer) = peer {
            self.say(&peer, text);
        } else {
            let frame = Frame::new(0, Direction::ToRuntime, text.into());
            self.history.push(Event::Dropped(Arc::new(frame)));
        }
    }

    /// The connections of all registered runtimes.
    pub fn registered_peers(&self) -> Vec<Arc<Peer>> {
        let state = lock(&self.state);
        let numbers = state.registry.connections();
        numbers.iter().filter_map(|number| state.peers.get(number).cloned()).collect()
    }

    /// Waits until some runtime is registered, or until none is.
    pub fn wait_registered(&self, wanted: bool, deadline: Instant) -> Result<(), Timeout> {
        let mut state = lock(&self.state);
        while state.registry.connections().is_empty() == wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return Err(Timeout { seen: self.history.events() });
            }
            state = match self.registered.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Ok(())
    }
}

/// Nothing that holds one of the hub's locks can leave its data half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
