//! The reading side of one connection, for whoever handles what the hub says.
//!
//! There is no thread of its own between the socket and the one that decides what a
//! message is for. It reads until nothing is there and only then is the socket polled:
//! TLS and WebSocket both buffer, and the socket may show nothing although a message
//! is waiting. Pongs, and what must be said (a pong), go to the writer. It decides
//! nothing about the connection; how it ended is the last thing it tells.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{debug, trace, warn};
use rustix::event::{PollFd, PollFlags};
use tungstenite::error::ProtocolError;
use tungstenite::{Error, Message};

use super::end::LinkEnd;
use super::link::{Link, ReadOutcome};
use super::outbox::{Command, Outbox};
use super::status::Shared;
use super::writer::LinkCommand;
use crate::logging::Quoted;
use crate::protocol::inbound::{self, Inbound};

/// How long a hub may take to end a connection after it said so.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How long what has arrived may take to be handled, once the connection was cut. It is
/// less than what a socket holds; but a hub may go on sending for ever.
const REST: Duration = Duration::from_secs(2);

/// Code and reason of a close frame, where it has them.
type Farewell = Option<(u16, String)>;

/// See the module's head. Whoever has it must read whenever it does not wait, and to
/// the end: the writer hears of pongs, and of the connection's end, only through it.
/// Dropped before that, it cuts the connection.
pub struct Reader {
    link: Arc<Link>,
    /// What came before the hub answered the hello.
    early: VecDeque<Inbound>,
    writer: Outbox,
    shared: Arc<Shared>,
    /// What to poll for before the next read; nothing: read at once.
    waits_for: Option<PollFlags>,
    farewell: Option<Farewell>,
    /// When the hub has had its moment after the farewell, or the rest its time.
    until: Option<Instant>,
    ended: bool,
}

/// What a read brought.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(Inbound),
    /// Something that is for nobody but the link, or a part of a message.
    Aside,
    /// Nothing is there any more: wait for what [`Reader::poll_fd`] says.
    Nothing,
    /// The connection is over; the writer knows.
    End,
}

impl Reader {
    /// Of a registered connection, with what came before the hub answered the hello.
    pub(super) fn new(
        link: Arc<Link>,
        early: Vec<Inbound>,
        writer: Outbox,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            link,
            early: early.into(),
            writer,
            shared,
            waits_for: None,
            farewell: None,
            until: None,
            ended: false,
        }
    }

    /// Reads one message, if one is there. Never blocks, and reads a part of one at most.
    pub fn read(&mut self) -> Heard {
        if let Some(message) = self.early.pop_front() {
            return Heard::Message(message);
        }
        self.waits_for = None;
        if self.link.is_cut() && self.until.is_none() {
            self.until = Some(Instant::now() + REST);
        }
        if self.until.is_some_and(|until| until <= Instant::now()) {
            let farewell = self.farewell.take().unwrap_or_default();
            return self.end(LinkEnd::Closed(farewell));
        }
        let step = self.link.read();
        if step.needs_flush {
            self.tell(LinkCommand::Flush { generation: self.link.generation });
        }
        match step.outcome {
            ReadOutcome::Message(Message::Close(frame)) => {
                // The hub ends the connection next; our reply is on its way.
                self.until = Some(Instant::now() + LAST_MOMENT);
                self.farewell =
                    Some(frame.map(|frame| (frame.code.into(), frame.reason.to_string())));
                Heard::Aside
            }
            ReadOutcome::Message(message) => self.hear(message),
            ReadOutcome::Part => Heard::Aside,
            ReadOutcome::Wait(flags) => {
                self.waits_for = Some(flags);
                Heard::Nothing
            }
            // Not text, but whole: what comes behind it can be read.
            ReadOutcome::Failed(Error::Utf8(error)) => {
                warn!("message skipped, it is not UTF-8 error={}", Quoted(&error));
                Heard::Aside
            }
            ReadOutcome::Failed(error) => {
                let farewell = self.farewell.take();
                self.end(ended(&error, farewell))
            }
        }
    }

    /// What to poll for before the next read. `None`: there may be something already.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        Some(PollFd::new(&*self.link, self.waits_for?))
    }

    /// The wait is over: something has come, or the deadline has.
    pub fn look_again(&mut self) {
        self.waits_for = None;
    }

    /// When to read although nothing has come.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    fn hear(&self, message: Message) -> Heard {
        match message {
            Message::Text(text) => return self.decode(&text),
            Message::Pong(payload) => {
                let at = Instant::now();
                self.shared.pong(at);
                // A hub may send others without end.
                if self.link.pongs.is_answer(&payload) {
                    let generation = self.link.generation;
                    let command = LinkCommand::Pong { generation, payload, at };
                    // Where nobody waits for it, it can wait until the writer is up anyway.
                    self.writer.tell_later(Command::Link(command));
                    if self.link.awaits_pong() {
                        self.writer.hasten();
                    }
                }
            }
            Message::Ping(_) => {
                if !self.shared.hub_pings.swap(true, Ordering::Relaxed) {
                    debug!("the hub pings: it is a newer one");
                }
            }
            Message::Binary(data) => warn!("binary message skipped bytes={}", data.len()),
            Message::Close(_) | Message::Frame(_) => {}
        }
        Heard::Aside
    }

    fn decode(&self, text: &str) -> Heard {
        self.shared.messages_in.fetch_add(1, Ordering::Relaxed);
        match inbound::decode(text) {
            Ok(message) => {
                // The one message with a secret in it.
                if matches!(message, Inbound::TokenRefresh { .. }) {
                    trace!("message received type=runtime.token_refresh");
                } else {
                    trace!("message received text={}", Quoted(text));
                }
                Heard::Message(message)
            }
            Err(error) => {
                warn!("message skipped error={}", Quoted(&error.to_string()));
                Heard::Aside
            }
        }
    }

    fn end(&mut self, end: LinkEnd) -> Heard {
        self.ended = true;
        // Closed for the hub before anybody can think of the next one.
        self.link.cut();
        self.tell(LinkCommand::ReaderEnded { generation: self.link.generation, end });
        Heard::End
    }

    fn tell(&self, command: LinkCommand) {
        self.writer.tell(Command::Link(command));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            self.end(LinkEnd::Planned);
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("connection", &self.link.generation).finish_non_exhaustive()
    }
}

/// How the connection ended, in words for a log.
fn ended(error: &Error, farewell: Option<Farewell>) -> LinkEnd {
    match (error, farewell) {
        (_, Some(farewell)) => LinkEnd::Closed(farewell),
        (
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            None,
        ) => LinkEnd::Closed(None),
        (Error::Io(error), None) => LinkEnd::failed(error),
        (error, None) => LinkEnd::Broken(error.to_string()),
    }
}
