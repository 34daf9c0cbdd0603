//! The reader of one connection: handshake, then message after message,
//! strictly in order, control frames included.
//!
//! It finishes with a message before it reads the next, so its pong for a ping
//! proves that everything before that ping was handled.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, after, bounded, select};
use httparse::Status;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::frame::{Direction, Frame};
use super::history::Event;
use super::peer::{self, Outgoing, Peer};
use super::script::{Incoming, Received, Verdict};
use super::shared::Shared;
use super::speech;
use crate::handshake::{self, Head, MOST_HEADERS, lists, value};
use crate::threads;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a last message may take to be written.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a writer may take to notice that its connection was cut.
const NOTICE: Duration = Duration::from_millis(100);
/// How long what is still coming is read away, so that it does not turn the
/// close into a reset which could swallow the reason.
const DRAIN: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    NoHandshake,
    Gone,
    Closed,
    Broken,
    Cut,
    Refused,
    TooBig,
    Silent,
}

impl Leave {
    fn why(self) -> &'static str {
        match self {
            Self::NoHandshake => "no WebSocket handshake",
            Self::Gone => "the runtime's side ended without a Close frame",
            Self::Closed => "closed by the runtime",
            Self::Broken => "not WebSocket any more",
            Self::Cut => "cut by the hub",
            Self::Refused => "hello refused",
            Self::TooBig => "frame above the limit",
            Self::Silent => "nothing read for two ping intervals",
        }
    }

    /// Whether what is queued still has to go out.
    fn says_goodbye(self) -> bool {
        matches!(self, Self::Closed | Self::Refused | Self::TooBig)
    }
}

/// Serves one connection until it ends. Everything it started has ended then.
pub(super) fn serve(hub: &Arc<Shared>, peer: &Arc<Peer>, queue: Receiver<Outgoing>) {
    let leave = match handshake(hub, peer) {
        Some(socket) => with_writer(hub, peer, queue, socket),
        None => Leave::NoHandshake,
    };
    hub.ended(peer.number, leave.why());
}

/// What the reader's WebSocket needs of a stream. It says nothing: the pongs and the
/// answer to a Close that its WebSocket makes go nowhere, and the reader says them
/// through the writer.
struct ReadHalf {
    peer: Arc<Peer>,
    /// The moment at which a silent runtime is given up.
    until: Option<Instant>,
}

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.peer.stream.set_read_timeout(Some(left))?;
        }
        (&self.peer.stream).read(buffer)
    }
}

impl Write for ReadHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn handshake(hub: &Shared, peer: &Arc<Peer>) -> Option<WebSocket<ReadHalf>> {
    peer.stream.set_nodelay(true).ok()?;
    let until = Some(Instant::now() + HANDSHAKE);
    let mut half = ReadHalf { peer: Arc::clone(peer), until };
    let Head { head, rest } = handshake::read(&mut half).ok()?;
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&head).ok().filter(|status| *status == Status::Complete(head.len()))?;
    let accept = handshake::accept(key(&request)?);
    let token = value(request.headers, "Authorization").and_then(|it| it.strip_prefix("Bearer "));
    let authorized = token.is_some_and(|token| hub.accepts(token));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    (&peer.stream).write_all(answer.as_bytes()).ok()?;
    half.until = None;
    peer.stream.set_read_timeout(None).ok()?;
    hub.history.push(Event::Opened { connection: peer.number, at: Instant::now(), authorized });
    let limit = Some(hub.frame_limit());
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    Some(WebSocket::from_partially_read(half, rest, Role::Server, Some(config)))
}

/// The key of a request that asks for a WebSocket (RFC 6455 section 4.2.1).
fn key<'a>(request: &httparse::Request<'_, 'a>) -> Option<&'a str> {
    let headers = &*request.headers;
    let asks = request.method == Some("GET")
        && request.version == Some(1)
        && lists(headers, "Connection", "upgrade")
        && lists(headers, "Upgrade", "websocket")
        && value(headers, "Sec-WebSocket-Version") == Some("13");
    value(headers, "Sec-WebSocket-Key").filter(|key| asks && handshake::is_key(key))
}

/// Runs the writer beside the reader, and ends it.
fn with_writer(
    hub: &Arc<Shared>,
    peer: &Arc<Peer>,
    queue: Receiver<Outgoing>,
    socket: WebSocket<ReadHalf>,
) -> Leave {
    let (running, ended) = bounded::<Infallible>(0);
    let ping_every = hub.options.ping_every;
    let writer = threads::spawn(format!("loopback-writer-{}", peer.number), {
        let peer = Arc::clone(peer);
        move || {
            peer::write_all(&peer, &queue, ping_every);
            drop(running);
        }
    });
    let Ok(writer) = writer else { return Leave::Broken };

    let leave = Reader { hub, peer, socket }.read();
    if leave.says_goodbye() {
        peer.finish();
        let _ = ended.recv_timeout(FAREWELL);
    }
    if leave == Leave::TooBig {
        drain(peer);
    }
    peer.hang_up();
    if ended.recv_timeout(NOTICE) == Err(RecvTimeoutError::Timeout) {
        // It hangs in a full socket. Nothing can leave that one, so no FIN gets
        // ahead of a reset here.
        let _ = peer.stream.shutdown(Shutdown::Both);
    }
    let _ = writer.join();
    leave
}

