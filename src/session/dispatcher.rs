//! Takes what the hub says to the session it is for, and decides which
//! sessions exist.
//!
//! One thread, one `select!`, one event type, one match. It never waits for a
//! session: whatever is slow (a start, a write, a file) happens in that
//! session's own thread. It does not know what an agent is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use log::{debug, error, info, warn};

use super::admission::Admission;
use super::deadlines::Deadlines;
use super::event::{Ending, Event, Events, Inbox, Incoming};
use super::output::SessionOutput;
use super::registry::{Cap, Caps, Facts, Live, Registry, Remembered, Room};
use super::{notices, push, worker};
use crate::config::{Config, Endpoint};
use crate::hub::HubEvent;
use crate::hub::outbox::Outbox;
use crate::logging::Quoted;
use crate::protocol::inbound::{ConfigUpdate, Inbound, SessionCreate, UserMessage};
use crate::protocol::outbound;
use crate::secret::Secret;
use crate::state::RememberedSession;
use crate::threads;
use crate::watchdog::WatchdogHandle;

/// So many sessions may be ending at once, however few may live.
const LEAST_CLOSING: usize = 16;

/// What others ask of the dispatcher.
pub enum Request {
    /// A new configuration is in force.
    Reload(Box<Config>),
    /// End one session.
    CloseSession {
        /// Hub's id.
        session_id: String,
        /// Hears whether there is one.
        done: Sender<bool>,
    },
    /// Finish open turns, start no new work; `done` hears when none is open.
    Drain {
        /// Hears that no turn is open.
        done: Sender<()>,
    },
    /// End everything; `done` hears when the last session is gone.
    Shutdown {
        /// Hears that no session is left.
        done: Sender<()>,
    },
    /// What exists just now.
    Sessions {
        /// Gets them.
        reply: Sender<Overview>,
    },
}

/// All sessions as `status` shows them.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Those that live.
    pub live: Vec<SessionStatus>,
    /// Counted, of ended sessions too.
    pub totals: Totals,
}

/// What is counted of all sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Turns begun.
    pub turns: u64,
    /// Sessions and messages that were refused.
    pub refused: u64,
    /// Bytes of agents that had no room and could not wait for any.
    pub dropped_bytes: u64,
}

impl Totals {
    /// Adds what one session counted.
    fn add(&mut self, live: &Live<Handle>) {
        self.turns += live.facts.turns.load(Ordering::Relaxed);
        self.refused += live.facts.refused.load(Ordering::Relaxed);
        self.dropped_bytes += live.handle.output.dropped_bytes();
    }
}

/// One session as `status` shows it.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// Hub's id.
    pub session_id: Arc<str>,
    /// Its endpoint.
    pub endpoint_id: Arc<str>,
    /// A turn is open or waits.
    pub busy: bool,
    /// Turns so far.
    pub turns: u64,
    /// When it was started.
    pub started: Instant,
    /// When its open turn began.
    pub turn_since: Option<Instant>,
    /// Last activity.
    pub last_active: Instant,
    /// Encoded bytes that are not confirmed yet.
    pub buffered_bytes: usize,
}

/// What the dispatcher is made from.
pub struct Args {
    /// Decided configuration.
    pub config: Config,
    /// What the hub says.
    pub hub: Receiver<HubEvent>,
    /// What others ask.
    pub requests: Receiver<Request>,
    /// The way to the hub.
    pub outbox: Outbox,
    /// Where deadlines are armed.
    pub watchdog: WatchdogHandle,
    /// What every worker shares.
    pub shared: worker::Shared,
    /// Sessions of earlier runs, oldest first.
    pub remembered: Vec<(Arc<str>, Remembered)>,
    /// Message ids that sessions of earlier runs have executed.
    pub seen: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Told of a refreshed token.
    pub token_refreshed: Box<dyn Fn(Secret) + Send>,
    /// Told whenever the connection is registered or lost.
    pub link_changed: Box<dyn Fn(bool) + Send>,
}

