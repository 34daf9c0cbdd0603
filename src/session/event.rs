//! What can happen to a session, as one type, and the inbox it arrives in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admission::{Permit, SessionAdmission};
use super::facts::Facts;
use crate::agent::AgentEvent;
use crate::config::{Endpoint, Runtime};
use crate::protocol::inbound::FileUpload;
use crate::queue::Queue;
use crate::watchdog::Deadline;

/// Everything a session's worker waits for.
#[derive(Debug)]
pub enum Event {
    /// `user.message`
    Message(Incoming),
    /// `interactive.input`
    Input(Incoming),
    /// `stop.request`
    Stop,
    /// `session.create` for a session that is here already.
    Reattach,
    /// `permission.response`
    Permission {
        /// The question's id.
        request_id: String,
        /// The decision.
        approved: bool,
        /// Whether it holds for this tool from now on.
        always_allow: bool,
    },
    /// `file.upload`
    Upload(FileUpload, Permit),
    /// The configuration of the endpoint, or `runtime.*`, changed.
    Reconfigure(Arc<Endpoint>, Arc<Runtime>),
    /// The connection was lost: the hub denied what was pending.
    LinkLost,
    /// A deadline of this session passed.
    Deadline(Deadline),
    /// The agent has something to tell.
    Agent(AgentEvent),
    /// The session must end.
    Close(Ending),
}

/// A message with its place in the admission count.
#[derive(Debug)]
pub struct Incoming {
    /// Its id, repeated in `in_response_to`.
    pub message_id: Arc<str>,
    /// The text, verbatim.
    pub content: String,
    /// Given back once the agent has taken the text.
    pub permit: Permit,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The hub, or the operator by `control close`, asked for it.
    Asked,
    /// No activity for the session's limit.
    Inactive,
    /// It makes room for another one.
    Reclaimed,
    /// Its endpoint is gone from the configuration, or another kind of agent.
    Removed,
    /// The runtime stops.
    Shutdown,
}

/// The end of an inbox that is read. There is one for every session, so its places
/// hold pointers.
pub type Events = Arc<Queue<Box<Event>>>;

/// The way into a worker. Sending never blocks; what a hub can cause is bounded
/// by the session's admission and by flags that let a repeated word pass only once.
#[derive(Clone, Debug)]
pub struct Inbox {
    events: Events,
    admission: SessionAdmission,
    facts: Arc<Facts>,
}

impl Inbox {
    /// An inbox and the end its worker reads.
    pub fn new(admission: SessionAdmission, facts: Arc<Facts>) -> (Self, Events) {
        let events = Events::default();
        (Self { events: Arc::clone(&events), admission, facts }, events)
    }

    /// A place for a message of `bytes` bytes; `None`: too much waits already.
    pub fn admit(&self, bytes: usize) -> Option<Permit> {
        self.admission.admit(bytes)
    }

    /// Puts an event in. An ended worker simply does not hear it.
    pub fn tell(&self, event: Event) {
        self.events.push(Box::new(event));
        self.facts.worker.wake();
    }

    /// Passes a repeated `session.create` on, unless one is on its way already.
    pub fn reattach(&self) {
        if !self.facts.reattaching.swap(true, Ordering::Relaxed) {
            self.tell(Event::Reattach);
        }
    }

    /// Passes a stop on, unless one is on its way already.
    pub fn stop(&self) {
        if !self.facts.stopping.swap(true, Ordering::Relaxed) {
            self.tell(Event::Stop);
        }
    }
}
