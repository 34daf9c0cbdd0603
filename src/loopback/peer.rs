//! One accepted connection, as everybody but its reader sees it: a queue of
//! what to write, and a way to end it.
//!
//! The writer alone writes, so a full socket holds nobody else; the queue is
//! bounded, and who waits for room in it is let go when the connection ends.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, tick};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Message, Utf8Bytes};

use super::shared::lock;

/// Messages waiting for one connection's writer.
const QUEUE: usize = 1024;
/// How long a message waits for room in the queue before it is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Real hubs drop a pong that they cannot write within a second.
const PONG_PATIENCE: Duration = Duration::from_secs(1);

/// What a writer writes.
pub(super) enum Outgoing {
    /// A WebSocket message.
    Message(Message),
    /// Bytes that need be no valid frame.
    Bytes(Vec<u8>),
    /// The last thing: the writer ends here.
    Finish,
}

/// One accepted connection. The socket closes with the last handle.
#[derive(Debug)]
pub(super) struct Peer {
    /// Counted from 1 in each hub.
    pub number: u64,
    pub stream: TcpStream,
    outgoing: Sender<Outgoing>,
    /// Dropped by [`Peer::hang_up`]; everything that waits selects on `gone`.
    alive: Mutex<Option<Sender<Infallible>>>,
    gone: Receiver<Infallible>,
}

impl Peer {
    pub fn new(number: u64, stream: TcpStream) -> (Arc<Self>, Receiver<Outgoing>) {
        let (outgoing, queue) = bounded(QUEUE);
        let (alive, gone) = bounded(0);
        let alive = Mutex::new(Some(alive));
        (Arc::new(Self { number, stream, outgoing, alive, gone }), queue)
    }

    /// Queues a text message. False where the connection ended or takes nothing.
    pub fn say(&self, text: Utf8Bytes) -> bool {
        self.queue(Outgoing::Message(Message::Text(text)), PATIENCE)
    }

    /// Queues bytes that need be no valid frame.
    pub fn say_bytes(&self, bytes: Vec<u8>) -> bool {
        self.queue(Outgoing::Bytes(bytes), PATIENCE)
    }

    /// Queues the answer to a ping.
    pub fn pong(&self, content: tungstenite::Bytes) {
        self.queue(Outgoing::Message(Message::Pong(content)), PONG_PATIENCE);
    }

    /// Queues a Close frame and the end of the writer behind it.
    pub fn close(&self, frame: Option<tungstenite::protocol::CloseFrame>) {
        self.queue(Outgoing::Message(Message::Close(frame)), PATIENCE);
    }

    /// Lets the writer write what is queued, and end.
    pub fn finish(&self) {
        self.queue(Outgoing::Finish, PATIENCE);
    }

    fn queue(&self, outgoing: Outgoing, patience: Duration) -> bool {
        if self.is_gone() {
            return false;
        }
        // The usual case needs no clock.
        let Err(full) = self.outgoing.try_send(outgoing) else { return true };
        select! {
            send(self.outgoing, full.into_inner()) -> sent => sent.is_ok(),
            recv(self.gone) -> _ => false,
            recv(after(patience)) -> _ => false,
        }
    }

    /// Disconnected once the connection is to end at once.
    pub fn gone(&self) -> &Receiver<Infallible> {
        &self.gone
    }

    pub fn is_gone(&self) -> bool {
        lock(&self.alive).is_none()
    }

    /// Ends everything that waits for this connection.
    pub fn hang_up(&self) {
        *lock(&self.alive) = None;
    }

    /// Ends the connection now, whatever is queued: with a reset, or with a
    /// plain close. Its threads end soon after.
    pub fn cut(&self, reset: bool) {
        self.hang_up();
        if reset {
            // A socket that does not linger is reset when it is closed. Only its
            // reading half is shut, to wake the reader: the other half would send
            // a FIN first.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
            let _ = self.stream.shutdown(Shutdown::Read);
        } else {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// The writer of one connection: until its queue says so, the connection is
/// cut, or the socket fails.
pub(super) fn write_all(peer: &Peer, queue: &Receiver<Outgoing>, ping_every: Option<Duration>) {
    let mut socket = WebSocket::from_raw_socket(WriteHalf(peer), Role::Server, None);
    let pings = ping_every.map_or_else(never, tick);
    loop {
        let next = if let Ok(next) = queue.try_recv() {
            next
        } else {
            if socket.flush().is_err() {
                return;
            }
            select! {
                recv(queue) -> next => next.unwrap_or(Outgoing::Finish),
                recv(pings) -> _ => Outgoing::Message(Message::Ping(tungstenite::Bytes::new())),
                recv(peer.gone()) -> _ => return,
            }
        };
        if peer.is_gone() {
            return;
        }
        let written = match next {
            Outgoing::Message(message) => socket.write(message),
            Outgoing::Bytes(bytes) => {
                socket.flush().and_then(|()| Ok((&peer.stream).write_all(&bytes)?))
            }
            Outgoing::Finish => {
                let _ = socket.flush();
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// What the writer's WebSocket needs of a stream.
struct WriteHalf<'a>(&'a Peer);

impl Write for WriteHalf<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for WriteHalf<'_> {
    /// Never called: the other thread reads.
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}