/// The way to a live session.
struct Handle {
    inbox: Inbox,
    /// What its worker did not come to read.
    unread: Events,
    output: Arc<SessionOutput>,
    thread: JoinHandle<()>,
}

/// Runs until a shutdown is complete.
pub fn run(args: Args) {
    let (ended, ended_sessions) = unbounded();
    let (idle, idle_sessions) = bounded(1);
    let endpoints = by_id(&args.config);
    let mut registry = Registry::default();
    for (session_id, identity) in args.remembered {
        registry.remember(session_id, identity);
    }
    let mut dispatcher = Dispatcher {
        disk: endpoints.clone(),
        endpoints,
        config: args.config,
        registry,
        closing: HashMap::new(),
        admission: Admission::default(),
        seen: args.seen,
        outbox: args.outbox,
        watchdog: args.watchdog,
        shared: args.shared,
        ended,
        idle,
        token_refreshed: args.token_refreshed,
        link_changed: args.link_changed,
        draining: None,
        shutdown: None,
        totals: Totals::default(),
    };
    while !dispatcher.finished() {
        let event = select! {
            recv(args.hub) -> event => event.map(Happening::Hub),
            recv(args.requests) -> request => request.map(Happening::Asked),
            recv(ended_sessions) -> ended => ended.map(Happening::Ended),
            recv(idle_sessions) -> idle => idle.map(|()| Happening::Idle),
        };
        // A sender that is gone can only be the runtime's own end.
        let Ok(event) = event else { break };
        dispatcher.handle(event);
    }
}

enum Happening {
    Hub(HubEvent),
    Asked(Request),
    Ended(Ended),
    /// While draining: a session has nothing open any more.
    Idle,
}

/// A worker's last word.
struct Ended {
    session_id: Arc<str>,
    number: u64,
    /// What it leaves to its next life.
    legacy: worker::Legacy,
}

struct Dispatcher {
    config: Config,
    /// Endpoints as the file has them.
    disk: HashMap<String, Arc<Endpoint>>,
    /// Endpoints with what was pushed.
    endpoints: HashMap<String, Arc<Endpoint>>,
    registry: Registry<Handle>,
    /// Workers that were told to end, by number; their ids are free again.
    closing: HashMap<u64, Handle>,
    admission: Admission,
    seen: HashMap<Arc<str>, Vec<Arc<str>>>,
    outbox: Outbox,
    watchdog: WatchdogHandle,
    shared: worker::Shared,
    ended: Sender<Ended>,
    idle: Sender<()>,
    token_refreshed: Box<dyn Fn(Secret) + Send>,
    link_changed: Box<dyn Fn(bool) + Send>,
    draining: Option<Sender<()>>,
    shutdown: Option<Sender<()>>,
    /// Of sessions that are not live any more, and of those that never were.
    totals: Totals,
}

impl Dispatcher {
    fn finished(&self) -> bool {
        self.shutdown.is_some() && self.registry.is_empty() && self.closing.is_empty()
    }

    fn handle(&mut self, event: Happening) {
        match event {
            Happening::Hub(HubEvent::Message(message)) => self.message(message),
            Happening::Hub(HubEvent::Lost) => self.link_lost(),
            Happening::Hub(HubEvent::Registered { .. }) => (self.link_changed)(true),
            Happening::Asked(request) => self.request(request),
            Happening::Ended(ended) => self.session_ended(ended),
            Happening::Idle => self.report_drained(),
        }
        if self.finished()
            && let Some(done) = &self.shutdown
        {
            let _ = done.send(());
        }
    }

