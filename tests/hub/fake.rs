//! A hub that does exactly what a test tells it, and a runtime's link to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use amurg_runtime::config::{self, HubUrl};
use amurg_runtime::hub::outbox::{Entry, EntryKind, Lane};
use amurg_runtime::hub::proxy::ProxySettings;
use amurg_runtime::hub::{self, Heard, Hub, HubEvent, HubSettings, NoStore, Reader, Timing};
use amurg_runtime::protocol::inbound::Inbound;
use amurg_runtime::protocol::outbound::{self, Channel, Frame};
use amurg_runtime::secret::Secret;
use amurg_runtime::wake::time_left;
use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::poll;
use serde_json::{Value, json};
use socket2::SockRef;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket, accept_hdr_with_config};

/// No test waits longer than this for anything.
pub const LIMIT: Duration = Duration::from_secs(20);

pub const TOKEN: &str = "configured-token-5d41402a";

/// Listens on this machine; connections wait to be taken.
pub struct FakeHub {
    pub address: SocketAddr,
    connections: Receiver<TcpStream>,
}

impl FakeHub {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, connections) = unbounded();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, connections }
    }

    /// The next TCP connection, before anything was said on it.
    pub fn tcp(&self) -> TcpStream {
        let stream = self.connections.recv_timeout(LIMIT).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
        stream
    }

    /// Whether somebody connects within that time.
    pub fn is_dialled_within(&self, limit: Duration) -> bool {
        self.connections.recv_timeout(limit).is_ok()
    }

    /// The next connection, up to and with the hello.
    pub fn hello(&self) -> (Peer, Value) {
        Peer::hello(self.tcp())
    }

    /// The next connection, registered.
    pub fn registered(&self) -> Peer {
        Peer::registered(self.tcp())
    }
}

/// The hub's end of one connection.
pub struct Peer<S = TcpStream> {
    pub socket: WebSocket<S>,
    pub authorization: String,
}

impl<S: Read + Write> Peer<S> {
    pub fn upgrade(stream: S) -> Self {
        let mut authorization = String::new();
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let note = |request: &Request, response: Response| {
            let header = request.headers().get("authorization");
            authorization = header.map_or_else(String::new, |value| value.to_str().unwrap().into());
            Ok(response)
        };
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let socket = accept_hdr_with_config(stream, note, Some(config)).expect("a handshake");
        Self { socket, authorization }
    }

    /// Takes a connection up to and with the hello.
    pub fn hello(stream: S) -> (Self, Value) {
        let mut peer = Self::upgrade(stream);
        let hello = peer.read().expect("a hello");
        assert_eq!(hello["type"], "runtime.hello");
        (peer, hello)
    }

    /// Takes a connection and registers it.
    pub fn registered(stream: S) -> Self {
        let mut peer = Self::hello(stream).0;
        peer.ack();
        peer
    }

    #[allow(clippy::needless_pass_by_value, reason = "it is given a `json!`")]
    pub fn say(&mut self, kind: &str, payload: Value) {
        let text = json!({ "type": kind, "ts": "2026-01-01T00:00:00Z", "payload": payload });
        self.socket.send(Message::text(text.to_string())).expect("a living connection");
    }

    pub fn ack(&mut self) {
        self.say("hello.ack", json!({ "ok": true }));
    }

    /// The next message; pings are answered on the way. `None` at the end.
    pub fn read(&mut self) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("nothing came for {LIMIT:?}")
                }
                Err(_) => return None,
            }
        }
    }

    /// Reads and answers pings until the connection ends.
    pub fn read_to_end(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.read()).collect()
    }
}

impl Peer {
    /// Ends the connection with a reset, losing what is unread.
    pub fn reset(self) {
        let tcp = self.socket.get_ref();
        SockRef::from(tcp).set_linger(Some(Duration::ZERO)).expect("linger");
    }
}

