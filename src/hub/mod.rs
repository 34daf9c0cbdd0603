//! The link to the hub: dialling, one connection at a time, and the delivery
//! window that outlives connections.
//!
//! ```text
//!                    dials, decides when
//!        supervisor ────────────────────► dial (a thread for each try)
//!            │  ▲                          connect · proxy · tls · upgrade · hello
//!    attach  ▼  │ ended
//!          writer ───── link ◄───── reader ────► what the hub says
//!            ▲       one socket       │
//!            │                        └─ pongs ─► writer
//!     outbox: lanes of sessions
//! ```
//!
//! Every box but the link and the reader is a thread: the reader is handed to whoever
//! handles what the hub says, and works in that one's.
//!
//! [`Outbox`] is all that sessions know of it. The writer's work lies on a [`desk`],
//! where a session does it for a few words while the writer sleeps. It owns the
//! [`window`]: what was said stays there until the hub is known to have handled
//! it, over as many connections as that takes. Everything that decides about
//! time or order is a pure file of its own (`window`, `backoff`, `liveness`,
//! `redial`, `credentials`) that takes moments as values.

mod backoff;
#[cfg(feature = "tls")]
mod certificate;
mod clock;
mod connect;
mod credentials;
mod desk;
pub mod dial;
mod dial_error;
mod end;
mod hello;
pub mod latch;
mod link;
mod liveness;
pub mod outbox;
mod pongs;
pub mod probe;
pub mod proxy;
mod reader;
mod redial;
mod sending;
mod settings;
mod socket;
pub mod status;
mod supervisor;
#[cfg(feature = "tls")]
pub(crate) mod tls;
mod upgrade;
mod window;
mod writer;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use log::warn;

use self::clock::Alarm;
pub use self::credentials::{NoStore, TokenStore};
use self::desk::{WorkArgs, WriterDesk};
pub use self::dial::DialLimits;
pub use self::liveness::Patience;
use self::outbox::{Budget, Outbox};
pub use self::reader::{Heard, Reader};
pub use self::redial::RedialTimes;
pub use self::settings::{HubSettings, Moments, Timing};
pub use self::socket::Traffic;
use self::status::Shared;
pub use self::status::{LinkState, LinkStatus};
use self::supervisor::{Event, LatestToken, Supervisor};
pub use self::window::Undelivered;
use self::window::Window;
pub use self::window::pace::PingTimes;
use self::writer::Writer;
#[cfg(test)]
pub(crate) use self::{connect::ConnectError, end::LinkEnd, liveness::Gone};
use crate::protocol::inbound::Inbound;
use crate::secret::Secret;
use crate::wake::doorbell::Doorbell;
use crate::{threads, wake};

/// How long [`Hub::shutdown`] may take beyond its deadline to come back.
const OVERTIME: Duration = Duration::from_millis(500);

/// What the link tells whoever handles messages, in order.
#[derive(Debug)]
pub enum HubEvent {
    /// Registered with the hub.
    Registered {
        /// Whether this is the process's first registration.
        first: bool,
        /// What the hub says from now on.
        reader: Box<Reader>,
    },
    /// What a hub said before a registration that came to nothing.
    Early(Early),
}

/// Messages of a connection that came to nothing, oldest first. The next one is not
/// made before this is dropped, so that they do not pile up.
#[derive(Debug)]
pub struct Early {
    messages: VecDeque<Inbound>,
    _unheard: Sender<Infallible>,
}

impl Iterator for Early {
    type Item = Inbound;

    fn next(&mut self) -> Option<Inbound> {
        self.messages.pop_front()
    }
}

/// Whoever handles messages. Called from the link's threads; must not block.
pub type Ear = Arc<dyn Fn(HubEvent) + Send + Sync>;

/// The running link. Dropping it without [`Hub::shutdown`] leaves its threads
/// to the end of the process.
pub struct Hub {
    outbox: Outbox,
    supervisor: Sender<Event>,
    finished: Receiver<Undelivered>,
    shared: Arc<Shared>,
}

