//! What the rest of the runtime may ask of the dispatcher, and what it hears of sessions.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::config::Config;

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
    /// What the hub says from now on is for nobody; its pongs still count.
    PassOver,
    /// Nothing is left to do. What is still there is left to the end of the process.
    Leave {
        /// Dropped when it has left.
        left: Sender<Infallible>,
    },
    /// What exists just now.
    Sessions {
        /// Gets them. Boxed, as are others that are sent now and then: a channel's code is
        /// compiled anew for each size of what goes over it.
        reply: Sender<Box<Overview>>,
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
