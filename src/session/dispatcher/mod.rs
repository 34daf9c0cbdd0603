//! Takes what the hub says to the session it is for, and decides which
//! sessions exist.
//!
//! One thread, which reads the hub's connection itself ([`listening`]) and hears of
//! everybody else through its [`mailbox`]. It never waits for a session: whatever is
//! slow (a start, a write, a file) happens in that session's own thread. It does not
//! know what an agent is. How sessions begin and end is in [`lives`], what changes
//! their endpoints in [`configuration`].

mod configuration;
mod listening;
mod lives;
pub mod mailbox;
mod overview;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::Sender;
use log::{debug, info, warn};

use self::mailbox::{Happening, Mailbox};
use super::admission::Admission;
use super::event::{Ending, Event, Events, Inbox, Incoming};
use super::output::SessionOutput;
use super::push::Pushed;
use super::registry::{Registry, Remembered};
use super::requests::{Request, Totals};
use super::seen::History;
use super::{notices, worker};
use crate::config::{Config, Endpoint, Runtime};
use crate::futexes;
use crate::hub::outbox::Outbox;
use crate::hub::{Early, HubEvent, Reader};
use crate::logging::Quoted;
use crate::protocol::inbound::{FileUpload, Inbound, UserMessage};
use crate::protocol::outbound;
use crate::resident::Settler;
use crate::secret::Secret;
use crate::wake::{WakeFd, Waker};
use crate::watchdog::WatchdogHandle;

/// What the dispatcher is made from.
pub struct Args {
    /// Decided configuration.
    pub config: Config,
    /// What others tell.
    pub mailbox: Arc<Mailbox>,
    /// What wakes it while it polls, and what it polls for that.
    pub bell: (Waker, WakeFd),
    /// The way to the hub.
    pub outbox: Outbox,
    /// Where deadlines are armed.
    pub watchdog: WatchdogHandle,
    /// What every worker shares.
    pub shared: worker::Shared,
    /// Sessions of earlier runs with the messages they took, oldest first.
    pub remembered: Vec<(String, Remembered, History)>,
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

/// Runs until it is told to leave.
pub fn run(args: Args) {
    let endpoints = by_id(&args.config);
    futexes::make_room(args.config.runtime.max_sessions);
    let mut registry = Registry::default();
    for (session_id, identity, seen) in args.remembered {
        registry.remember(&session_id, &identity, &seen);
    }
    let mut dispatcher = Dispatcher {
        disk: endpoints.clone(),
        endpoints,
        pushed: HashMap::new(),
        runtime: Arc::new(args.config.runtime),
        registry,
        closing: HashMap::new(),
        admission: Admission::default(),
        outbox: args.outbox,
        watchdog: args.watchdog,
        shared: args.shared,
        mailbox: args.mailbox,
        reader: None,
        early: None,
        passes_over: false,
        token_refreshed: args.token_refreshed,
        link_changed: args.link_changed,
        draining: None,
        shutdown: None,
        settler: Settler::start(),
        totals: Totals::default(),
        left: None,
    };
    dispatcher.attend(args.bell);
}

struct Dispatcher {
    /// Decided `runtime.*`.
    runtime: Arc<Runtime>,
    /// Endpoints as the file has them.
    disk: HashMap<String, Arc<Endpoint>>,
    /// Endpoints with what was pushed.
    endpoints: HashMap<String, Arc<Endpoint>>,
    /// What was pushed of them.
    pushed: HashMap<String, Pushed>,
    registry: Registry<Handle>,
    /// Workers that were told to end, by number; their ids are free again.
    closing: HashMap<u64, Handle>,
    admission: Admission,
    outbox: Outbox,
    watchdog: WatchdogHandle,
    shared: worker::Shared,
    mailbox: Arc<Mailbox>,
    /// While there is a connection.
    reader: Option<Box<Reader>>,
    /// What was said on one that came to nothing, and is not handled yet.
    early: Option<Early>,
    /// Nobody is here any more whom the hub could say something.
    passes_over: bool,
    token_refreshed: Box<dyn Fn(Secret) + Send>,
    link_changed: Box<dyn Fn(bool) + Send>,
    draining: Option<Sender<()>>,
    shutdown: Option<Sender<()>>,
    /// Gives back what a start or a crowd of sessions used.
    settler: Settler,
    /// Of sessions that are not live any more, and of those that never were.
    totals: Totals,
    /// It was told to leave. The last to be dropped: then it has.
    left: Option<Sender<Infallible>>,
}

impl Dispatcher {
    /// A session came or went, or the start is over: what that needed of memory is
    /// given back in a moment.
    fn settle(&self) {
        self.settler.stirred(self.registry.is_empty() && self.closing.is_empty());
    }

    fn finished(&self) -> bool {
        self.shutdown.is_some() && self.registry.is_empty() && self.closing.is_empty()
    }