fn drain(peer: &Peer) {
    let _ = peer.stream.shutdown(Shutdown::Write);
    let until = Instant::now() + DRAIN;
    let mut half = vec![0; 64 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || peer.stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match (&peer.stream).read(&mut half) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

struct Reader<'a> {
    hub: &'a Arc<Shared>,
    peer: &'a Arc<Peer>,
    socket: WebSocket<ReadHalf>,
}

impl Reader<'_> {
    fn read(mut self) -> Leave {
        loop {
            // Only whole messages and control frames count as a sign of life.
            self.socket.get_mut().until =
                self.hub.options.ping_every.map(|every| Instant::now() + 2 * every);
            let message = self.socket.read();
            if self.peer.is_gone() {
                return Leave::Cut;
            }
            let done = match message {
                Ok(Message::Text(text)) => self.text(text),
                Ok(Message::Ping(content)) => self.ping(content),
                Ok(Message::Close(frame)) => {
                    self.peer.close(frame);
                    Some(Leave::Closed)
                }
                // Nobody may send binary messages; hubs skip what they do not know.
                Ok(Message::Binary(_) | Message::Pong(_) | Message::Frame(_)) => None,
                Err(error) => Some(self.failed(&error)),
            };
            if let Some(leave) = done {
                return leave;
            }
        }
    }

    fn failed(&self, error: &Error) -> Leave {
        match error {
            Error::Capacity(_) => {
                let code = CloseCode::Size;
                self.peer.close(Some(CloseFrame { code, reason: "read limit exceeded".into() }));
                Leave::TooBig
            }
            Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Leave::Silent
            }
            Error::Io(_)
            | Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
                Leave::Gone
            }
            _ => Leave::Broken,
        }
    }

    /// Asks the script, and does the waiting it wants. `None`: the connection ends.
    fn judge(&self, what: Received<'_>) -> Option<Verdict> {
        let Some(script) = self.hub.script() else { return Some(Verdict::Handle) };
        let incoming =
            Incoming { connection: self.peer.number, what, hub: self.hub, peer: self.peer };
        let verdict = script(&incoming);
        match &verdict {
            Verdict::Hold(until) => select! {
                recv(until) -> _ => {}
                recv(self.peer.gone()) -> _ => {}
            },
            Verdict::Delay(time) => select! {
                recv(after(*time)) -> _ => {}
                recv(self.peer.gone()) -> _ => {}
            },
            Verdict::Cut { reset } => self.peer.cut(*reset),
            Verdict::Handle | Verdict::Ignore | Verdict::Refuse(_) => {}
        }
        (!self.peer.is_gone()).then_some(verdict)
    }

    fn ping(&self, content: tungstenite::Bytes) -> Option<Leave> {
        let Some(verdict) = self.judge(Received::Ping(&content)) else { return Some(Leave::Cut) };
        self.hub.history.push(Event::Ping { connection: self.peer.number, at: Instant::now() });
        if !matches!(verdict, Verdict::Ignore) {
            self.peer.pong(content);
        }
        None
    }

    fn text(&self, text: tungstenite::Utf8Bytes) -> Option<Leave> {
        let frame = Arc::new(Frame::new(self.peer.number, Direction::FromRuntime, text));
        let Some(verdict) = self.judge(Received::Frame(&frame)) else { return Some(Leave::Cut) };
        let ignored = matches!(verdict, Verdict::Ignore);
        let first = !self.hub.has_said_hello(self.peer.number);
        if !ignored && !first {
            self.hub.follow(&frame);
        }
        self.hub.history.push(Event::Frame(Arc::clone(&frame)));
        if let Some(tap) = &self.hub.options.tap {
            select! {
                // Nobody listening any more is no reason to stop.
                send(tap, Arc::clone(&frame)) -> _ => {}
                recv(self.peer.gone()) -> _ => return Some(Leave::Cut),
            }
        }
        if ignored || !first {
            return None;
        }
        let refusal = match verdict {
            Verdict::Refuse(error) => Some(error),
            _ => self.hub.hello(self.peer, &frame).err(),
        };
        self.hub.say(self.peer, speech::hello_ack(refusal.as_deref()));
        refusal.map(|_| Leave::Refused)
    }
}
