//! The thread that reads one connection until it ends.
//!
//! It reads until nothing is there and only then polls: TLS and WebSocket both
//! buffer, and the socket may show nothing although a message is waiting. What
//! it must say (a pong) goes through the writer. Messages go to whoever handles
//! them, pongs to the writer. It decides nothing about the connection; how it
//! ended is the last thing it tells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};
use log::{debug, trace, warn};
use rustix::event::{PollFd, Timespec, poll};
use tungstenite::error::ProtocolError;
use tungstenite::{Error, Message};

use super::HubEvent;
use super::end::LinkEnd;
use super::link::{Link, ReadOutcome};
use super::outbox::{Command, Outbox};
use super::status::Shared;
use super::writer::LinkCommand;
use crate::logging::Quoted;
use crate::protocol::inbound::{self, Inbound};

/// How long a hub may take to end a connection after it said so.
const LAST_MOMENT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Code and reason of a close frame, where it has them.
type Farewell = Option<(u16, String)>;

/// The reader's dealings.
pub struct ReaderArgs {
    /// What it reads.
    pub link: Arc<Link>,
    /// Whether this is the process's first connection.
    pub first: bool,
    /// What came before the hub answered the hello.
    pub early: Vec<Inbound>,
    /// Where messages go.
    pub events: Sender<HubEvent>,
    /// Disconnected when messages are not to be handed on any more. Pongs still are.
    pub stop: Receiver<()>,
    /// The way to the writer.
    pub writer: Outbox,
    /// Counters.
    pub shared: Arc<Shared>,
}

/// Reads until the connection ends, and tells the writer how.
pub fn run(mut args: ReaderArgs) {
    let early = std::mem::take(&mut args.early);
    let (generation, first) = (args.link.generation, args.first);
    let reader = Reader { args };
    reader.hand_on(HubEvent::Registered { first });
    for message in early {
        reader.hand_on(HubEvent::Message(message));
    }
    let end = reader.read_all();
    reader.hand_on(HubEvent::Lost);
    reader.tell(LinkCommand::ReaderEnded { generation, end });
}

struct Reader {
    args: ReaderArgs,
}

impl Reader {
    fn read_all(&self) -> LinkEnd {
        let mut farewell = None;
        loop {
            let step = self.args.link.read();
            if step.needs_flush {
                self.tell(LinkCommand::Flush { generation: self.args.link.generation });
            }
            match step.outcome {
                ReadOutcome::Message(Message::Close(frame)) => {
                    // The hub ends the connection next; our reply is on its way.
                    farewell =
                        Some(frame.map(|frame| (frame.code.into(), frame.reason.to_string())));
                }
                ReadOutcome::Message(message) => self.handle(message),
                ReadOutcome::Wait(flags) => {
                    // After its farewell the hub has a moment to end the connection.
                    let limit = farewell.as_ref().map(|_| LAST_MOMENT);
                    let mut fds = [PollFd::new(&*self.args.link, flags)];
                    // Whatever else poll says, the next read finds out.
                    if poll(&mut fds, limit.as_ref()) == Ok(0) {
                        return LinkEnd::Closed(farewell.unwrap_or_default());
                    }
                }
                // Not text, but whole: what comes behind it can be read.
                ReadOutcome::Failed(Error::Utf8(error)) => {
                    warn!("message skipped, it is not UTF-8 error={}", Quoted(&error));
                }
                ReadOutcome::Failed(error) => return ended(&error, farewell),
            }
        }
    }

    fn handle(&self, message: Message) {
        match message {
            Message::Text(text) => self.decode(&text),
            Message::Pong(payload) => {
                let at = Instant::now();
                self.args.shared.pong(at);
                let (link, writer) = (&self.args.link, &self.args.writer);
                // A hub may send others without end.
                if !link.pongs.is_answer(&payload) {
                    return;
                }
                let command = LinkCommand::Pong { generation: link.generation, payload, at };
                // The pong of an idle link can wait until the writer is up anyway.
                if link.awaits_pong() {
                    writer.tell(Command::Link(command));
                } else {
                    writer.tell_later(Command::Link(command));
                }
            }
            Message::Ping(_) => {
                if !self.args.shared.hub_pings.swap(true, Ordering::Relaxed) {
                    debug!("the hub pings: it is a newer one");
                }
            }
            Message::Binary(data) => warn!("binary message skipped bytes={}", data.len()),
            Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn decode(&self, text: &str) {
        self.args.shared.messages_in.fetch_add(1, Ordering::Relaxed);
        match inbound::decode(text) {
            Ok(message) => {
                // The one message with a secret in it.
                if matches!(message, Inbound::TokenRefresh { .. }) {
                    trace!("message received type=runtime.token_refresh");
                } else {
                    trace!("message received text={}", Quoted(text));
                }
                self.hand_on(HubEvent::Message(message));
            }
            Err(error) => warn!("message skipped error={}", Quoted(&error.to_string())),
        }
    }

    /// Waits until the event is taken, or nobody takes events any more.
    fn hand_on(&self, event: HubEvent) {
        select! {
            send(self.args.events, event) -> _ => {}
            recv(self.args.stop) -> _ => {}
        }
    }

    fn tell(&self, command: LinkCommand) {
        self.args.writer.tell(Command::Link(command));
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
