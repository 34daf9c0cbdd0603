//! `generic-cli`: a long-running interactive process.
//!
//! A message is written to its input, with a final newline if it has none; its
//! turn ends when the process exits, waits for input again ([`waiting`]), or was
//! silent for `idle_timeout`. Output is forwarded whether or not a turn is open.
//!
//! What is to be done about the process is its [`owner`]'s business; here is only
//! the session's side of it. With `spawn_policy: per-session` the session's own thread
//! does that between its events ([`own`]); with `persistent` the endpoint has a thread
//! for it ([`shared`]), started on first use.

pub mod audience;
mod command;
#[cfg_attr(target_os = "linux", path = "look_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "look_elsewhere.rs")]
mod look;
mod own;
mod owner;
pub mod shared;
pub mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use self::audience::Listener;
use self::command::{Command, Message};
use self::own::OwnProcess;
use self::owner::Whose;
use self::shared::SharedProcesses;
use super::process::piece::Piece;
use super::process::start::Kit;
use super::{Agent, AgentContext, FileUse, StoredFile, TurnMessage};
use crate::config::{Cli, Endpoint, SpawnPolicy};
use crate::receive::Nap;
use crate::session::admission::Permit;
use crate::wake::Waker;

/// A CLI process, as a session reaches it.
trait Process: Send {
    /// Says something to its owner; `false`: there is none any more.
    fn tell(&mut self, command: Command) -> bool;
    /// See [`Agent::waker`].
    fn waker(&self) -> Option<Waker> {
        None
    }
    /// See [`Agent::attend`].
    fn attend(&mut self, _until: Option<Instant>, _nap: Nap<'_>) {}
}

/// One session's side of a CLI process.
struct CliAgent<P> {
    number: u64,
    process: P,
    /// What will hear the process once the session is announced.
    listener: Option<Box<Listener>>,
}

/// Starts the session's process, or finds the endpoint's. A process of its own runs
/// when this returns; what it says is held back until [`Agent::ready`].
///
/// # Errors
/// Why it cannot be started, in words for the user.
pub fn open(
    context: AgentContext,
    cli: &Cli,
    kit: &Kit,
    shared: &SharedProcesses,
) -> Result<Box<dyn Agent>, String> {
    let AgentContext { session_id, user_id, endpoint, output, events, number, upload_dir } =
        context;
    let listener = Some(Box::new(Listener::new(number, output, events)));
    if cli.spawn_policy == SpawnPolicy::Persistent {
        let uploads = upload_dir.as_deref().and_then(Path::parent);
        let process = shared.of(&endpoint, uploads, kit)?;
        // It may be there since before a push or a reload that nobody was attached to hear.
        process.send(Command::Reconfigure(endpoint));
        return Ok(Box::new(CliAgent { number, process, listener }));
    }
    let whose = Whose::Session { session_id, user_id, upload_dir };
    let process = OwnProcess::start(kit.clone(), endpoint, whose)?;
    Ok(Box::new(CliAgent { number, process, listener }))
}

impl<P: Process> Agent for CliAgent<P> {
    fn ready(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.process.tell(Command::Join(listener));
        }
    }

    fn message(&mut self, message: TurnMessage) {
        let TurnMessage { turn, content, permit, .. } = message;
        let piece = Piece { bytes: line(content), permit };
        self.process.tell(Command::Turn(Message { from: self.number, turn, piece }));
    }

    fn input(&mut self, content: String, permit: Permit) {
        let piece = Piece { bytes: line(content), permit };
        self.process.tell(Command::Input { from: self.number, piece });
    }

    fn stop(&mut self) {
        self.process.tell(Command::Stop { from: self.number });
    }

    fn force_stop(&mut self) -> bool {
        self.process.tell(Command::End { from: self.number })
    }

    fn idle_expired(&mut self, turn: u64) {
        self.process.tell(Command::IdleExpired { from: self.number, turn });
    }

    fn file(&mut self, file: &StoredFile) -> FileUse {
        // A comment to shells and most interpreters, and plain words to the rest.
        let text = format!("# uploaded file: {}\n", file.path.display());
        let piece = Piece { bytes: text.into_bytes(), permit: Permit::default() };
        self.process.tell(Command::File { from: self.number, piece });
        FileUse::Taken
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        self.process.tell(Command::Reconfigure(endpoint));
    }

    fn close(&mut self) {
        // Not announced yet: the listener has to be there to hear that it is over.
        self.ready();
        self.process.tell(Command::Leave { from: self.number });
    }

    fn waker(&self) -> Option<Waker> {
        self.process.waker()
    }

    fn attend(&mut self, until: Option<Instant>, nap: Nap<'_>) {
        self.process.attend(until, nap);
    }

    fn interrupts(&self) -> bool {
        true
    }

    fn announces(&self) -> bool {
        true
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