/// Settings for a hub at that address. Times are short, so that tests are.
pub fn settings(address: SocketAddr) -> HubSettings {
    HubSettings {
        hub: config::Hub {
            url: HubUrl {
                text: format!("ws://{address}/ws/runtime"),
                tls: false,
                host: address.ip().to_string(),
                port: address.port(),
                path: "/ws/runtime".into(),
            },
            token: None,
            tls_skip_verify: false,
            tls_ca_file: None::<PathBuf>,
            tls_client_cert: None,
            tls_client_key: None,
            reconnect_interval: Duration::from_millis(20),
            max_reconnect_delay: Duration::from_millis(200),
        },
        token: Secret::new(TOKEN.into()),
        runtime_id: "test-runtime".into(),
        org_id: None,
        registrations: Arc::new([]),
        tokens: Arc::new(NoStore),
        proxies: ProxySettings::default(),
        largest_message: 33 << 20,
        timing: Timing::default(),
    }
}

/// What the link says.
#[derive(Debug)]
pub enum Event {
    Registered { first: bool },
    Message(Inbound),
    Lost,
}

/// A running link and what it says.
pub struct Runtime {
    pub hub: Hub,
    pub events: Receiver<Event>,
}

impl Runtime {
    pub fn start(settings: HubSettings) -> Self {
        Self::with_total(settings, 64 << 20)
    }

    pub fn with_total(settings: HubSettings, total: usize) -> Self {
        let (hub, link) = unread(settings, total);
        let (sender, events) = unbounded();
        let listener = move || link.iter().for_each(|event| listen(event, &sender));
        thread::Builder::new().name("listener".into()).spawn(listener).expect("a thread");
        Self { hub, events }
    }

    pub fn event(&self) -> Event {
        self.events.recv_timeout(LIMIT).expect("an event")
    }

    pub fn expect_registered(&self) {
        assert!(matches!(self.event(), Event::Registered { .. }));
    }

    pub fn expect_lost(&self) {
        assert!(matches!(self.event(), Event::Lost));
    }

    pub fn expect_message(&self) -> Inbound {
        match self.event() {
            Event::Message(message) => message,
            other => panic!("not a message: {other:?}"),
        }
    }

    pub fn lane(&self, session: &str) -> Lane {
        self.hub.outbox().lane(session.into(), 10 << 20)
    }

    /// Waits until a condition on the status holds. Looks again and again,
    /// because a status is nothing that wakes.
    pub fn until(&self, what: &str, holds: impl Fn(&hub::LinkStatus) -> bool) {
        let start = Instant::now();
        while !holds(&self.hub.status()) {
            assert!(start.elapsed() < LIMIT, "never: {what}: {:?}", self.hub.status());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A running link whose connections nobody reads, and what it says.
pub fn unread(settings: HubSettings, total: usize) -> (Hub, Receiver<HubEvent>) {
    capture_log();
    let (told, said) = unbounded();
    let ear = Arc::new(move |event| drop(told.send(event)));
    (hub::start(settings, ear, total).expect("threads"), said)
}

/// Hands on what the link says, and what its connection says to its end. A test that
/// is over hears no more of it.
fn listen(event: HubEvent, heard: &Sender<Event>) {
    let tell = |event| drop(heard.send(event));
    match event {
        HubEvent::Early(early) => early.map(Event::Message).for_each(tell),
        HubEvent::Registered { first, mut reader } => {
            tell(Event::Registered { first });
            loop {
                match reader.read() {
                    Heard::Message(message) => tell(Event::Message(message)),
                    Heard::Aside => {}
                    Heard::Nothing => wait(&mut reader),
                    Heard::End => return tell(Event::Lost),
                }
            }
        }
    }
}

fn wait(reader: &mut Reader) {
    let left = time_left(reader.deadline());
    let socket = reader.poll_fd().expect("it waits");
    // Interrupted: the next read finds nothing.
    let _ = poll(&mut [socket], left.as_ref());
    reader.look_again();
}

pub fn output(session: &str, number: usize, padding: usize) -> Entry {
    let content = format!("{number}:{}", "x".repeat(padding));
    entry(outbound::output(session, 1, &Channel::Stdout, &content), EntryKind::Output)
}

pub fn entry(frame: Frame, kind: EntryKind) -> Entry {
    Entry { frame, kind, after: None, on_confirmed: None }
}

/// The number that [`output`] put into a message.
pub fn number_of(message: &Value) -> usize {
    let content = message["payload"]["content"].as_str().expect("content");
    content.split(':').next().unwrap().parse().expect("a number")
}

/// Log lines of this process so far, from `info` on.
pub fn logged() -> Vec<String> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("amurg_runtime")
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
    fn flush(&self) {}
}

fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("the first logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
}