    fn message(&mut self, message: Inbound) {
        match message {
            Inbound::SessionCreate(create) => self.create(create),
            Inbound::UserMessage(message) => self.user_message(message),
            Inbound::InteractiveInput(message) => self.interactive_input(message),
            Inbound::SessionClose { session_id, .. } => {
                self.end(&session_id, Ending::Asked);
            }
            Inbound::StopRequest { session_id } => match self.registry.get(&session_id) {
                Some(live) => live.handle.inbox.stop(),
                None => debug!("stop passed over session={}", Quoted(&session_id)),
            },
            Inbound::PermissionResponse { session_id, request_id, approved, always_allow } => {
                // Only what was asked for can be answered, so this cannot pile up.
                if let Some(live) = self.registry.get(&session_id)
                    && live.facts.permissions.load(Ordering::Relaxed) > 0
                {
                    let answer = Event::Permission { request_id, approved, always_allow };
                    live.handle.inbox.tell(answer);
                }
            }
            Inbound::FileUpload(upload) => self.upload(upload),
            Inbound::ConfigUpdate(update) => self.config_update(&update),
            Inbound::NativeSessionsList { agent_id, request_id } => {
                self.outbox.answer(outbound::native_sessions_response(&agent_id, &request_id));
            }
            Inbound::TokenRefresh { token } => (self.token_refreshed)(token),
            Inbound::Ping => self.outbox.answer(outbound::pong()),
            Inbound::HelloAck { .. } => debug!("hello.ack passed over"),
            Inbound::Unknown { kind } => debug!("message passed over type={}", Quoted(&kind)),
        }
    }

    // Sessions begin.

