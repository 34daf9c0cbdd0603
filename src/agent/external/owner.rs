//! The pipe thread of an adapter: owns the process and the sessions attached to
//! it, and speaks the protocol with it.
//!
//! A turn ends by `turn.complete`, or with the adapter. The thread outlives its
//! process: the next message starts that again, in here, and greets it with
//! every session that is attached.
//!
//! Nothing an adapter writes is fatal. What it does not understand of the
//! protocol is logged and skipped.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};

use super::attached::Attached;
use super::ground::Ground;
use super::last_words::LastWords;
use super::lines::Lines;
use crate::agent::process::child::{self, Child, Ended, Rest};
use crate::agent::process::end::{self, GRACE};
use crate::agent::process::family::Family;
use crate::agent::process::inbox::Inbox;
use crate::agent::process::mark::Mark;
use crate::agent::process::plan::{Owner as Person, SpawnPlan, Stdio};
use crate::agent::process::pump;
use crate::agent::process::start::{Kit, StartError, Wanted};
use crate::config::{Endpoint, External, Profile};
use crate::files::Files;
use crate::logging::Quoted;
use crate::session::admission::Permit;
use crate::wake::Waker;

/// What sessions say to the owner of an adapter.
pub enum Command {
    /// This session is attached from now on.
    Join(Box<Attached>),
    /// A message: opens a turn.
    Turn(Message),
    /// More input for the session's turn.
    Input(Message),
    /// The session's turn is to end.
    Stop { from: u64 },
    /// The answer to a question of the adapter's.
    Answer { from: u64, request_id: String, approved: bool },
    /// A file was uploaded: the line that tells of it.
    File { from: u64, line: Vec<u8> },
    /// New processes follow this.
    Reconfigure(Arc<Endpoint>),
    /// This session ends, and a process of its own with it.
    Leave { from: u64 },
    /// End the process and everything of it.
    Close,
}

/// A text of one session.
pub struct Message {
    /// The session's number in this process.
    pub from: u64,
    /// The turn's number in the session.
    pub turn: u64,
    /// What the user wrote.
    pub content: String,
    /// Its place among what waits.
    pub permit: Permit,
}

/// Whose adapter it is.
#[derive(Clone, Debug)]
pub enum Whose {
    /// One session's.
    Session {
        /// `AMURG_SESSION_ID`
        session_id: Arc<str>,
        /// `AMURG_USER_ID`
        user_id: Arc<str>,
    },
    /// Every session's of the endpoint.
    Shared,
}

/// Owns one adapter process at a time, and the sessions attached to it.
pub struct Owner {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) whose: Whose,
    pub(super) sessions: Vec<Attached>,
    pub(super) lines: Lines,
    pub(super) files: Files,
    /// Where the running process stands.
    pub(super) ground: Option<Ground>,
    /// Lines of the running process that were skipped.
    pub(super) skipped: u64,
    kit: Kit,
    uploads: Option<PathBuf>,
    mark: Mark,
    /// Wakes this very thread.
    waker: Waker,
    pub(super) last_words: LastWords,
    /// The message a process is started for.
    pub(super) opening: Option<Message>,
    /// What came while the process was on its way out.
    pub(super) later: VecDeque<Command>,
    /// Bytes the running process may leave unread of what it is told unasked.
    pub(super) may_leave: usize,
    /// How the last process ended, in words, once one has.
    past: Option<String>,
    /// Daemons that earlier processes left behind; they end with the session.
    left: Vec<Family>,
    pub(super) closing: bool,
}

impl Owner {
    /// An owner without a process. `uploads` is the directory of its uploads,
    /// `waker` wakes the thread it will run in.
    pub fn new(
        kit: Kit,
        files: Files,
        endpoint: Arc<Endpoint>,
        whose: Whose,
        uploads: Option<PathBuf>,
        waker: Waker,
    ) -> Self {
        Self {
            endpoint,
            whose,
            sessions: Vec::new(),
            lines: Lines::default(),
            files,
            ground: None,
            skipped: 0,
            kit,
            uploads,
            mark: Mark::next(),
            waker,
            last_words: LastWords::default(),
            opening: None,
            later: VecDeque::new(),
            may_leave: 0,
            past: None,
            left: Vec::new(),
            closing: false,
        }
    }

    /// Looks whether the process could be started.
    ///
    /// # Errors
    /// In words for the user.
    pub fn check(&self) -> Result<(), StartError> {
        self.plan().map(|_| ())
    }

    /// Starts the process.
    ///
    /// # Errors
    /// In words for the user.
    pub fn start(&mut self) -> Result<Child, StartError> {
        let plan = self.plan()?;
        let child = self.kit.launch(&plan, self.waker.clone())?;
        self.ground = Some(Ground::of(&plan, &self.endpoint.security, self.uploads.as_deref()));
        Ok(child)
    }

