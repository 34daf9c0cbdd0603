//! `generic-cli`: a long-running interactive process.
//!
//! A message is written to its input, with a final newline if it has none; its
//! turn ends when the process exits, waits for input again ([`waiting`]), or was
//! silent for `idle_timeout`. Output is forwarded whether or not a turn is open.
//!
//! The process lives in its pipe thread ([`owner`]); here is only the session's
//! side of it. With `spawn_policy: per-session` each session has such a thread;
//! with `persistent` the endpoint has one ([`shared`]), started on first use.

pub mod audience;
mod command;
#[cfg_attr(target_os = "linux", path = "look_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "look_elsewhere.rs")]
mod look;
mod owner;
pub mod shared;
pub mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use self::audience::Listener;
use self::command::{Command, Message};
use self::owner::{Owner, Whose};
use self::shared::SharedProcesses;
use super::process::piece::Piece;
use super::process::pump::{self, Handle};
use super::process::start::Kit;
use super::{Agent, AgentContext, FileUse, StoredFile, TurnMessage};
use crate::config::{Cli, Endpoint, SpawnPolicy};
use crate::session::admission::Permit;
use crate::threads;

/// One session's side of a CLI process.
pub struct CliAgent {
    number: u64,
    owner: Handle<Command>,
    /// What will hear the process once the session is announced.
    listener: Option<Box<Listener>>,
    /// The pipe thread of a process of its own.
    thread: Option<JoinHandle<()>>,
}

impl CliAgent {
    /// Starts the session's process, or finds the endpoint's. A process of its
    /// own runs when this returns; what it says is held back until [`Agent::ready`].
    ///
    /// # Errors
    /// Why it cannot be started, in words for the user.
    pub fn open(
        context: AgentContext,
        cli: &Cli,
        kit: &Kit,
        shared: &SharedProcesses,
    ) -> Result<Self, String> {
        let AgentContext { session_id, user_id, endpoint, output, events, number, upload_dir } =
            context;
        let listener = Some(Box::new(Listener::new(number, output, events)));
        if cli.spawn_policy == SpawnPolicy::Persistent {
            let uploads = upload_dir.as_deref().and_then(Path::parent);
            let owner = shared.of(&endpoint, uploads, kit)?;
            // It may be there since before a push or a reload that nobody was attached to hear.
            owner.send(Command::Reconfigure(endpoint));
            return Ok(Self { number, owner, listener, thread: None });
        }
        let scarce = |error: std::io::Error| {
            format!("no thread or descriptor for the agent: {error}; close some sessions")
        };
        let (handle, inbox) = pump::channel().map_err(scarce)?;
        let name = format!("pipe {}", endpoint.id);
        let whose = Whose::Session { session_id, user_id, upload_dir };
        let owner = Owner::new(kit.clone(), endpoint, whose, inbox.waker());
        let child = owner.start().map_err(|error| error.to_string())?;
        // A thread's closure lies on the heap for as long as the thread lives, so it
        // holds a pointer. Should there be no thread, the child is dropped, and with it
        // everything of it.
        let parts = Box::new((owner, child, inbox));
        let run = move || {
            // In a block of its own, at whose end the place they were in is given back.
            let (owner, child, inbox) = {
                let parts = parts;
                *parts
            };
            owner.run(Some(child), &inbox);
        };
        let thread = threads::spawn(name, run).map_err(scarce)?;
        Ok(Self { number, owner: handle, listener, thread: Some(thread) })
    }
}

impl Agent for CliAgent {
    fn ready(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.owner.send(Command::Join(listener));
        }
    }

    fn message(&mut self, message: TurnMessage) {
        let TurnMessage { turn, content, permit, .. } = message;
        let piece = Piece { bytes: line(content), permit };
        self.owner.send(Command::Turn(Message { from: self.number, turn, piece }));
    }

    fn input(&mut self, content: String, permit: Permit) {
        let piece = Piece { bytes: line(content), permit };
        self.owner.send(Command::Input { from: self.number, piece });
    }

    fn stop(&mut self) {
        self.owner.send(Command::Stop { from: self.number });
    }

    fn force_stop(&mut self) -> bool {
        self.owner.send(Command::End { from: self.number })
    }

    fn idle_expired(&mut self, turn: u64) {
        self.owner.send(Command::IdleExpired { from: self.number, turn });
    }

    fn file(&mut self, file: &StoredFile) -> FileUse {
        // A comment to shells and most interpreters, and plain words to the rest.
        let text = format!("# uploaded file: {}\n", file.path.display());
        let piece = Piece { bytes: text.into_bytes(), permit: Permit::default() };
        self.owner.send(Command::File { from: self.number, piece });
        FileUse::Taken
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        self.owner.send(Command::Reconfigure(endpoint));
    }

    fn close(&mut self) {
        // Not announced yet: the listener has to be there to hear that it is over.
        self.ready();
        self.owner.send(Command::Leave { from: self.number });
    }

    fn interrupts(&self) -> bool {
        true
    }

    fn announces(&self) -> bool {
        true
    }
}

impl Drop for CliAgent {
    fn drop(&mut self) {
        self.owner.send(Command::Leave { from: self.number });
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already, and ends the process.
            let _ = thread.join();
        }
    }
}

/// The content as a program expects a line: with its newline.
fn line(content: String) -> Vec<u8> {
    let mut bytes = content.into_bytes();
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_gets_the_newline_it_lacks_and_no_other() {
        assert_eq!(line("ls".into()), b"ls\n");
        assert_eq!(line("ls\n".into()), b"ls\n");
        assert_eq!(line("a\n\n".into()), b"a\n\n");
        assert_eq!(line("a\r\n".into()), b"a\r\n");
        assert_eq!(line(String::new()), b"\n");
    }
}
