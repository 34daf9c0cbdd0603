//! The thread that owns the connection's lifecycle: when to dial, with which
//! token, what an end means, and the end of it all.
//!
//! | phase   | leaves it                                                          |
//! |---------|--------------------------------------------------------------------|
//! | dialing | registered → up; failed → waiting; stuck → let go, waiting         |
//! | up      | ended → waiting; closed by us → dialing                            |
//! | waiting | its time has come → dialing                                        |
//!
//! It only waits for its inbox, with a deadline: a dial runs in a thread of its
//! own, so a shutdown or changed settings are heard at once. One connection at
//! a time: the old socket is closed before a new one is dialled. It knows
//! nothing of what is sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{error, info, warn};

use super::backoff::Backoff;
use super::clock;
use super::credentials::{Credentials, Next, Origin};
use super::dial::{self, Cancel, DialError, DialPlan, Dialed};
use super::end::LinkEnd;
use super::link::Link;
use super::outbox::{Command, Outbox};
use super::reader::Reader;
use super::redial::{Redials, Verdict};
use super::status::{LinkState, Shared};
use super::window::Undelivered;
use super::writer::{LinkCommand, WriterEvent};
use super::{Ear, Early, HubEvent, HubSettings};
use crate::logging::Quoted;
use crate::protocol::inbound::Inbound;
use crate::receive::receive_until;
use crate::secret::Secret;
use crate::threads;

/// Dials that may hang in the system's resolver at once.
const MOST_DIALS: usize = 4;

/// Beyond the limits of its steps, how long a dial may take to resolve names.
const RESOLVER_LIMIT: Duration = Duration::from_secs(30);

/// How long a dial that failed waits until what the hub said all the same is handled.
const UNHEARD_LIMIT: Duration = Duration::from_secs(30);

/// Until the writer has looked whether anything is pending.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Connections that the hub ends at once, in a row, before it is suspected that
/// another process uses this runtime's id.
const SUSPICIOUS: u32 = 3;

/// The last token the hub gave, until it is taken out.
pub type LatestToken = Arc<Mutex<Option<Secret>>>;

/// What the supervisor hears.
pub enum Event {
    /// Settings have changed.
    Update(Box<HubSettings>),
    /// The hub gave a token for the next connection; it is to be taken out.
    TokenRefreshed(LatestToken),
    /// Deliver what is pending, at most until then, and end.
    Shutdown { deadline: Instant },
    /// A dial has ended.
    Dialed { generation: u64, outcome: Result<Box<Dialed>, DialError> },
    /// From the writer.
    Writer(WriterEvent),
}

/// Where the connection stands.
enum Phase {
    Dialing { cancel: Cancel, origin: Origin, late_at: Instant },
    Up(Up),
    Waiting { until: Instant },
}

/// A connection that holds.
struct Up {
    since: Instant,
    closing: bool,
}

/// See the module's head.
pub struct Supervisor {
    settings: HubSettings,
    credentials: Credentials,
    backoff: Backoff,
    redials: Redials,
    ear: Ear,
    to_self: Sender<Event>,
    inbox: Receiver<Event>,
    writer: Outbox,
    shared: Arc<Shared>,
    phase: Phase,
    generation: u64,
    registered_before: bool,
    /// The hub may still believe in the last connection.
    unseen_loss: bool,
    ended_at_once: u32,
    dials: Arc<AtomicUsize>,
    /// When a shutdown must be over.
    deadline: Option<Instant>,
    /// In a shutdown: nothing is left to deliver, or nobody to deliver it to.
    done: bool,
}

