//! What an adapter's thread says to a running adapter, and does between
//! commands, output and time.

use std::sync::Arc;
use std::time::Instant;

use log::warn;

use super::attached::{Attached, OpenTurn};
use super::message::ToAdapter;
use super::owner::{Command, Message, Owner};
use crate::agent::process::pipes::Stream;
use crate::agent::process::pump::{Child, Duty};
use crate::agent::process::stdin::Piece;
use crate::logging::Quoted;
use crate::session::admission::Permit;
use crate::wake::Waker;

/// Answers an adapter that does not read may leave waiting; more are not written.
const MOST_UNREAD: usize = 1024;

impl Owner {
    fn greet(&mut self, session: Attached, child: &mut Child) {
        write(child, session.greeting());
        self.sessions.push(session);
    }

    fn open_turn(&mut self, message: Message, child: &mut Child) {
        let Some(session) = self.session(message.from) else { return };
        // Messages queue in the session; should one come all the same, none is without an end.
        session.end_turn(None, None);
        session.turn = Some(OpenTurn { number: message.turn, stopped: false });
        self.say(message, child);
    }

    fn say(&mut self, message: Message, child: &mut Child) {
        let Message { from, content, permit, .. } = message;
        let Some(session) = self.session(from) else { return };
        let session_id = &session.session_id;
        let bytes = ToAdapter::UserInput { session_id, content: &content }.line();
        child.pipes.stdin.push(Piece { bytes, permit });
    }

    /// Whether a command that comes while the adapter is on its way out is meant
    /// for the one that will be started: a message is, and what is said of it.
    fn is_for_the_next(&self, command: &Command) -> bool {
        match command {
            Command::Turn(_) | Command::File { .. } => true,
            Command::Input(Message { from, .. }) | Command::Stop { from } => self
                .later
                .iter()
                .any(|kept| matches!(kept, Command::Turn(message) if message.from == *from)),
            _ => false,
        }
    }

    fn stop(&mut self, from: u64, child: &mut Child) {
        if let Some(session) = self.session(from)
            && let Some(turn) = &mut session.turn
            && !std::mem::replace(&mut turn.stopped, true)
        {
            write(child, ToAdapter::Stop { session_id: &session.session_id }.line());
        }
    }

    fn answer(&mut self, from: u64, request_id: &str, approved: bool, child: &mut Child) {
        let Some(session) = self.session(from) else { return };
        if !session.is_answer(request_id) {
            return;
        }
        let session_id = &Arc::clone(&session.session_id);
        if child.pipes.stdin.backlog().is_none() {
            self.unread = 0;
        }
        self.unread += 1;
        if self.unread <= MOST_UNREAD {
            write(child, ToAdapter::PermissionResponse { session_id, request_id, approved }.line());
        } else if self.unread == MOST_UNREAD + 1 {
            warn!("adapter asks and does not read endpoint={}", Quoted(&self.endpoint.id));
        }
    }
}

fn write(child: &mut Child, line: Vec<u8>) {
    child.pipes.stdin.push(Piece { bytes: line, permit: Permit::default() });
}

impl Duty for Owner {
    type Command = Command;

    fn started(&mut self, child: &mut Child) {
        self.unread = 0;
        for session in &mut self.sessions {
            write(child, session.greeting());
            session.files.drain(..).for_each(|line| write(child, line));
        }
        if let Some(message) = self.opening.take() {
            self.open_turn(message, child);
        }
        for command in std::mem::take(&mut self.later) {
            self.command(command, child);
        }
    }

    fn command(&mut self, command: Command, child: &mut Child) {
        match command {
            _ if child.is_leaving() && self.is_for_the_next(&command) => {
                self.later.push_back(command);
            }
            Command::Join(session) => self.greet(*session, child),
            Command::Turn(message) => self.open_turn(message, child),
            Command::Input(message) => self.say(message, child),
            Command::Stop { from } => self.stop(from, child),
            Command::Answer { from, request_id, approved } => {
                self.answer(from, &request_id, approved, child);
            }
            Command::File { line, .. } => write(child, line),
            Command::Reconfigure(endpoint) => self.reconfigure(endpoint),
            Command::Leave { from } => {
                if let Some(session) = self.session(from) {
                    write(
                        child,
                        ToAdapter::SessionClose { session_id: &session.session_id }.line(),
                    );
                }
                self.leave(from);
                if self.closing {
                    child.abandon();
                }
            }
            Command::Close => self.close(child),
        }
    }

    fn deserted(&mut self, child: &mut Child) {
        self.close(child);
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], now: Instant) {
        match stream {
            Stream::Stdout => {
                let mut lines = std::mem::take(&mut self.lines);
                lines.push(bytes, |line| self.take_line(&line, now));
                self.lines = lines;
            }
            Stream::Stderr => self.last_words.push(bytes, &self.endpoint.id),
        }
    }

    fn has_room(&self) -> bool {
        // Several sessions share it, and none may hold it back.
        self.is_shared() || self.sessions.iter().all(Attached::has_room)
    }

    fn wake_when_room(&self, waker: Waker) {
        for session in self.sessions.iter().filter(|session| !session.has_room()) {
            session.wake_when_room(waker.clone());
        }
    }

    fn due(&self) -> Option<Instant> {
        self.sessions.iter().filter_map(Attached::due).min()
    }

    fn time(&mut self, _child: &mut Child, now: Instant) {
        self.sessions.iter_mut().for_each(|session| session.send_due(now));
    }
}
