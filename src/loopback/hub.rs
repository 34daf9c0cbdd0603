//! The hub as a whole: its socket, its connections, and what they share.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use log::warn;

use super::client::Client;
use super::frame::Frame;
use super::history::{Counts, Event, Keep, transcript};
use super::script::Script;
use super::shared::{Shared, lock};
use crate::protocol::Dialect;
use crate::threads;

/// What kind of hub it is.
#[derive(Clone)]
pub struct Options {
    /// The spelling it speaks.
    pub dialect: Dialect,
    /// The token it accepts.
    pub token: String,
    /// Largest file, in bytes: the frame limit follows from it.
    pub max_file_bytes: usize,
    /// Time between pings; a runtime from which nothing is read for two of them
    /// is dropped. Real newer hubs ping every 30 s, older ones never.
    pub ping_every: Option<Duration>,
    /// What is remembered.
    pub keep: Keep,
    /// Gets every message of the runtime when it is handled. A full channel
    /// holds the connection's reader, and so the runtime.
    pub tap: Option<Sender<Arc<Frame>>>,
}

impl Options {
    /// A hub of this dialect that accepts this token, remembers everything and never pings.
    pub fn new(dialect: Dialect, token: impl Into<String>) -> Self {
        Self {
            dialect,
            token: token.into(),
            max_file_bytes: 10 << 20,
            ping_every: None,
            keep: Keep::Everything,
            tap: None,
        }
    }
}

/// A running hub. Dropping it ends all of it.
pub struct LoopbackHub {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Mutex<Option<Listening>>,
}

/// The accept thread and how it is told to end.
struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl LoopbackHub {
    /// Starts a hub on a free port of the loopback interface.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options));
        let listening = Mutex::new(Some(listen(listener, Arc::clone(&shared))?));
        Ok(Self { shared, address, listening })
    }

    /// The address of the hub's socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a runtime configures as `hub.url`.
    pub fn url(&self) -> String {
        format!("ws://{}/ws/runtime", self.address)
    }

    /// Somebody who uses this hub. Cheap, and as many as wanted.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.shared))
    }

    /// Lets `script` judge each message from now on; `None`: as real hubs do.
    pub fn set_script(&self, script: Option<Script>) {
        *lock(&self.shared.script) = script;
    }

    /// Accepts this token as well.
    pub fn allow_token(&self, token: &str) {
        self.shared.allow_token(token);
    }

    /// Refuses this token from now on. Who is connected with it stays.
    pub fn forbid_token(&self, token: &str) {
        self.shared.forbid_token(token);
    }

    /// Everything that is remembered of what happened, in order.
    pub fn events(&self) -> Vec<Event> {
        self.shared.history.events()
    }

    /// The text messages among the events, in order.
    pub fn frames(&self) -> Vec<Arc<Frame>> {
        self.events().iter().filter_map(Event::frame).cloned().collect()
    }

    /// The same for a person: a line each, with the time since the first.
    pub fn transcript(&self) -> String {
        transcript(&self.events())
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.history.counts()
    }

    /// Ends every connection, with a reset or with a plain close, and waits
    /// until they are gone. Runtimes may come back at once.
    pub fn drop_connections(&self, reset: bool) {
        self.shared.drop_connections(reset);
    }

    /// The hub goes away: nobody listens any more, every connection is closed.
    /// Sessions and history stay, as in a real hub's database.
    pub fn go_down(&self) {
        let Some(listening) = lock(&self.listening).take() else { return };
        listening.stop.store(true, Ordering::Release);
        // Nothing else ends a blocking `accept` on every platform.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        let _ = listening.thread.join();
        self.shared.drop_connections(false);
    }

    /// The hub is back, on the same port.
    ///
    /// # Errors
    /// When the port was taken by somebody else meanwhile.
    pub fn come_up(&self) -> io::Result<()> {
        let mut listening = lock(&self.listening);
        if listening.is_none() {
            let listener = TcpListener::bind(self.address)?;
            *listening = Some(listen(listener, Arc::clone(&self.shared))?);
        }
        Ok(())
    }
}

impl Drop for LoopbackHub {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl fmt::Debug for LoopbackHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackHub").field("address", &self.address).finish_non_exhaustive()
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Listening> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let thread = threads::spawn("loopback-accept", move || {
        for stream in listener.incoming() {
            if stopping.load(Ordering::Acquire) {
                return;
            }
            match stream {
                Ok(stream) => shared.welcome(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!("loopback hub accepts no more connections error={error}");
                    return;
                }
            }
        }
    })?;
    Ok(Listening { stop, thread })
}
