//! One session: its agent, its turns, and what is said about them.
//!
//! A worker is a thread with one inbox, one event type and one loop. It decides what
//! a turn is, and says so. Output it never sees: the agent writes that straight into
//! the session's lane, from threads of its own or, while there is no event, from this
//! one ([`Agent::attend`]).
//!
//! # States
//!
//! | state | event | becomes | is said |
//! |---|---|---|---|
//! | opening | agent opened | idle | `session.created` ok, when it was asked for |
//! | opening | agent cannot open | ended | `session.created` with the error; the error as `system` line; waiting messages' ends |
//! | idle | message | turn | `turn.started` |
//! | idle | stop | idle | `stop.ack` (a command left over by an idle turn end is interrupted) |
//! | turn | message, agent queues | turn | nothing, or that the queue is full |
//! | turn | message, agent interrupts | turn | `turn.completed` of the old, `turn.started` of the new |
//! | turn | input | turn | nothing |
//! | turn | stop | turn | `stop.ack` |
//! | turn | agent's turn ended | idle, or turn of the next in the queue | `turn.completed` |
//! | turn | a limit of time passed | turn | what the agent says when it has ended |
//! | idle, turn | close, inactivity | closing | why, when it was not asked for |
//! | closing | agent closed | ended | `turn.completed` of an open turn, ends of waiting messages |

mod limits;
mod opening;
mod turns;
mod unwritten;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::info;

use self::unwritten::Unwritten;
use super::deadlines::Deadlines;
use super::event::{Ending, Event, Events, Inbox, Incoming};
use super::facts::Facts;
use super::notices;
use super::output::SessionOutput;
use super::permissions::Permissions;
use crate::agent::workshop::Workshop;
use crate::agent::{Agent, AgentEvent, FileUse};
use crate::config::{Endpoint, Runtime};
use crate::files::Files;
use crate::logging::Quoted;
use crate::protocol::inbound::FileUpload;
use crate::receive::{Nap, receive_parked};
use crate::resident;
use crate::state::Journal;
use crate::wake::doorbell::Attention;
use crate::watchdog::Reason;

/// Messages that may wait behind a running turn.
const QUEUE: usize = 64;
/// Events after which an agent without a thread of its own gets its turn, however many
/// more there are.
const EVENTS_IN_A_ROW: usize = 16;
/// How long a turn may go on after a stop before its processes are ended.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What every worker shares with the others.
#[derive(Clone)]
pub struct Shared {
    /// Where open turns are written down.
    pub journal: Journal,
    /// Where uploads are kept.
    pub files: Files,
    /// What agents are opened with.
    pub agents: Workshop,
}

/// What one worker is made from.
pub struct Args {
    /// Hub's id of the session.
    pub session_id: Arc<str>,
    /// Whose session it is.
    pub user_id: Arc<str>,
    /// Unique in this process.
    pub number: u64,
    /// Its endpoint, with what was pushed.
    pub endpoint: Arc<Endpoint>,
    /// Its way to the hub.
    pub output: Arc<SessionOutput>,
    /// What others may see of it.
    pub facts: Arc<Facts>,
    /// Its inbox, for the agent and the watchdog to write into.
    pub inbox: Inbox,
    /// The end of the inbox that the worker reads.
    pub events: Events,
    /// Its deadlines.
    pub deadlines: Deadlines,
    /// Whether a `session.create` waits for its answer.
    pub announce: bool,
    /// Decided `runtime.*`.
    pub runtime: Arc<Runtime>,
    /// What all workers share.
    pub shared: Shared,
}

/// Runs a session to its end, when nothing of it is left. Returns the messages that
/// came too late to be heard: the session is made again for them, and for what is
/// still unread in its inbox.
pub fn run(args: Box<Args>) -> Vec<Event> {
    let events = Arc::clone(&args.events);
    let mut worker = match opening::open(args) {
        Ok(worker) => worker,
        Err(refused) => {
            refused.answer_what_waits(&events);
            return Vec::new();
        }
    };
    resident::give_back_stack();
    if let Some(waker) = worker.agent.waker() {
        let attention = worker.facts.worker.polls(waker);
        worker.attend(&events, &attention);
    } else {
        worker.facts.worker.is_here();
        worker.wait(&events);
    }
    worker.leave()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Turn,
    Closing,
    Ended,
}

struct OpenTurn {
    number: u64,
    message_id: Arc<str>,
    stopping: bool,
}

