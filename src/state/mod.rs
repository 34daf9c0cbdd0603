//! What outlives the process: the lock, the journal, the refreshed token, all in
//! one private directory for each `runtime.id`.
//!
//! Two threads: `journal` writes, `disk` waits for the disk. That the directory
//! cannot be used is logged and never fatal; that another process uses it is.

pub mod dir;
mod disk;
pub mod journal;
mod lock;
#[cfg(unix)]
mod stand_in;
pub mod token;

#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{error, fmt, io};

use log::{error, warn};

use self::dir::{OpenError, StateDir};
use self::disk::DiskThread;
use self::journal::JournalThread;
use self::journal::store::Store;
use self::token::{Binding, TokenStore};

pub use self::journal::ledger::Recovery;
pub use self::journal::records::{
    EndedTurn, MessageRef, OpenTurn, RememberedSession, Run, Undelivered,
};
pub use self::journal::{Health, Journal, LONGEST_WAIT};
pub use self::lock::{Held, held};
#[cfg(unix)]
pub use self::stand_in::stand_in;

/// Where the packaged service keeps its state: below it, a directory for each `runtime.id`.
pub const SYSTEM: &str = "/var/lib/amurg";

/// Another directory for the state, where one is needed: read-only places are
/// a matter of containers.
#[cfg(windows)]
pub fn stand_in(_state_dir: &Path) -> Option<std::path::PathBuf> {
    None
}

/// The owner's end of everything here.
pub struct State {
    dir: Option<Arc<StateDir>>,
    disk: DiskThread,
    journal: Journal,
    journal_thread: Option<JournalThread>,
}

/// Why the service cannot start.
#[derive(Debug)]
pub enum StateError {
    /// Another process works with this directory: exit code 69.
    Held(Held),
    /// The system refuses a thread: exit code 70.
    Thread(io::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(held) => held.fmt(f),
            Self::Thread(error) => {
                write!(
                    f,
                    "the journal's threads cannot be made: {error}; end what else uses up threads"
                )
            }
        }
    }
}

impl error::Error for StateError {}

impl State {
    /// Opens and locks the state directory, reads what the last process left
    /// there and starts the journal of this one. Where the directory cannot be
    /// used, that is logged and there is no journal.
    ///
    /// # Errors
    /// [`StateError::Held`] and [`StateError::Thread`].
    pub fn open(path: &Path, run: Run) -> Result<(Self, Recovery), StateError> {
        let dir = match StateDir::open(path) {
            Ok(dir) => Some(Arc::new(dir)),
            Err(OpenError::Held(held)) => return Err(StateError::Held(held)),
            Err(error @ OpenError::Unusable { .. }) => {
                error!(
                    "no journal: turns that are open when this process dies are not closed: {error}"
                );
                None
            }
        };
        Self::with(dir, run).map_err(StateError::Thread)
    }

    /// Keeps everything in memory only and locks nothing (`try`).
    ///
    /// # Errors
    /// [`StateError::Thread`].
    pub fn in_memory() -> Result<Self, StateError> {
        let run = Run { nonce: String::new(), pid: 0 };
        Self::with(None, run).map(|(state, _)| state).map_err(StateError::Thread)
    }

    fn with(dir: Option<Arc<StateDir>>, run: Run) -> io::Result<(Self, Recovery)> {
        let disk = DiskThread::start()?;
        let store = dir.clone().map(|dir| dir as Arc<dyn Store>);
        let (journal, journal_thread, recovery) = journal::start(store, disk.handle(), run)?;
        Ok((Self { dir, disk, journal, journal_thread }, recovery))
    }

    /// The journal, for everybody who has something to remember.
    pub fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// The refreshed token of one configuration. Reads it from the disk.
    pub fn token_store(&self, binding: Binding) -> TokenStore {
        TokenStore::open(self.dir.clone(), self.disk.handle(), binding)
    }

    /// Ends both threads when everything is on the disk, at the deadline at the
    /// latest, and lets go of the lock.
    pub fn shutdown(self, deadline: Instant) {
        let journal_done = self.journal_thread.is_none_or(|thread| thread.finish(deadline));
        let disk_done = self.disk.finish(deadline);
        if !(journal_done && disk_done) {
            warn!("the disk did not take everything before the deadline");
        }
    }
}
