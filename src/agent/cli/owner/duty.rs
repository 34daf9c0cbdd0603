//! What the owner of a CLI process does about commands, output and time.

use std::time::Instant;

use super::Owner;
use crate::agent::cli::command::Command;
use crate::agent::cli::look::Input;
use crate::agent::cli::waiting::schedule::Schedule;
use crate::agent::process::child::Child;
use crate::agent::process::pump::Duty;
use crate::agent::process::stream::Stream;
use crate::config;
use crate::wake::Waker;

impl Duty for Owner {
    type Command = Command;

    fn started(&mut self, child: &mut Child) {
        let told = self.cli().turn_end == config::TurnEnd::Auto;
        self.input = if told { Input::of(child) } else { None };
        for line in self.files.drain(..) {
            child.pipes.stdin.push(line);
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
            Command::Join(listener) => self.audience.join(*listener),
            _ if child.is_leaving() && self.is_for_the_next(&command) => self.put_off(command),
            Command::Turn(message) => self.open_turn(message, child),
            Command::Input { piece, .. } | Command::File { piece, .. } => {
                child.pipes.stdin.push(piece);
                self.stirred(Instant::now());
            }
            Command::Stop { from } => {
                if self.turn.as_ref().is_none_or(|turn| turn.from == from) {
                    child.interrupt();
                }
            }
            Command::End { from } => {
                if self.turn.as_ref().is_some_and(|turn| turn.from == from) {
                    child.end();
                }
            }
            Command::IdleExpired { from, turn } => self.idle_expired(from, turn, child),
            Command::Reconfigure(endpoint) => self.reconfigure(endpoint),
            Command::Leave { from } => {
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
        self.audience.push(stream, bytes, now);
        if self.audience.due().is_none() {
            // It went out with this output.
            self.announce();
        }
        self.stirred(now);
    }

    fn has_room(&self) -> bool {
        self.audience.has_room()
    }

    fn wake_when_room(&self, waker: Waker) {
        self.audience.wake_when_room(&waker);
    }

    fn due(&self) -> Option<Instant> {
        let look = self.turn.as_ref().and_then(|turn| turn.looks.as_ref()).map(Schedule::next);
        [self.audience.due(), look].into_iter().flatten().min()
    }

    fn time(&mut self, child: &mut Child, now: Instant) {
        self.audience.send_due(now);
        self.look(child, now);
        self.announce();
    }
}
