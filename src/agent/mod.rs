//! Agents: what a session talks to, behind one trait.
//!
//! `cli`, `job`, `http` and `external` implement [`Agent`]; `process` lies
//! beneath the three that run children. Nothing here knows of hubs or frames:
//! an agent writes output into its [`SessionOutput`]
//! and tells its session worker [`AgentEvent`]s.

pub mod cli;
pub mod confine;
pub mod excerpt;
pub mod executable;
pub mod external;
pub mod http;
pub mod job;
pub mod locate;
pub mod process;
pub mod workshop;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Endpoint;
use crate::receive::Nap;
use crate::session::admission::Permit;
use crate::session::output::SessionOutput;
use crate::wake::Waker;

/// What a session's worker may ask of its agent. No method blocks, except that
/// `message` may start a process (bounded by the launch deadline), and what
/// [`Agent::attend`] waits, starts and ends.
///
/// Every `message` is answered by exactly one [`AgentEvent::TurnEnded`] with the
/// same `turn`, after all output of that turn was given to the session's output.
pub trait Agent: Send {
    /// `session.created` has been said: output may flow from now on.
    fn ready(&mut self) {}
    /// Begins a turn. Called only when none is open, or when [`Agent::interrupts`] holds.
    fn message(&mut self, message: TurnMessage);
    /// Whether the agent sees to it that the turn's start, which lies in the
    /// session's output, goes out within some tens of milliseconds; best
    /// together with the first of its answer. Otherwise it goes out before.
    fn announces(&self) -> bool {
        false
    }
    /// More input for the running turn, verbatim. The permit is dropped once the
    /// agent has taken the text.
    fn input(&mut self, content: String, permit: Permit);
    /// `stop.request` for the running turn.
    fn stop(&mut self);
    /// The grace after [`Agent::stop`] is over and the turn still open: end the
    /// processes. False where the agent ends them by itself, or must not.
    fn force_stop(&mut self) -> bool {
        false
    }
    /// Nothing was written for `idle_timeout`: the turn is over, the process stays.
    fn idle_expired(&mut self, _turn: u64) {}
    /// The turn's longest run is over: end it.
    fn time_expired(&mut self, _turn: u64) {}
    /// The decision about an earlier [`AgentEvent::PermissionRequested`].
    fn permission(&mut self, _request_id: &str, _approved: bool) {}
    /// A file was uploaded and lies at `file.path`.
    fn file(&mut self, file: &StoredFile) -> FileUse;
    /// Limits or security changed; new turns and processes follow the new ones.
    fn reconfigure(&mut self, endpoint: Arc<Endpoint>);
    /// Ends everything that belongs to the session; [`AgentEvent::Closed`] follows.
    fn close(&mut self);
    /// What wakes the agent in [`Agent::attend`]; `None`: it has threads of its own.
    fn waker(&self) -> Option<Waker> {
        None
    }
    /// Where the agent has no thread of its own: does what it has to do, waits in
    /// `nap` until there is more of that, and returns after each such round; waits no
    /// longer than `until`, and not at all when something has come for the session.
    fn attend(&mut self, _until: Option<Instant>, _nap: Nap<'_>) {}
    /// Whether a new message ends the open turn and starts its own (`generic-cli`);
    /// otherwise it waits in the session's queue.
    fn interrupts(&self) -> bool {
        false
    }
}

/// A `user.message` on its way into an agent.
#[derive(Debug)]
pub struct TurnMessage {
    /// Number of the turn in this session; repeated in [`AgentEvent::TurnEnded`].
    pub turn: u64,
    /// The message's id, for `AMURG_MESSAGE_ID`.
    pub message_id: Arc<str>,
    /// The content, verbatim.
    pub content: String,
    /// The content's place among what waits; dropped once the agent has taken it.
    pub permit: Permit,
}

/// A file of the session's upload directory.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its safe base name.
    pub name: String,
    /// The type the browser gave.
    pub mime_type: String,
}

/// What became of an uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// The agent was, or will be, told of it.
    Taken,
    /// This agent cannot take files; the reason is for the user.
    Refused(String),
}

/// What an agent tells its session's worker.
#[derive(Debug)]
pub enum AgentEvent {
    /// The turn is over. All its output was given to the session's output before.
    TurnEnded(TurnEnd),
    /// Something the user should read, as a `system` line.
    Note(String),
    /// What [`TurnEnd::running`] spoke of runs no more.
    AtRest,
    /// An adapter asks for permission.
    PermissionRequested(PermissionRequest),
    /// Everything of the session has ended; the last event of an agent.
    Closed,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// The number given with the message.
    pub turn: u64,
    /// Exit code of the process, 128+n for signal n; `None` where there was none.
    pub exit_code: Option<i32>,
    /// Something the user should read about the end, as a `system` line before it.
    pub note: Option<String>,
    /// Something the message began may still run: only time ended the turn.
    pub running: bool,
}

/// An adapter's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRequest {
    /// The adapter's id of the question.
    pub request_id: String,
    /// What it wants to use.
    pub tool: String,
    /// What it wants to do.
    pub description: String,
    /// What it wants to do it to.
    pub resource: Option<String>,
}

/// What every agent is made from.
#[derive(Clone)]
pub struct AgentContext {
    /// Hub's id of the session.
    pub session_id: Arc<str>,
    /// Its number in this process, part of its processes' mark.
    pub number: u64,
    /// Whose session it is.
    pub user_id: Arc<str>,
    /// Its endpoint, with what was pushed.
    pub endpoint: Arc<Endpoint>,
    /// Where output goes.
    pub output: Arc<SessionOutput>,
    /// Where events go.
    pub events: AgentEvents,
    /// Where the session's uploads lie; made before the agent starts where it needs that
    /// ([`workshop::Workshop::needs_upload_dir`]), else with the first.
    pub upload_dir: Option<PathBuf>,
}

/// The agent's way to its session's worker. Never blocks.
#[derive(Clone)]
pub struct AgentEvents(Arc<dyn Fn(AgentEvent) + Send + Sync>);

impl AgentEvents {
    /// Wraps what takes an event to its worker.
    pub fn new(send: impl Fn(AgentEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Tells the worker.
    pub fn tell(&self, event: AgentEvent) {
        (self.0)(event);
    }
}
