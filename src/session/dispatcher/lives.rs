//! How a session begins, and what is done when it has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use log::error;

use super::mailbox::{Ended, Happening};
use super::{Dispatcher, Handle};
use crate::config::Endpoint;
use crate::logging::Quoted;
use crate::protocol::inbound::{SessionCreate, UserMessage};
use crate::resident;
use crate::session::deadlines::Deadlines;
use crate::session::event::{Ending, Event, Inbox};
use crate::session::facts::Facts;
use crate::session::output::SessionOutput;
use crate::session::registry::{Cap, Caps, Live, Remembered, Room};
use crate::session::seen::History;
use crate::session::{notices, worker};
use crate::state::RememberedSession;
use crate::threads;

/// So many sessions may be ending at once, however few may live.
const LEAST_CLOSING: usize = 16;

impl Dispatcher {
    pub(super) fn create(&mut self, create: SessionCreate) {
        let SessionCreate { session_id, endpoint_id, user_id, .. } = create;
        if let Some(live) = self.registry.get(&session_id) {
            if *live.identity.endpoint_id == *endpoint_id {
                live.handle.inbox.reattach();
            } else {
                let error = notices::other_endpoint(&live.identity.endpoint_id);
                live.handle.output.refuse_session(&error);
            }
            return;
        }
        let identity = Remembered { endpoint_id: endpoint_id.into(), user_id: user_id.into() };
        let session_id: Arc<str> = session_id.into();
        if let Err(error) = self.open(&session_id, identity, true) {
            self.totals.refused += 1;
            self.say(&session_id, |output| output.refuse_session(&error));
        }
    }

    /// Starts a session's worker, making room first if need be.
    pub(super) fn open(
        &mut self,
        session_id: &Arc<str>,
        identity: Remembered,
        announce: bool,
    ) -> Result<(), String> {
        if self.shutdown.is_some() || self.draining.is_some() {
            return Err(notices::shutting_down());
        }
        let Some(endpoint) = self.endpoints.get(&*identity.endpoint_id).cloned() else {
            return Err(notices::unknown_endpoint(&identity.endpoint_id));
        };
        // Those that are still ending have processes as well: a hub that opens
        // and closes in a loop must not have any number of them.
        if self.closing.len() >= self.runtime.max_sessions.max(LEAST_CLOSING) {
            return Err(notices::still_ending(self.closing.len()));
        }
        self.make_room(&endpoint, &identity.user_id)?;
        let number = self.registry.take_number();
        let output = self.output(session_id, Some(&endpoint));
        let facts = Arc::new(Facts::new(Instant::now()));
        let (inbox, events) = Inbox::new(self.admission.session(), Arc::clone(&facts));
        // Behind a pointer: a thread's closure lies on the heap for as long as it lives.
        let args = Box::new(worker::Args {
            session_id: Arc::clone(session_id),
            user_id: Arc::clone(&identity.user_id),
            number,
            deadlines: Deadlines::new(self.watchdog.clone(), number, inbox.clone()),
            endpoint,
            output: Arc::clone(&output),
            facts: Arc::clone(&facts),
            inbox: inbox.clone(),
            events,
            announce,
            runtime: Arc::clone(&self.runtime),
            shared: self.shared.clone(),
        });
        let mailbox = Arc::clone(&self.mailbox);
        let unread = Arc::clone(&args.events);
        let run = move || {
            let session_id = Arc::clone(&args.session_id);
            let unheard = worker::run(args);
            mailbox.tell(Happening::Ended(Ended { session_id, number, unheard }));
        };
        let thread = threads::spawn(format!("session {number}"), run).map_err(|error| {
            error!("session refused session={} error={error}", Quoted(session_id));
            notices::out_of_resources(&error)
        })?;
        self.shared.journal.session_remembered(RememberedSession {
            session_id: session_id.to_string(),
            endpoint_id: identity.endpoint_id.to_string(),
            user_id: identity.user_id.to_string(),
            ..RememberedSession::default()
        });
        let handle = Handle { inbox, unread, output, thread };
        let live = Live { number, identity, facts, seen: History::default(), handle };
        self.registry.insert(Arc::clone(session_id), live);
        self.settle();
        Ok(())
    }

    fn make_room(&mut self, endpoint: &Endpoint, user: &str) -> Result<(), String> {
        let caps = Caps {
            runtime: self.runtime.max_sessions,
            endpoint: endpoint.limits.max_sessions,
            reclaim_after: self.runtime.reclaim_after,
        };
        let active =
            |live: &Live<Handle>| live.facts.last_active().max(live.handle.output.quiet_since());
        match self.registry.room_for(&endpoint.id, user, caps, Instant::now(), active) {
            Room::Free => Ok(()),
            Room::Reclaim(quiet) => {
                self.end(&quiet, Ending::Reclaimed);
                Ok(())
            }
            Room::Full(Cap::Runtime(max)) => Err(notices::runtime_full(max)),
            Room::Full(Cap::Endpoint(max)) => Err(notices::endpoint_full(&endpoint.id, max)),
        }
    }

    pub(super) fn output(
        &self,
        session_id: &Arc<str>,
        endpoint: Option<&Endpoint>,
    ) -> Arc<SessionOutput> {
        let limit = endpoint
            .and_then(|endpoint| endpoint.limits.max_output_bytes)
            .unwrap_or(self.runtime.max_output_bytes);
        SessionOutput::new(Arc::clone(session_id), self.outbox.lane(Arc::clone(session_id), limit))
    }

    pub(super) fn end(&mut self, session_id: &str, ending: Ending) -> bool {
        let Some(live) = self.registry.remove(session_id, None) else { return false };
        self.totals.add(&live);
        live.handle.inbox.tell(Event::Close(ending));
        self.closing.insert(live.number, live.handle);
        true
    }

    pub(super) fn session_ended(&mut self, ended: Ended) {
        let Ended { session_id, number, mut unheard } = ended;
        let itself = self.registry.remove(&session_id, Some(number)).map(|live| {
            self.totals.add(&live);
            live.handle
        });
        if let Some(handle) = itself.or_else(|| self.closing.remove(&number)) {
            resident::shrink(&mut self.closing);
            // What came after its last look belongs to the session all the same.
            while let Some(event) = handle.unread.pop() {
                match *event {
                    message @ (Event::Message(_) | Event::Upload(..)) => unheard.push(message),
                    Event::Stop => {
                        handle.output.stop_ack(Ok(()));
                        handle.output.release();
                    }
                    _ => {}
                }
            }
            if handle.thread.join().is_err() {
                error!("session thread panicked session={}", Quoted(&session_id));
            }
        }
        if self.registry.get(&session_id).is_none() {
            self.shared.journal.session_rests(&session_id);
        }
        for event in unheard {
            match event {
                Event::Message(message) => self.give(UserMessage {
                    session_id: session_id.to_string(),
                    message_id: message.message_id.to_string(),
                    content: message.content,
                    ..UserMessage::default()
                }),
                Event::Upload(upload, _permit) => self.upload(upload),
                _ => {}
            }
        }
        self.report_drained();
        self.settle();
    }

    pub(super) fn report_drained(&self) {
        if let Some(done) = &self.draining
            && !self.registry.iter().any(|(_, live)| live.facts.is_busy())
        {
            // Told once is enough; whoever asked may not be listening any more.
            let _ = done.try_send(());
        }
    }

    pub(super) fn link_lost(&self) {
        (self.link_changed)(false);
        for (_, live) in self.registry.iter() {
            if live.facts.permissions.load(Ordering::Relaxed) > 0 {
                live.handle.inbox.tell(Event::LinkLost);
            }
        }
    }
}