struct Worker {
    session_id: Arc<str>,
    endpoint: Arc<Endpoint>,
    output: Arc<SessionOutput>,
    facts: Arc<Facts>,
    deadlines: Deadlines,
    runtime: Arc<Runtime>,
    shared: Shared,
    agent: Box<dyn Agent>,
    state: State,
    turn: Option<OpenTurn>,
    turns: u64,
    queue: VecDeque<Incoming>,
    permissions: Permissions,
    /// Why it ends, once it does.
    ending: Option<Ending>,
    /// What it has said that is held back until it is written down.
    unwritten: Unwritten,
    /// Messages and files that came while it was ending.
    unheard: Vec<Event>,
}

// What `run` calls between its waits has frames of its own: what lies on the stack while
// a session waits is a page of memory, or two.
impl Worker {
    /// The life of a session whose agent has threads of its own.
    fn wait(&mut self, events: &Events) {
        while self.state != State::Ended {
            if let Some(event) = receive_parked(events, self.unwritten.deadline()) {
                self.handle(*event);
            }
            self.look_at_unwritten();
            // A session between two turns has often a long time before it.
            if self.state == State::Idle && events.is_empty() {
                resident::give_back_stack();
            }
        }
    }

    /// The life of a session whose agent has none.
    fn attend(&mut self, events: &Events, attention: &Attention) {
        let nothing_came = || events.is_empty();
        let nap = Nap::new(attention, &nothing_came);
        let in_passing = Nap::new(attention, &|| true);
        let mut in_a_row = 0;
        while self.state != State::Ended {
            if in_a_row == EVENTS_IN_A_ROW {
                in_a_row = 0;
                self.agent.attend(Some(Instant::now()), in_passing);
            } else if let Some(event) = events.pop() {
                in_a_row += 1;
                self.handle(*event);
            } else {
                in_a_row = 0;
                self.agent.attend(self.unwritten.deadline(), nap);
            }
            self.look_at_unwritten();
        }
    }

