//! `spawn_policy: persistent`: one pipe thread for each endpoint, whoever uses
//! it, outliving its sessions.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::inbox::Handle;

/// A command that a shared pipe thread ends by.
pub trait Close {
    /// Ends the process and the thread.
    fn close() -> Self;
}

/// Held by a shared pipe thread for as long as it runs.
pub struct Alive {
    /// Its end is the message.
    _sender: Sender<()>,
}

/// The pipe threads that outlive their sessions, by endpoint. End them with
/// [`Shared::close`].
pub struct Shared<C> {
    threads: Mutex<Threads<C>>,
    /// Disconnected once nothing is alive and nothing can be started.
    ended: Receiver<()>,
}

struct Threads<C> {
    running: HashMap<String, Handle<C>>,
    /// What new ones are given; `None` once no more are to come.
    alive: Option<Sender<()>>,
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        let (alive, ended) = bounded(0);
        let threads = Threads { running: HashMap::new(), alive: Some(alive) };
        Self { threads: Mutex::new(threads), ended }
    }
}

impl<C: Close> Shared<C> {
    /// The way to the endpoint's pipe thread, which `start` makes if there is none.
    ///
    /// # Errors
    /// Those of `start`, and that everything ends, in words for the user.
    pub fn of(
        &self,
        endpoint_id: &str,
        start: impl FnOnce(Alive) -> Result<Handle<C>, String>,
    ) -> Result<Handle<C>, String> {
        // Held over the making of a thread, so that there is never a second one.
        let mut threads = self.threads();
        if let Some(running) = threads.running.get(endpoint_id) {
            return Ok(running.clone());
        }
        let sender = threads.alive.clone().ok_or("the runtime is shutting down")?;
        let owner = start(Alive { _sender: sender })?;
        threads.running.insert(endpoint_id.to_owned(), owner.clone());
        Ok(owner)
    }

    /// Begins to end the processes of endpoints that do not stay.
    pub fn keep(&self, stays: impl Fn(&str) -> bool) {
        for (_, owner) in self.threads().running.extract_if(|endpoint_id, _| !stays(endpoint_id)) {
            owner.send(C::close());
        }
    }

    /// Begins to end every process, and starts no more.
    pub fn close(&self) {
        self.keep(|_| false);
        self.threads().alive = None;
    }

    /// Waits until every thread has ended. False when `deadline` came before.
    pub fn ended(&self, deadline: Instant) -> bool {
        self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected)
    }

    fn threads(&self) -> MutexGuard<'_, Threads<C>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
