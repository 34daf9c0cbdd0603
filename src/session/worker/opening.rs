//! How a session comes to its agent, and what is said when it cannot have one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use log::{debug, info, warn};

use super::unwritten::Unwritten;
use super::{Args, State, Worker};
use crate::agent::workshop::Workshop;
use crate::agent::{AgentContext, AgentEvents};
use crate::logging::Quoted;
use crate::session::event::{Event, Events};
use crate::session::output::SessionOutput;
use crate::session::permissions::Permissions;

/// A session whose agent could not be opened.
pub(super) struct Refused {
    session_id: Arc<str>,
    output: Arc<SessionOutput>,
    error: String,
}

/// Opens the session's agent, and says whether that worked. What it needs of the
/// stack must not be in the frame that the worker then waits in.
#[inline(never)]
pub(super) fn open(args: Box<Args>) -> Result<Box<Worker>, Refused> {
    let Args { session_id, user_id, endpoint, output, facts, inbox, deadlines, shared, .. } = *args;
    let upload_dir = shared.files.session_begins(&endpoint.id, &session_id);
    let made = if Workshop::needs_upload_dir(&endpoint) {
        shared.files.make_session_dir(&endpoint.id, &session_id)
    } else {
        Ok(())
    };
    let opened = made.map_err(|error| error.to_string()).and_then(|()| {
        let events = AgentEvents::new(move |event| inbox.tell(Event::Agent(event)));
        shared.agents.open(AgentContext {
            session_id: Arc::clone(&session_id),
            user_id,
            endpoint: Arc::clone(&endpoint),
            output: Arc::clone(&output),
            events,
            number: args.number,
            upload_dir: Some(upload_dir),
        })
    });
    let agent = match opened {
        Ok(agent) => agent,
        Err(error) => {
            warn!(
                "session refused session={} endpoint={} error={}",
                Quoted(&session_id),
                Quoted(&endpoint.id),
                Quoted(&error)
            );
            if args.announce {
                output.session_created(Err(&error));
            }
            output.system(&error);
            shared.files.session_ended(&endpoint.id, &session_id);
            facts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refused { session_id, output, error });
        }
    };
    info!(
        "session opened session={} endpoint={} profile={}",
        Quoted(&session_id),
        Quoted(&endpoint.id),
        endpoint.profile.name()
    );
    if args.announce {
        output.session_created(Ok(()));
    }
    let mut worker = Box::new(Worker {
        session_id,
        endpoint,
        output,
        facts,
        deadlines,
        runtime: args.runtime,
        shared,
        agent,
        state: State::Idle,
        turn: None,
        turns: 0,
        queue: VecDeque::new(),
        permissions: Permissions::default(),
        ending: None,
        unwritten: Unwritten::default(),
        unheard: Vec::new(),
    });
    worker.agent.ready();
    worker.arm_inactivity(Instant::now());
    Ok(worker)
}

impl Refused {
    /// Messages that came while the agent was being opened get their end.
    pub(super) fn answer_what_waits(&self, events: &Events) {
        while let Some(event) = events.pop() {
            match *event {
                Event::Message(message) => {
                    debug!("message refused session={}", Quoted(&self.session_id));
                    self.output.refuse_message(&message.message_id, &self.error);
                }
                Event::Stop => self.output.stop_ack(Ok(())),
                Event::Reattach => self.output.session_created(Err(&self.error)),
                _ => {}
            }
        }
        self.output.release();
    }
}