    #[inline(never)]
    fn handle(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                self.message(message);
                self.facts.came();
            }
            Event::Input(input) => {
                self.input(input);
                self.facts.came();
            }
            Event::Stop => self.stop(),
            Event::Reattach => {
                self.facts.reattaching.store(false, Ordering::Relaxed);
                self.output.session_created(Ok(()));
            }
            Event::Permission { request_id, approved, always_allow } => {
                self.permission_answered(&request_id, approved, always_allow);
            }
            Event::Upload(upload, permit) if self.state == State::Closing => {
                self.unheard.push(Event::Upload(upload, permit));
            }
            Event::Upload(upload, _permit) => self.upload(&upload),
            Event::Reconfigure(endpoint, runtime) => self.reconfigure(endpoint, runtime),
            Event::LinkLost => self.deny_pending(),
            Event::Deadline(deadline) => self.deadline(&deadline),
            Event::Agent(event) => self.agent_event(event),
            Event::Close(ending) => self.close(ending),
        }
        self.show_busy();
    }

    fn show_busy(&self) {
        self.facts.show_busy(self.turn.is_some() || !self.queue.is_empty());
    }

    // Messages and turns.

    fn message(&mut self, message: Incoming) {
        if self.state == State::Closing {
            return self.unheard.push(Event::Message(message));
        }
        if self.turn.is_none() || self.agent.interrupts() {
            let replaced = self.take_turn(None);
            self.start_turn(message, replaced);
        } else if self.queue.len() >= QUEUE {
            self.facts.refused.fetch_add(1, Ordering::Relaxed);
            self.output.refuse_message(&message.message_id, &notices::queue_full(QUEUE));
        } else {
            self.shared.journal.queued(&self.session_id, &message.message_id);
            self.queue.push_back(message);
        }
    }

    fn input(&mut self, input: Incoming) {
        if self.state != State::Closing {
            self.agent.input(input.content, input.permit);
        }
    }

    fn stop(&mut self) {
        self.facts.stopping.store(false, Ordering::Relaxed);
        self.touch();
        self.output.stop_ack(Ok(()));
        self.agent.stop();
        if let Some(turn) = &mut self.turn
            && !turn.stopping
        {
            turn.stopping = true;
            info!(
                "turn stopping session={} message={}",
                Quoted(&self.session_id),
                Quoted(&turn.message_id)
            );
            self.deadlines.arm(Reason::StopGrace, turn.number, Instant::now() + STOP_GRACE);
        }
    }

    // What the agent tells.

    fn agent_event(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::TurnEnded(end) => self.turn_ended(end),
            AgentEvent::Note(text) => self.output.system(&text),
            AgentEvent::AtRest => self.facts.uncertain.store(false, Ordering::Relaxed),
            AgentEvent::PermissionRequested(request) => {
                if let Some(decision) = self.permissions.ask(&request, Instant::now()) {
                    self.agent.permission(&request.request_id, decision);
                } else {
                    // Noted first: the answer may be quicker than this thread.
                    self.arm_permission();
                    self.output.permission_request(&request);
                }
            }
            AgentEvent::Closed => self.state = State::Ended,
        }
    }

    // Permissions.

    fn permission_answered(&mut self, request_id: &str, approved: bool, always_allow: bool) {
        self.touch();
        if self.permissions.answered(request_id, approved && always_allow) {
            self.agent.permission(request_id, approved);
            self.arm_permission();
        }
    }

    fn deny_pending(&mut self) {
        for request_id in self.permissions.take_all() {
            self.agent.permission(&request_id, false);
        }
        self.arm_permission();
    }

    fn arm_permission(&mut self) {
        self.facts.permissions.store(self.permissions.len(), Ordering::Relaxed);
        match self.permissions.next_deadline() {
            Some(at) => self.deadlines.arm(Reason::Permission, 0, at),
            None => self.deadlines.disarm(Reason::Permission),
        }
    }

    // Files.

    fn upload(&mut self, upload: &FileUpload) {
        self.touch();
        // Files lie on a disk, too: it may keep this thread for as long as it likes.
        self.settle_unwritten();
        let stored = self.shared.files.store(&self.endpoint.id, upload);
        let used = match stored {
            Ok(file) => self.agent.file(&file),
            Err(refusal) => FileUse::Refused(refusal.to_string()),
        };
        if let FileUse::Refused(reason) = used {
            info!("upload refused session={} reason={}", Quoted(&self.session_id), Quoted(&reason));
            self.output.system(&notices::upload_refused(&upload.name, &reason));
        }
    }

    // The journal.

    /// A sick disk holds no turn for long.
    #[inline(never)]
    fn look_at_unwritten(&mut self) {
        if self.unwritten.deadline().is_some_and(|until| until <= Instant::now()) {
            self.shared.journal.keeps_waiting();
            self.unwritten.give_up();
        }
    }

    /// The same at once, where nobody will be here to stop waiting.
    fn settle_unwritten(&mut self) {
        if self.unwritten.deadline().is_some() {
            self.shared.journal.flush();
            self.unwritten.give_up();
        }
    }

    // The end.

    fn close(&mut self, ending: Ending) {
        if self.state == State::Closing {
            return;
        }
        info!("session closing session={} reason={ending:?}", Quoted(&self.session_id));
        match ending {
            Ending::Reclaimed => self.output.system(&notices::reclaimed()),
            Ending::Removed => self.output.system(&notices::removed()),
            Ending::Asked | Ending::Inactive | Ending::Shutdown => {}
        }
        self.state = State::Closing;
        self.ending = Some(ending);
        self.deadlines.forget();
        self.agent.close();
    }

    /// Ends what is still open and lets go of the lane.
    #[inline(never)]
    fn leave(mut self) -> Vec<Event> {
        self.complete_turn(None);
        // A session that ended of itself owes its user what was still waiting;
        // one that was told to end does not.
        let again = matches!(self.ending, Some(Ending::Inactive | Ending::Reclaimed) | None);
        let why = match self.ending {
            Some(Ending::Shutdown) => notices::shutting_down(),
            _ => notices::queue_dropped(),
        };
        let mut unheard = Vec::new();
        for message in std::mem::take(&mut self.queue) {
            self.shared.journal.unqueued(&self.session_id, &message.message_id);
            if again {
                unheard.push(Event::Message(message));
            } else {
                self.output.refuse_message(&message.message_id, &why);
            }
        }
        self.settle_unwritten();
        self.deadlines.forget();
        self.shared.files.session_ended(&self.endpoint.id, &self.session_id);
        self.output.release();
        info!("session ended session={} turns={}", Quoted(&self.session_id), self.turns);
        // What came while it was ending came behind what waited.
        unheard.append(&mut self.unheard);
        unheard
    }
}
