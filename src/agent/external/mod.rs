//! `external`: an adapter that speaks JSON Lines, so that any program can be an
//! agent. `packaging/examples/echo_adapter.py` is one, in full.
//!
//! ```text
//! session.start, user.input, stop, … ──► stdin  ┌─────────┐ stdout ──► output, turn.complete, …
//!                                               │ adapter │
//!                                               └─────────┘ stderr ──► log, last words
//! ```
//!
//! The process lives in its pipe thread ([`owner`]); here is only the session's
//! side of it. What it says is in [`talk`], what it hears in [`spoken`]. With
//! `spawn_policy: per-session` each session has such a thread
//! and process; with `persistent` the endpoint has one, started by its first
//! message, and the sessions are told apart by `session_id`.

mod attached;
mod ground;
mod last_words;
pub mod lines;
pub mod message;
mod owner;
mod spoken;
mod talk;

use std::sync::Arc;
use std::thread::JoinHandle;

use self::attached::Attached;
use self::message::ToAdapter;
use self::owner::{Command, Message, Owner, Whose};
use super::process::inbox::{self, Handle};
use super::process::shared::{Close, Shared};
use super::process::start::Kit;
use super::{Agent, AgentContext, FileUse, StoredFile, TurnMessage};
use crate::config::{Endpoint, Profile, SpawnPolicy};
use crate::files::Files;
use crate::session::admission::Permit;
use crate::threads;

/// The adapters that outlive their sessions, by endpoint. Shared by all
/// sessions; end them with [`Shared::close`].
#[derive(Default)]
pub struct SharedAdapters(pub Shared<Command>);

impl Close for Command {
    fn close() -> Self {
        Self::Close
    }
}

/// One session's side of an adapter.
pub struct ExternalAgent {
    number: u64,
    session_id: Arc<str>,
    /// The turn that was opened last.
    turn: u64,
    owner: Handle<Command>,
    /// What is attached to the adapter once the session is announced.
    session: Option<Box<Attached>>,
    /// The pipe thread of an adapter of its own.
    thread: Option<JoinHandle<()>>,
}

impl ExternalAgent {
    /// Starts the session's adapter, or finds the endpoint's. One of its own
    /// runs when this returns; what it says is held back until [`Agent::ready`].
    ///
    /// # Errors
    /// Why it cannot be started, in words for the user.
    pub fn open(
        context: AgentContext,
        kit: &Kit,
        files: &Files,
        shared: &SharedAdapters,
    ) -> Result<Self, String> {
        let AgentContext { session_id, number, user_id, endpoint, output, events, upload_dir } =
            context;
        let attached =
            Attached::new(number, Arc::clone(&session_id), Arc::clone(&user_id), output, events);
        let scarce = |error: std::io::Error| {
            format!("no thread or descriptor for the adapter: {error}; close some sessions")
        };
        let name = format!("pipe {}", endpoint.id);
        let mut thread = None;
        let owner = if is_persistent(&endpoint) {
            let owner = shared.0.of(&endpoint.id, |alive| {
                let uploads =
                    files.endpoint_dir(&endpoint.id).map_err(|error| error.to_string())?;
                let (handle, inbox) = inbox::channel().map_err(scarce)?;
                let endpoint = Arc::clone(&endpoint);
                let (kit, files) = (kit.clone(), files.clone());
                let waker = inbox.waker();
                let owner = Owner::new(kit, files, endpoint, Whose::Shared, Some(uploads), waker);
                owner.check().map_err(|error| error.to_string())?;
                let run = move || {
                    let _alive = alive;
                    owner.run(None, &inbox);
                };
                threads::spawn_large(name, run).map_err(scarce)?;
                Ok(handle)
            })?;
            // It may be there since before a push or a reload that nobody was attached to hear.
            owner.send(Command::Reconfigure(endpoint));
            owner
        } else {
            let (handle, inbox) = inbox::channel().map_err(scarce)?;
            let whose = Whose::Session { session_id: Arc::clone(&session_id), user_id };
            let (kit, files, waker) = (kit.clone(), files.clone(), inbox.waker());
            let mut owner = Owner::new(kit, files, endpoint, whose, upload_dir, waker);
            let child = owner.start().map_err(|error| error.to_string())?;
            // Should there be no thread, the child is dropped, and with it everything of it.
            let run = move || owner.run(Some(child), &inbox);
            thread = Some(threads::spawn_large(name, run).map_err(scarce)?);
            handle
        };
        Ok(Self { number, session_id, turn: 0, owner, session: Some(Box::new(attached)), thread })
    }

    fn text(&self, content: String, permit: Permit) -> Message {
        Message { from: self.number, turn: self.turn, content, permit }
    }
}

fn is_persistent(endpoint: &Endpoint) -> bool {
    matches!(&endpoint.profile, Profile::External(external) if external.spawn_policy == SpawnPolicy::Persistent)
}

impl Agent for ExternalAgent {
    fn ready(&mut self) {
        if let Some(session) = self.session.take() {
            self.owner.send(Command::Join(session));
        }
    }

    fn message(&mut self, message: TurnMessage) {
        self.turn = message.turn;
        let text = self.text(message.content, message.permit);
        self.owner.send(Command::Turn(text));
    }

    fn input(&mut self, content: String, permit: Permit) {
        let text = self.text(content, permit);
        self.owner.send(Command::Input(text));
    }

    fn stop(&mut self) {
        self.owner.send(Command::Stop { from: self.number });
    }

    fn permission(&mut self, request_id: &str, approved: bool) {
        let request_id = request_id.to_owned();
        self.owner.send(Command::Answer { from: self.number, request_id, approved });
    }

    fn file(&mut self, file: &StoredFile) -> FileUse {
        let line = ToAdapter::FileInput {
            session_id: &self.session_id,
            file_name: &file.name,
            file_mime_type: &file.mime_type,
            file_path: &file.path.to_string_lossy(),
        }
        .line();
        self.owner.send(Command::File { from: self.number, line });
        FileUse::Taken
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        self.owner.send(Command::Reconfigure(endpoint));
    }

    fn close(&mut self) {
        // Not announced yet: the session has to be there to hear that it is over.
        self.ready();
        self.owner.send(Command::Leave { from: self.number });
    }
}

impl Drop for ExternalAgent {
    fn drop(&mut self) {
        self.owner.send(Command::Leave { from: self.number });
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already, and ends the process.
            let _ = thread.join();
        }
    }
}