impl Supervisor {
    /// Ready to run; nothing is dialled yet.
    pub fn new(
        settings: HubSettings,
        ear: Ear,
        (to_self, inbox): (Sender<Event>, Receiver<Event>),
        writer: Outbox,
        shared: Arc<Shared>,
    ) -> Self {
        let credentials = Credentials::new(settings.token.clone(), Arc::clone(&settings.tokens));
        let backoff =
            Backoff::new(settings.hub.reconnect_interval, settings.hub.max_reconnect_delay);
        Self {
            settings,
            credentials,
            backoff,
            redials: Redials::default(),
            ear,
            to_self,
            inbox,
            writer,
            shared,
            phase: Phase::Waiting { until: Instant::now() },
            generation: 0,
            registered_before: false,
            unseen_loss: false,
            ended_at_once: 0,
            dials: Arc::default(),
            deadline: None,
            done: false,
        }
    }

    /// Runs until a shutdown is over; returns what could not be delivered.
    pub fn run(mut self, writer: JoinHandle<Undelivered>) -> Undelivered {
        loop {
            let look_again = self.look(Instant::now());
            if self.deadline.is_some_and(|deadline| self.done || deadline <= Instant::now()) {
                return self.finish(writer);
            }
            let until = [look_again, self.deadline].into_iter().flatten().min();
            if let Ok(event) = receive_until(&self.inbox, until) {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Update(settings) => self.update(*settings),
            Event::TokenRefreshed(latest) => {
                let token = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some(token) = token else { return };
                self.credentials.refresh(token);
                info!("the hub gave a token for the next connection");
            }
            Event::Shutdown { deadline } => self.shut_down(deadline),
            Event::Dialed { generation, outcome } if generation == self.generation => match outcome
            {
                Ok(dialed) => self.registered(*dialed),
                Err(error) => self.failed(&error),
            },
            // It was let go; whatever came of it is closed by now.
            Event::Dialed { .. } => {}
            Event::Writer(WriterEvent::Ended { generation, end }) => {
                if generation == self.generation {
                    self.ended(&end);
                }
            }
            Event::Writer(WriterEvent::Drained) => self.done = true,
        }
    }

    /// Does what is due; returns when to look again.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => {
                self.dial(now);
                self.look(now)
            }
            Phase::Waiting { until } => Some(*until),
            Phase::Dialing { late_at, .. } if *late_at > now => Some(*late_at),
            Phase::Dialing { .. } => {
                let host = self.settings.hub.url.host.clone();
                let limit = RESOLVER_LIMIT;
                self.failed(&DialError::TimedOut { host, step: "name resolution", limit });
                self.look(now)
            }
            Phase::Up(up) if up.closing => None,
            Phase::Up(_) => self.look_at_redials(now),
        }
    }

    fn look_at_redials(&mut self, now: Instant) -> Option<Instant> {
        if self.shared.hub_pings.load(Ordering::Relaxed) {
            self.redials.cancel();
        }
        let turn_open = self.shared.open_turns.load(Ordering::Relaxed) > 0;
        match self.redials.check(turn_open, now) {
            Verdict::Wait(until) => until,
            Verdict::Redial => {
                info!("dialling again, the hub may have lost sight of this connection");
                self.close(now);
                None
            }
        }
    }

    /// Begins a dial in a thread of its own.
    fn dial(&mut self, now: Instant) {
        if self.dials.load(Ordering::SeqCst) >= MOST_DIALS {
            let until = now + self.backoff.delay();
            warn!(
                "not dialling, {MOST_DIALS} dials hang in name resolution: is the resolver well?"
            );
            self.wait_until(until, LinkState::Waiting);
            return;
        }
        self.generation += 1;
        let generation = self.generation;
        let (token, origin) = self.credentials.next();
        let plan = DialPlan::new(&self.settings, token, Arc::clone(&self.shared.traffic));
        let limits = plan.limits;
        let cancel = Cancel::default();
        let (called_off, to_self) = (cancel.clone(), self.to_self.clone());
        let (ear, dials) = (Arc::clone(&self.ear), Arc::clone(&self.dials));
        dials.fetch_add(1, Ordering::SeqCst);
        let begun = threads::spawn_large("hub-dial", move || {
            let outcome = dial::dial(&plan, &called_off).map(Box::new).map_err(|failure| {
                hand_on(failure.early, &ear);
                failure.error
            });
            dials.fetch_sub(1, Ordering::SeqCst);
            // Nobody listens after a shutdown.
            let _ = to_self.send(Event::Dialed { generation, outcome });
        });
        if let Err(error) = begun {
            self.dials.fetch_sub(1, Ordering::SeqCst);
            let until = now + self.backoff.delay();
            warn!("not dialling, no thread to be had error={error}");
            self.wait_until(until, LinkState::Waiting);
            return;
        }
        let late_at = now + RESOLVER_LIMIT + limits.connect + limits.handshake * 3 + limits.ack;
        self.shared.set_state(LinkState::Connecting, None);
        self.phase = Phase::Dialing { cancel, origin, late_at };
    }

    fn registered(&mut self, dialed: Dialed) {
        if !matches!(self.phase, Phase::Dialing { .. }) {
            return;
        }
        let now = Instant::now();
        let Dialed { socket, early, report } = dialed;
        let link = Arc::new(Link::new(socket, self.generation));
        let first = !std::mem::replace(&mut self.registered_before, true);
        info!(
            "registered with the hub url={} runtime={} address={} took={:?}",
            Quoted(&self.settings.hub.url.text),
            Quoted(&self.settings.runtime_id),
            report.address,
            report.total()
        );
        self.credentials.registered();
        let redials = &self.settings.timing.redials;
        let booted = first && clock::since_boot().is_some_and(|since| since < redials.after_boot);
        if std::mem::take(&mut self.unseen_loss) || booted {
            self.redials.plan(redials, now);
        }
        self.tell_writer(LinkCommand::Attach(Arc::clone(&link)));
        let reader = Reader::new(link, early, self.writer.clone(), Arc::clone(&self.shared));
        self.shared.set_state(LinkState::Connected, None);
        self.phase = Phase::Up(Up { since: now, closing: false });
        (self.ear)(HubEvent::Registered { first, reader: Box::new(reader) });
    }

    fn failed(&mut self, error: &DialError) {
        let Phase::Dialing { cancel, origin, .. } = &self.phase else { return };
        // One that is late must not come back after all.
        cancel.call_off();
        // A shutdown does not wait for a hub that is not there.
        self.done |= self.deadline.is_some();
        let next = self.credentials.failed(*origin, error.is_refusal());
        let now = Instant::now();
        self.shared.set_error(error.to_string());
        let runtime = &self.settings.runtime_id;
        if error.is_refusal() && next == Next::Same {
            let delay = self.backoff.refused();
            error!(
                "the hub refuses this runtime, check hub.token and runtime.id runtime={} next_try_in={delay:.1?} error={error}",
                Quoted(runtime)
            );
            self.wait_until(now + delay, LinkState::Refused);
        } else {
            let delay = self.backoff.delay();
            let what = if error.is_refusal() {
                "token refused, the other one is next"
            } else {
                "not connected to the hub"
            };
            warn!("{what} runtime={} next_try_in={delay:.1?} error={error}", Quoted(runtime));
            self.wait_until(now + delay, LinkState::Waiting);
        }
    }

    fn wait_until(&mut self, until: Instant, state: LinkState) {
        self.shared.set_state(state, Some(until));
        self.phase = Phase::Waiting { until };
    }

    fn ended(&mut self, end: &LinkEnd) {
        let now = Instant::now();
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting { until: now });
        let Phase::Up(up) = phase else {
            self.phase = phase;
            return;
        };
        let held = now - up.since;
        self.backoff.held(held);
        self.unseen_loss |= end.is_unseen();
        if *end == LinkEnd::Planned {
            info!("connection closed held={held:.1?}");
            self.wait_until(now, LinkState::Waiting);
            return;
        }
        let delay = self.backoff.delay();
        warn!("connection ended reason={end} held={held:.1?} next_try_in={delay:.1?}");
        self.shared.set_error(end.to_string());
        self.suspect_another(end, held);
        self.wait_until(now + delay, LinkState::Waiting);
    }

    /// A hub closes a connection when another registers with the same id.
    fn suspect_another(&mut self, end: &LinkEnd, held: Duration) {
        let at_once = held < self.settings.hub.reconnect_interval * 3;
        self.ended_at_once = if end.is_by_hub() && at_once { self.ended_at_once + 1 } else { 0 };
        if self.ended_at_once > 0 && self.ended_at_once.is_multiple_of(SUSPICIOUS) {
            warn!(
                "the hub ended {} connections in a row at once: another process may use this runtime id runtime={}",
                self.ended_at_once,
                Quoted(&self.settings.runtime_id)
            );
        }
    }

    /// Closes the connection in order to dial again.
    fn close(&mut self, now: Instant) {
        if let Phase::Up(up) = &mut self.phase {
            up.closing = true;
            let by = now + self.settings.timing.moments.confirm;
            self.tell_writer(LinkCommand::Close { by });
        }
    }

    fn update(&mut self, settings: HubSettings) {
        let old = std::mem::replace(&mut self.settings, settings);
        let new = &self.settings;
        self.backoff.reconfigure(new.hub.reconnect_interval, new.hub.max_reconnect_delay);
        let other_token = old.token != new.token;
        let other_hub = new.is_other_hub(&old);
        let other_way = new.needs_other_connection(&old);
        if other_token || other_hub {
            self.credentials = Credentials::new(new.token.clone(), Arc::clone(&new.tokens));
        }
        if other_hub {
            self.shared.hub_pings.store(false, Ordering::Relaxed);
            self.redials.cancel();
        }
        let now = Instant::now();
        match &self.phase {
            Phase::Up(_) if other_way => {
                info!("settings of the connection changed, dialling again");
                self.close(now);
            }
            Phase::Dialing { cancel, .. } if other_way || other_token => {
                cancel.call_off();
                self.wait_until(now, LinkState::Waiting);
            }
            Phase::Waiting { .. } if other_way || other_token => {
                self.wait_until(now, LinkState::Waiting);
            }
            _ => {}
        }
    }

    fn shut_down(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        self.tell_writer(LinkCommand::Drain);
        // One more try, unless it is pointless: the hub refuses, or the writer
        // says in a moment that nothing is pending.
        if let Phase::Waiting { until } = &mut self.phase {
            *until = Instant::now() + A_MOMENT;
            self.done = self.shared.snapshot().state == LinkState::Refused;
        }
    }

    /// The end: closes what there is and waits for the writer, which waits for
    /// nothing but its deadline and whoever reads the connection.
    fn finish(self, writer: JoinHandle<Undelivered>) -> Undelivered {
        if let Phase::Dialing { cancel, .. } = &self.phase {
            cancel.call_off();
        }
        let by = self.deadline.unwrap_or_else(Instant::now);
        self.tell_writer(LinkCommand::Quit { by });
        let undelivered = writer.join().unwrap_or_default();
        self.shared.set_state(LinkState::Stopped, None);
        if undelivered.entries > 0 {
            warn!(
                "messages left undelivered entries={} sessions={}",
                undelivered.entries, undelivered.sessions
            );
        }
        undelivered
    }

    fn tell_writer(&self, command: LinkCommand) {
        self.writer.tell(Command::Link(command));
    }
}

/// Hands on what the hub said on a connection that came to nothing, and waits until
/// that is handled.
fn hand_on(messages: Vec<Inbound>, ear: &Ear) {
    if messages.is_empty() {
        return;
    }
    let (unheard, heard) = bounded(0);
    ear(HubEvent::Early(Early { messages: messages.into(), _unheard: unheard }));
    // Nothing ever comes: it ends with the messages.
    let _ = heard.recv_timeout(UNHEARD_LIMIT);
}