    fn create(&mut self, create: SessionCreate) {
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
            let output = self.output(&session_id, None);
            output.refuse_session(&error);
            output.release();
        }
    }

    /// Starts a session's worker, making room first if need be.
    fn open(
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
        if self.closing.len() >= self.config.runtime.max_sessions.max(LEAST_CLOSING) {
            return Err(notices::still_ending(self.closing.len()));
        }
        self.make_room(&endpoint, &identity.user_id)?;
        let number = self.registry.take_number();
        let output = self.output(session_id, Some(&endpoint));
        let facts = Arc::new(Facts::new(Instant::now()));
        let (inbox, events) = Inbox::new(self.admission.session(), Arc::clone(&facts));
        let args = worker::Args {
            session_id: Arc::clone(session_id),
            user_id: Arc::clone(&identity.user_id),
            number,
            deadlines: Deadlines::new(self.watchdog.clone(), number, inbox.clone()),
            endpoint,
            output: Arc::clone(&output),
            facts: Arc::clone(&facts),
            inbox: inbox.clone(),
            events,
            seen: self.seen.remove(session_id).unwrap_or_default(),
            announce,
            shared: self.shared.clone(),
        };
        let ended = self.ended.clone();
        let unread = args.events.clone();
        let run = move || {
            let session_id = Arc::clone(&args.session_id);
            let legacy = worker::run(args);
            let _ = ended.send(Ended { session_id, number, legacy });
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
        let live = Live { number, identity, facts, handle };
        if let Some(forgotten) = self.registry.insert(Arc::clone(session_id), live) {
            self.seen.remove(&forgotten);
        }
        Ok(())
    }

    fn make_room(&mut self, endpoint: &Endpoint, user: &str) -> Result<(), String> {
        let caps = Caps {
            runtime: self.config.runtime.max_sessions,
            endpoint: endpoint.limits.max_sessions,
            reclaim_after: self.config.runtime.reclaim_after,
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

    fn output(&self, session_id: &Arc<str>, endpoint: Option<&Endpoint>) -> Arc<SessionOutput> {
        let limit = endpoint
            .and_then(|endpoint| endpoint.limits.max_output_bytes)
            .unwrap_or(self.config.runtime.max_output_bytes);
        SessionOutput::new(Arc::clone(session_id), self.outbox.lane(Arc::clone(session_id), limit))
    }

    // Sessions are spoken to.

    fn user_message(&mut self, message: UserMessage) {
        let session_id: Arc<str> = message.session_id.as_str().into();
        if self.registry.get(&session_id).is_none() {
            let identity = self.identity_of(&message);
            let opened = match identity {
                Some(identity) => self.open(&session_id, identity, false),
                None => Err(notices::unknown_session()),
            };
            if let Err(error) = opened {
                self.totals.refused += 1;
                warn!("message refused session={} error={}", Quoted(&session_id), Quoted(&error));
                let output = self.output(&session_id, None);
                output.refuse_message(&message.message_id, &error);
                output.release();
                return;
            }
        }
        self.deliver(message, Event::Message);
    }

    /// From the message's own metadata, else from what is remembered.
    fn identity_of(&self, message: &UserMessage) -> Option<Remembered> {
        match &message.endpoint_id {
            Some(endpoint) => Some(Remembered {
                endpoint_id: endpoint.as_str().into(),
                user_id: message.user_id.as_deref().unwrap_or_default().into(),
            }),
            None => self.registry.recall(&message.session_id).cloned(),
        }
    }

    fn interactive_input(&mut self, message: UserMessage) {
        if self.registry.get(&message.session_id).is_some() {
            self.deliver(message, Event::Input);
        } else {
            debug!("input passed over session={}", Quoted(&message.session_id));
        }
    }

    fn deliver(&mut self, message: UserMessage, event: fn(Incoming) -> Event) {
        let Some(live) = self.registry.get(&message.session_id) else { return };
        let Some(permit) = live.handle.inbox.admit(message.content.len()) else {
            warn!("message refused session={} reason=\"input full\"", Quoted(&message.session_id));
            live.handle.output.refuse_message(&message.message_id, &notices::input_full());
            self.totals.refused += 1;
            return;
        };
        let UserMessage { message_id, content, .. } = message;
        let incoming = Incoming { message_id: message_id.into(), content, permit };
        live.handle.inbox.tell(event(incoming));
    }

    fn upload(&mut self, upload: crate::protocol::inbound::FileUpload) {
        let Some(live) = self.registry.get(&upload.session_id) else {
            debug!("upload passed over session={}", Quoted(&upload.session_id));
            return;
        };
        match live.handle.inbox.admit(upload.data.len()) {
            Some(permit) => live.handle.inbox.tell(Event::Upload(upload, permit)),
            None => live.handle.output.system_if_room(&notices::input_full()),
        }
    }

    // Configuration.

    fn config_update(&mut self, update: &ConfigUpdate) {
        let outcome = match self.disk.get(&update.endpoint_id) {
            Some(disk) => push::apply(disk, &self.config.runtime, update).map(|endpoint| {
                self.replace_endpoint(Arc::new(endpoint));
            }),
            None => Err(notices::unknown_endpoint(&update.endpoint_id)),
        };
        let endpoint = Quoted(&update.endpoint_id);
        match &outcome {
            Ok(()) => info!("config push taken endpoint={endpoint}"),
            Err(reason) => {
                warn!("config push refused endpoint={endpoint} reason={}", Quoted(reason));
            }
        }
        let answer = outcome.as_ref().copied().map_err(String::as_str);
        self.outbox.answer(outbound::config_ack(update.dialect, &update.endpoint_id, answer));
    }

    fn replace_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        if self.endpoints.get(&endpoint.id) == Some(&endpoint) {
            return;
        }
        for (_, live) in self.registry.iter() {
            if *live.identity.endpoint_id == *endpoint.id {
                live.handle.inbox.tell(Event::Reconfigure(Arc::clone(&endpoint)));
            }
        }
        self.endpoints.insert(endpoint.id.clone(), endpoint);
    }

    fn reload(&mut self, config: Config) {
        let disk = by_id(&config);
        let removed: Vec<Arc<str>> = self
            .registry
            .iter()
            .filter(|(_, live)| !disk.contains_key(&*live.identity.endpoint_id))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for session_id in removed {
            self.end(&session_id, Ending::Removed);
        }
        self.endpoints.retain(|id, _| disk.contains_key(id));
        for (id, endpoint) in &disk {
            if self.disk.get(id) != Some(endpoint) {
                self.replace_endpoint(Arc::clone(endpoint));
            }
        }
        self.disk = disk;
        self.config = config;
    }

    // Sessions end.

    fn end(&mut self, session_id: &str, ending: Ending) -> bool {
        let Some(live) = self.registry.remove(session_id, None) else { return false };
        self.totals.add(&live);
        live.handle.inbox.tell(Event::Close(ending));
        self.closing.insert(live.number, live.handle);
        true
    }

    fn session_ended(&mut self, ended: Ended) {
        let Ended { session_id, number, legacy } = ended;
        let worker::Legacy { mut unheard, seen } = legacy;
        if !seen.is_empty() && self.registry.recall(&session_id).is_some() {
            self.seen.insert(Arc::clone(&session_id), seen);
        }
        let itself = self.registry.remove(&session_id, Some(number)).map(|live| {
            self.totals.add(&live);
            live.handle
        });
        if let Some(handle) = itself.or_else(|| self.closing.remove(&number)) {
            // What came after its last look belongs to the session all the same.
            for event in handle.unread.try_iter() {
                match *event {
                    Event::Message(message) => unheard.push(message),
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
        for message in unheard {
            self.user_message(UserMessage {
                session_id: session_id.to_string(),
                message_id: message.message_id.to_string(),
                content: message.content,
                ..UserMessage::default()
            });
        }
        self.report_drained();
    }

    fn report_drained(&self) {
        let busy = |live: &Live<Handle>| live.facts.busy.load(Ordering::Relaxed);
        if let Some(done) = &self.draining
            && !self.registry.iter().any(|(_, live)| busy(live))
        {
            // Told once is enough; whoever asked may not be listening any more.
            let _ = done.try_send(());
        }
    }

    fn link_lost(&self) {
        (self.link_changed)(false);
        for (_, live) in self.registry.iter() {
            if live.facts.permissions.load(Ordering::Relaxed) > 0 {
                live.handle.inbox.tell(Event::LinkLost);
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Reload(config) => self.reload(*config),
            Request::CloseSession { session_id, done } => {
                let _ = done.send(self.end(&session_id, Ending::Asked));
            }
            Request::Drain { done } => {
                self.draining = Some(done);
                for (_, live) in self.registry.iter() {
                    live.facts.tell_when_idle(&self.idle);
                }
                self.report_drained();
            }
            Request::Shutdown { done } => {
                let live: Vec<Arc<str>> =
                    self.registry.iter().map(|(id, _)| Arc::clone(id)).collect();
                info!("sessions closing count={}", live.len());
                for session_id in live {
                    self.end(&session_id, Ending::Shutdown);
                }
                self.shutdown = Some(done);
            }
            Request::Sessions { reply } => {
                let mut totals = self.totals;
                self.registry.iter().for_each(|(_, live)| totals.add(live));
                let live = self.registry.iter().map(status_of).collect();
                let _ = reply.send(Overview { live, totals });
            }
        }
    }
}

fn by_id(config: &Config) -> HashMap<String, Arc<Endpoint>> {
    config.endpoints.iter().map(|endpoint| (endpoint.id.clone(), Arc::clone(endpoint))).collect()
}

fn status_of((session_id, live): (&Arc<str>, &Live<Handle>)) -> SessionStatus {
    SessionStatus {
        session_id: Arc::clone(session_id),
        endpoint_id: Arc::clone(&live.identity.endpoint_id),
        busy: live.facts.busy.load(Ordering::Relaxed),
        turns: live.facts.turns.load(Ordering::Relaxed),
        started: live.facts.started(),
        turn_since: live.facts.turn_since(),
        last_active: live.facts.last_active().max(live.handle.output.quiet_since()),
        buffered_bytes: live.handle.output.buffered(),
    }
}
