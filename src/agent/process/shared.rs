//! `spawn_policy: persistent`: one pipe thread for each endpoint, whoever uses
//! it, outliving its sessions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use super::pump::Handle;

/// A command that a shared pipe thread ends by.
pub trait Close {
    /// Ends the process and the thread.
    fn close() -> Self;
}

/// A pipe thread that runs, and the way to it.
pub struct Running<C> {
    /// What its sessions speak through.
    pub owner: Handle<C>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

/// The pipe threads that outlive their sessions, by endpoint. End them with
/// [`Shared::close`].
pub struct Shared<C>(Mutex<HashMap<String, Running<C>>>);

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Close> Shared<C> {
    /// The way to the endpoint's pipe thread, which `start` makes if there is none.
    ///
    /// # Errors
    /// Those of `start`, in words for the user.
    pub fn of(
        &self,
        endpoint_id: &str,
        start: impl FnOnce() -> Result<Running<C>, String>,
    ) -> Result<Handle<C>, String> {
        // Held over the making of a thread, so that there is never a second one.
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.get(endpoint_id) {
            return Ok(running.owner.clone());
        }
        let started = start()?;
        let owner = started.owner.clone();
        running.insert(endpoint_id.to_owned(), started);
        Ok(owner)
    }

    /// Begins to end every process; the threads that are to be waited for, six
    /// seconds at most, whatever the processes do.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        let running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let close = |one: Running<C>| {
            one.owner.send(C::close());
            one.thread
        };
        running.into_values().map(close).collect()
    }
}