    fn plan(&self) -> Result<SpawnPlan, StartError> {
        let owner = match &self.whose {
            Whose::Session { session_id, user_id } => Some(Person { session_id, user_id }),
            Whose::Shared => None,
        };
        self.kit.plan(&Wanted {
            endpoint: &self.endpoint,
            program: &self.external().program,
            owner,
            upload_dir: self.uploads.as_deref(),
            given: &[],
            mark: &self.mark,
            stdio: Stdio::Pipes,
        })
    }

    fn external(&self) -> &External {
        match &self.endpoint.profile {
            Profile::External(external) => external,
            // Checked where endpoints come in: by who opens an agent, and in `reconfigure`.
            _ => unreachable!("an adapter of another profile"),
        }
    }

    /// The whole life of the thread, with the process that was started already.
    pub fn run(mut self, mut child: Option<Child>, inbox: &Inbox<Command>) {
        // What a process says before its session is announced stays in its pipes.
        if let Some(child) = &mut child {
            match inbox.wait() {
                Some(Command::Join(session)) => self.sessions.push(*session),
                _ => self.close(child),
            }
        }
        loop {
            if let Some(child) = child.take() {
                let ended = pump::run(child, &mut self, inbox);
                self.ended(ended);
            }
            if self.closing {
                break;
            }
            let Some(command) = self.later.pop_front().or_else(|| inbox.wait()) else { break };
            child = self.without_process(command);
        }
        self.leave_nothing();
    }

    pub(super) fn session(&mut self, number: u64) -> Option<&mut Attached> {
        self.sessions.iter_mut().find(|session| session.number == number)
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.whose, Whose::Shared)
    }

    // Without a process.

    fn without_process(&mut self, command: Command) -> Option<Child> {
        match command {
            Command::Join(session) => self.sessions.push(*session),
            Command::Turn(message) => return self.start_for(message),
            Command::File { from, line } => {
                if let Some(session) = self.session(from) {
                    session.files.push(line);
                }
            }
            Command::Reconfigure(endpoint) => self.reconfigure(endpoint),
            Command::Leave { from } => self.leave(from),
            Command::Close => self.closing = true,
            // Of a turn, or a question, that ended with the process.
            Command::Input(_) | Command::Stop { .. } | Command::Answer { .. } => {}
        }
        None
    }

    fn start_for(&mut self, message: Message) -> Option<Child> {
        match self.start() {
            Ok(child) => {
                if let Some(how) = &self.past {
                    let text = format!("The adapter had ended{how}; it was started again.");
                    self.sessions.iter_mut().for_each(|session| session.system(&text));
                }
                self.opening = Some(message);
                Some(child)
            }
            Err(error) => {
                let endpoint = Quoted(&self.endpoint.id);
                warn!(
                    "adapter not started endpoint={endpoint} error={}",
                    Quoted(&error.to_string())
                );
                let note = Some(format!("The adapter could not be started: {error}"));
                if let Some(session) = self.session(message.from) {
                    session.refuse_turn(message.turn, None, note);
                }
                None
            }
        }
    }

    pub(super) fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        if matches!(endpoint.profile, Profile::External(_)) {
            self.endpoint = endpoint;
        }
    }

    pub(super) fn leave(&mut self, from: u64) {
        if !self.is_shared() {
            self.closing = true;
        } else if let Some(at) = self.sessions.iter().position(|session| session.number == from) {
            self.sessions.swap_remove(at).closed();
        }
    }

    // Its end.

    fn ended(&mut self, ended: Ended) {
        let Ended { exit_code, unread, rest } = ended;
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|line| self.take_line(&line, Instant::now()));
        let words = self.last_words.finish(&self.endpoint.id);
        let how = exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        info!(
            "adapter ended endpoint={} exit_code={} skipped_lines={}",
            Quoted(&self.endpoint.id),
            exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string()),
            self.skipped
        );
        let mut note = format!("The adapter ended{how} in mid-turn.");
        if !words.is_empty() {
            note = format!("{note} Its last words: {words}");
        }
        match rest {
            Rest::Nothing => {}
            Rest::Alive(family) => {
                child::forget_extinct(&mut self.left);
                self.left.push(family);
            }
            Rest::Unending(ended) => note = format!("{note} Of it, {ended}."),
        }
        let closing = self.closing;
        for session in &mut self.sessions {
            if unread > 0 {
                session.system(&format!(
                    "The session ended before the last {unread} bytes of the adapter could be taken."
                ));
            }
            session.forget_questions();
            session.end_turn(exit_code, Some(note.clone()).filter(|_| !closing));
        }
        self.past = Some(how);
        self.skipped = 0;
        self.ground = None;
    }

    pub(super) fn close(&mut self, child: &mut Child) {
        self.closing = true;
        child.abandon();
    }

    /// Ends what a process that is gone may have left, and tells every session.
    fn leave_nothing(mut self) {
        let kill_at = Instant::now() + GRACE;
        for family in self.left.drain(..) {
            let ended = end::end(family, kill_at);
            if ended.left > 0 {
                let endpoint = Quoted(&self.endpoint.id);
                warn!("session not ended whole endpoint={endpoint} reason=\"{ended}\"");
            }
        }
        self.sessions.drain(..).for_each(Attached::closed);
    }
}