    fn handle(&mut self, event: Happening) {
        match event {
            Happening::Hub(HubEvent::Early(early)) => {
                let before = self.early.replace(early);
                before.into_iter().flatten().for_each(|message| self.message(message));
            }
            Happening::Hub(HubEvent::Registered { first, reader }) => {
                self.reader = Some(reader);
                (self.link_changed)(true);
                if first {
                    self.settle();
                }
            }
            Happening::Asked(request) => self.request(request),
            Happening::Ended(ended) => self.session_ended(ended),
            Happening::Idle => self.report_drained(),
        }
        if self.finished()
            && let Some(done) = &self.shutdown
        {
            // Told once is enough.
            let _ = done.try_send(());
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

    // Sessions are spoken to.

    fn user_message(&mut self, message: UserMessage) {
        if !self.passed_over(&message) {
            self.give(message);
        }
    }

    /// Whether the session has taken that message before, in this life or another.
    fn passed_over(&self, message: &UserMessage) -> bool {
        let known = self.registry.knows(&message.session_id, &message.message_id);
        if known {
            let (session, message) = (Quoted(&message.session_id), Quoted(&message.message_id));
            info!("message passed over session={session} message={message} reason=\"seen before\"");
        }
        known
    }

    /// Gives a message to its session, which is made for it if need be.
    fn give(&mut self, message: UserMessage) {
        let session_id: Arc<str> = message.session_id.as_str().into();
        if let Err(error) = self.ready(&session_id, self.identity_of(&message)) {
            self.totals.refused += 1;
            warn!("message refused session={} error={}", Quoted(&session_id), Quoted(&error));
            return self.say(&session_id, |output| {
                output.refuse_message(&message.message_id, &error);
            });
        }
        self.deliver(message, Event::Message);
    }

    /// Says something in a session, whether it lives or not.
    fn say(&self, session_id: &Arc<str>, what: impl FnOnce(&SessionOutput)) {
        if let Some(live) = self.registry.get(session_id) {
            what(&live.handle.output);
        } else {
            let output = self.output(session_id, None);
            what(&output);
            output.release();
        }
    }

    /// Sees to it that the session takes what comes: it lives, or is made again.
    fn ready(&mut self, session_id: &Arc<str>, known: Option<Remembered>) -> Result<(), String> {
        if self.shutdown.is_some() || self.draining.is_some() {
            return Err(notices::shutting_down());
        }
        match known {
            _ if self.registry.get(session_id).is_some() => Ok(()),
            Some(identity) => self.open(session_id, identity, false),
            None => Err(notices::unknown_session()),
        }
    }

    /// From the message's own metadata, else from what is remembered.
    fn identity_of(&self, message: &UserMessage) -> Option<Remembered> {
        match &message.endpoint_id {
            Some(endpoint) => Some(Remembered {
                endpoint_id: endpoint.as_str().into(),
                user_id: message.user_id.as_deref().unwrap_or_default().into(),
            }),
            None => self.registry.recall(&message.session_id),
        }
    }

    fn interactive_input(&mut self, message: UserMessage) {
        if self.registry.get(&message.session_id).is_none() {
            debug!("input passed over session={}", Quoted(&message.session_id));
        } else if !self.passed_over(&message) {
            self.deliver(message, Event::Input);
        }
    }

    fn deliver(&mut self, message: UserMessage, event: fn(Incoming) -> Event) {
        let Some(live) = self.registry.get_mut(&message.session_id) else { return };
        let Some(permit) = live.handle.inbox.admit(message.content.len()) else {
            warn!("message refused session={} reason=\"input full\"", Quoted(&message.session_id));
            live.handle.output.refuse_message(&message.message_id, &notices::input_full());
            self.totals.refused += 1;
            return;
        };
        let UserMessage { message_id, content, .. } = message;
        live.facts.touch(Instant::now());
        live.facts.comes();
        live.seen.note(&message_id);
        let incoming = Incoming { message_id: message_id.into(), content, permit };
        live.handle.inbox.tell(event(incoming));
    }

    fn upload(&mut self, upload: FileUpload) {
        let session_id: Arc<str> = upload.session_id.as_str().into();
        if let Err(error) = self.ready(&session_id, self.registry.recall(&session_id)) {
            info!("upload refused session={} error={}", Quoted(&session_id), Quoted(&error));
            return self.say(&session_id, |output| {
                output.system_if_room(&notices::upload_refused(&upload.name, &error));
            });
        }
        let Some(live) = self.registry.get(&session_id) else { return };
        match live.handle.inbox.admit(upload.data.len()) {
            Some(permit) => live.handle.inbox.tell(Event::Upload(upload, permit)),
            None => live.handle.output.system_if_room(&notices::input_full()),
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
                    live.facts.tell_when_idle(&self.mailbox);
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
            Request::PassOver => self.passes_over = true,
            Request::Leave { left } => self.left = Some(left),
            Request::Sessions { reply } => {
                let _ = reply.send(overview::of(&self.registry, self.totals).into());
            }
        }
    }
}

fn by_id(config: &Config) -> HashMap<String, Arc<Endpoint>> {
    config.endpoints.iter().map(|endpoint| (endpoint.id.clone(), Arc::clone(endpoint))).collect()
}
