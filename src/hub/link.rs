//! One registered connection, shared by its reader and the writer.
//!
//! A TLS stream cannot be read and written by two threads blindly. The socket
//! never blocks; each side holds the lock only for one such read or write and
//! never while it waits. It moves frames and knows nothing of what they say.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::pongs::Pongs;
use super::socket::{Stream, Traffic, WouldBlock};

/// Bytes gathered before they are written to the socket. tungstenite copies
/// each frame into this buffer once.
pub const BATCH: usize = 128 * 1024;

/// Bytes that are read at once: what puts a message together from many frames would go
/// on for as long as the hub sends them.
const PART: usize = 256 * 1024;

/// A registered connection.
pub struct Link {
    websocket: Mutex<WebSocket<Stream>>,
    /// Held by the side that has `websocket` next.
    next: Mutex<()>,
    tcp: Arc<TcpStream>,
    traffic: Arc<Traffic>,
    /// Which of the process's connections it is.
    pub generation: u64,
    /// Which pongs tell anything.
    pub pongs: Pongs,
    since: Instant,
    /// Microseconds from `since` to when something arrived last.
    heard: AtomicU64,
    awaits_pong: AtomicBool,
    /// Under TLS: a write waits for something to be read.
    write_waits: AtomicBool,
    is_cut: AtomicBool,
}

/// What a read brought.
pub struct ReadStep {
    /// A message, what to poll for before the next read, or the end.
    pub outcome: ReadOutcome,
    /// The writer must flush: what was to be said (a pong) found the socket
    /// full, or what a write waited for was read.
    pub needs_flush: bool,
}

/// See [`ReadStep`].
pub enum ReadOutcome {
    /// A message.
    Message(Message),
    /// A part of one; there may be more at once.
    Part,
    /// Nothing is there; poll for this.
    Wait(PollFlags),
    /// The WebSocket failed.
    Failed(Error),
}

/// What a write came to.
pub enum WriteOutcome {
    /// Taken.
    Done,
    /// Taken, but the socket is full: only flush from now on; poll for this.
    Blocked(PollFlags),
    /// Not taken: the buffer is full of pongs. Flush, then try this frame again.
    Full(Box<Frame>),
    /// The WebSocket failed.
    Failed(Error),
}

impl Link {
    /// Shares a connection whose socket no longer blocks.
    pub fn new(websocket: WebSocket<Stream>, generation: u64) -> Self {
        let socket = websocket.get_ref().socket();
        Self {
            tcp: Arc::clone(socket.tcp()),
            traffic: Arc::clone(socket.traffic()),
            websocket: Mutex::new(websocket),
            next: Mutex::new(()),
            generation,
            pongs: Pongs::default(),
            since: Instant::now(),
            heard: AtomicU64::new(0),
            awaits_pong: AtomicBool::new(false),
            write_waits: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, WebSocket<Stream>> {
        // Without a turn, a side that comes again at once keeps the other one out.
        let turn = self.next.lock();
        // A panic ends the process; until then there is nothing to protect.
        let websocket = self.websocket.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        websocket
    }

    /// Reads one message, if one is there, or a part of it.
    pub fn read(&self) -> ReadStep {
        let before = self.traffic.received.load(Ordering::Relaxed);
        let mut websocket = self.lock();
        websocket.get_mut().socket_mut().take_would_block();
        websocket.get_mut().socket_mut().allow(PART);
        let read = websocket.read();
        let would_block = websocket.get_mut().socket_mut().take_would_block();
        drop(websocket);
        let mut needs_flush = would_block.write;
        if self.traffic.received.load(Ordering::Relaxed) != before {
            needs_flush |= self.write_waits.swap(false, Ordering::SeqCst);
            let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.heard.store(micros, Ordering::Relaxed);
        }
        let outcome = match read {
            Ok(message) => ReadOutcome::Message(message),
            Err(Error::Io(error))
                if error.kind() == ErrorKind::WouldBlock && would_block.paused =>
            {
                ReadOutcome::Part
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                // Under TLS a read may have to write first.
                let writes = would_block.write && !would_block.read;
                ReadOutcome::Wait(if writes {
                    PollFlags::IN | PollFlags::OUT
                } else {
                    PollFlags::IN
                })
            }
            Err(error) => ReadOutcome::Failed(error),
        };
        ReadStep { outcome, needs_flush }
    }

    /// Puts a frame into the buffer, and the buffer into the socket when it is full.
    pub fn write(&self, frame: Frame) -> WriteOutcome {
        self.with_socket(|websocket| websocket.write(Message::Frame(frame)))
    }

    /// Puts everything buffered into the socket.
    pub fn flush(&self) -> WriteOutcome {
        self.with_socket(WebSocket::flush)
    }

    fn with_socket(
        &self,
        act: impl FnOnce(&mut WebSocket<Stream>) -> Result<(), Error>,
    ) -> WriteOutcome {
        let mut websocket = self.lock();
        websocket.get_mut().socket_mut().take_would_block();
        let outcome = act(&mut websocket);
        let WouldBlock { read, write, .. } = websocket.get_mut().socket_mut().take_would_block();
        // Set before the lock is let go: the reader cannot have read it away.
        self.write_waits.store(read && !write, Ordering::SeqCst);
        match outcome {
            Ok(()) => WriteOutcome::Done,
            // Under TLS a write may have to read first; polling for room to
            // write would then return at once, again and again.
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                WriteOutcome::Blocked(if read && !write { PollFlags::IN } else { PollFlags::OUT })
            }
            Err(Error::WriteBufferFull(message)) => match *message {
                Message::Frame(frame) => WriteOutcome::Full(Box::new(frame)),
                message => WriteOutcome::Failed(Error::WriteBufferFull(Box::new(message))),
            },
            Err(error) => WriteOutcome::Failed(error),
        }
    }

    /// Says goodbye as far as the socket takes it. What the hub still has to say
    /// can be read until it ends the connection, too.
    pub fn close(&self, reason: &'static str) {
        let mut websocket = self.lock();
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static(reason) };
        // A socket that is full or broken takes no goodbye.
        let _ = websocket.close(Some(frame));
        websocket.get_mut().finish();
    }

    /// Ends the connection in both directions, now. What has arrived can still be read;
    /// so can what a hub goes on sending, for which the system waits until it is closed.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let _ = self.tcp.shutdown(Shutdown::Both);
    }

    /// Whether it was ended from this side.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    /// The socket, for options that change during its life.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Bytes sent so far, to see whether a blocked write makes progress.
    pub fn bytes_sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::Relaxed)
    }

    /// When something arrived last.
    pub fn heard(&self) -> Instant {
        self.since + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    /// Whether the writer must be woken for a pong.
    pub fn awaits_pong(&self) -> bool {
        self.awaits_pong.load(Ordering::SeqCst)
    }

    /// The writer says whether it waits for pongs, before it looks into its
    /// channel for the last time and sleeps: then no pong can come unheard.
    pub fn set_awaits_pong(&self, awaits: bool) {
        self.awaits_pong.store(awaits, Ordering::SeqCst);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}
