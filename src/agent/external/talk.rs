//! What an adapter's thread says to a running adapter, and does between
//! commands, output and time.

use std::time::Instant;

use log::warn;

use super::attached::{Attached, OpenTurn};
use super::message::ToAdapter;
use super::owner::{Command, Message, Owner};
use crate::agent::process::child::Child;
use crate::agent::process::piece::Piece;
use crate::agent::process::pump::Duty;
use crate::agent::process::stream::Stream;
use crate::logging::Quoted;
use crate::session::admission::Permit;
use crate::wake::Waker;

/// Bytes an adapter may leave unread of what no permit bounds: sessions that come
/// and go, files, answers. A hub causes those without end; an adapter that leaves
/// so many is ended, or they would pile up.
const MOST_UNREAD: usize = 1024 * 1024;

impl Owner {
    fn greet(&mut self, session: Attached, child: &mut Child) {
        let line = session.greeting();
        self.sessions.push(session);
        self.tell(line, child);
    }

    /// Writes a line that no permit bounds.
    fn tell(&mut self, line: Vec<u8>, child: &mut Child) {
        write(child, line);
        if child.pipes.stdin.uncounted() > self.may_leave && !child.is_leaving() {
            self.give_up(child);
        }
    }

    /// Ends an adapter that does not read. The next message starts it again.
    fn give_up(&mut self, child: &mut Child) {
        warn!("adapter ended, it does not read endpoint={}", Quoted(&self.endpoint.id));
        child.pipes.stdin.close();
        child.end();
        for session in self.sessions.iter_mut().filter(|session| session.has_room()) {
            session.system(
                "The adapter was ended: it left more than 1 MiB of what it was told unread. \
                 The next message starts it again.",
            );
        }
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
            let line = ToAdapter::Stop { session_id: &session.session_id }.line();
            self.tell(line, child);
        }
    }

    fn answer(&mut self, from: u64, request_id: &str, approved: bool, child: &mut Child) {
        let Some(session) = self.session(from) else { return };
        if !session.is_answer(request_id) {
            return;
        }
        let session_id = &session.session_id;
        let line = ToAdapter::PermissionResponse { session_id, request_id, approved }.line();
        self.tell(line, child);
    }
}

fn write(child: &mut Child, line: Vec<u8>) {
    child.pipes.stdin.push(Piece { bytes: line, permit: Permit::default() });
}

impl Duty for Owner {
    type Command = Command;

    fn started(&mut self, child: &mut Child) {
        self.may_leave = usize::MAX;
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
        // Of that it had no time to read anything yet.
        self.may_leave = child.pipes.stdin.uncounted() + MOST_UNREAD;
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
            Command::File { line, .. } => self.tell(line, child),
            Command::Reconfigure(endpoint) => self.reconfigure(endpoint),
            Command::Leave { from } => {
                let line = self.session(from).map(|session| {
                    ToAdapter::SessionClose { session_id: &session.session_id }.line()
                });
                self.leave(from);
                if let Some(line) = line {
                    self.tell(line, child);
                }
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
            Stream::Stdout => self.with_lines(now, |lines, each| lines.push_while(bytes, each)),
            Stream::Stderr => self.last_words.push(bytes, &self.endpoint.id),
        }
    }

    fn kept(&self) -> usize {
        self.lines.kept()
    }

    fn go_on(&mut self, now: Instant) {
        self.with_lines(now, |lines, each| lines.go_on(each));
    }

    fn has_room(&self) -> bool {
        // Several sessions share it, and none may hold it back.
        self.is_shared() || self.sessions.iter().all(Attached::has_room)
    }

    fn wake_when_room(&self, waker: Waker) {
        // Not only of those that are full: one that has room by now wakes at once.
        for session in &self.sessions {
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