/// Starts the link's threads. `ear` is told of every connection and reads it to its
/// end, also during [`Hub::shutdown`]. All sessions together may hold `total_limit`
/// bytes unconfirmed.
///
/// # Errors
/// When the system refuses threads or descriptors.
pub fn start(settings: HubSettings, ear: Ear, total_limit: usize) -> io::Result<Hub> {
    let total = Arc::new(Budget::new(total_limit));
    let shared = Arc::new(Shared::new(Arc::clone(&total)));
    let (commands, said) = unbounded();
    let (waker, bell) = wake::pair()?;
    let (doorbell, attention) = Doorbell::new(waker);
    let (supervisor, inbox) = unbounded();
    let to_supervisor = supervisor.clone();
    let timing = &settings.timing;
    let work = WorkArgs {
        commands: said,
        window: Window::new(Arc::clone(&total), timing.pings, timing.moments.repeat),
        patience: timing.patience,
        farewell: timing.moments.farewell,
        // The supervisor is gone only when the link was shut down.
        tell: Box::new(move |event| drop(to_supervisor.send(Event::Writer(event)))),
        shared: Arc::clone(&shared),
    };
    let desk = Arc::new(WriterDesk::new(work, attention));
    let writer = Writer { desk: Arc::clone(&desk), bell, alarm: Alarm::new()? };
    let outbox = Outbox::new(commands, doorbell, total).with_desk(desk);
    let writer = threads::spawn_large("link-writer", move || writer.run())?;
    let (done, finished) = crossbeam_channel::bounded(1);
    let (own_outbox, own_shared, to_self) =
        (outbox.clone(), Arc::clone(&shared), supervisor.clone());
    threads::spawn("hub", move || {
        let supervisor = Supervisor::new(settings, ear, (to_self, inbox), own_outbox, own_shared);
        let undelivered = supervisor.run(writer);
        // Nobody waits if the deadline has passed.
        let _ = done.send(undelivered);
    })?;
    Ok(Hub { outbox, supervisor, finished, shared })
}

impl Hub {
    /// The way in for sessions.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// Takes changed settings over. The connection is made anew only where what
    /// the hub was told, or how it is reached, has changed.
    pub fn update(&self, settings: HubSettings) {
        self.tell(Event::Update(Box::new(settings)));
    }

    /// Where a token goes that the hub gave for the next connection.
    pub fn token_sink(&self) -> impl Fn(Secret) + Send + use<> {
        let supervisor = self.supervisor.clone();
        // Only the last one matters: a flood of them must not queue up.
        let latest: LatestToken = Arc::default();
        move |token| {
            // Looked at here: what is none must not take the place of one that waits.
            if !credentials::acceptable(&token) {
                return warn!(
                    "token of the hub not taken, it is none: 1 to 8192 visible ASCII characters are"
                );
            }
            let mut held = latest.lock().unwrap_or_else(PoisonError::into_inner);
            if held.replace(token).is_none() {
                // Gone only after a shutdown, when there is no next connection.
                let _ = supervisor.send(Event::TokenRefreshed(Arc::clone(&latest)));
            }
        }
    }

    /// What there is to know of the connection now.
    pub fn status(&self) -> LinkStatus {
        self.shared.snapshot()
    }

    /// Waits until everything is confirmed, closes the connection and returns
    /// what was left at `deadline`. Returns at once when nothing is pending, and
    /// shortly after the deadline at the latest, whatever the hub does.
    pub fn shutdown(self, deadline: Instant) -> Undelivered {
        self.tell(Event::Shutdown { deadline });
        self.finished.recv_deadline(deadline + OVERTIME).unwrap_or_else(|_| {
            let entries = self.shared.snapshot().pending;
            warn!("the link did not end in time pending={entries}");
            Undelivered { entries, sessions: 0 }
        })
    }

    fn tell(&self, event: Event) {
        // The supervisor is gone only after a shutdown, which consumes this handle.
        let _ = self.supervisor.send(event);
    }
}
