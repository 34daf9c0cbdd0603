//! `spawn_policy: persistent`: one process for each endpoint, whoever uses it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use super::owner::{Command, Owner, Whose};
use crate::agent::process::pump::{self, Handle};
use crate::agent::process::start::Kit;
use crate::config::Endpoint;
use crate::threads;

use std::sync::Arc;

/// The processes that outlive their sessions, by endpoint. Shared by all
/// sessions; end them with [`SharedProcesses::shutdown`].
#[derive(Default)]
pub struct SharedProcesses(Mutex<HashMap<String, Running>>);

struct Running {
    owner: Handle<Command>,
    thread: JoinHandle<()>,
}

impl SharedProcesses {
    /// The way to the endpoint's process. It is started by its first message.
    ///
    /// # Errors
    /// When there is no thread for it, or it could not be started as things are
    /// now, in words for the user.
    pub(super) fn of(&self, endpoint: &Arc<Endpoint>, kit: &Kit) -> Result<Handle<Command>, String> {
        let scarce = |error: std::io::Error| {
            format!("no thread or descriptor for the agent: {error}; close some sessions")
        };
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.get(&endpoint.id) {
            return Ok(running.owner.clone());
        }
        let (handle, inbox) = pump::channel().map_err(scarce)?;
        let owner = Owner::new(kit.clone(), Arc::clone(endpoint), Whose::Shared, inbox.waker());
        owner.check().map_err(|error| error.to_string())?;
        let name = format!("pipe {}", endpoint.id);
        let thread = threads::spawn(name, move || owner.run(None, &inbox)).map_err(scarce)?;
        running.insert(endpoint.id.clone(), Running { owner: handle.clone(), thread });
        Ok(handle)
    }

    /// Ends every process and waits for that: six seconds at most, whatever they do.
    pub fn shutdown(&self) {
        let running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for one in running.values() {
            one.owner.send(Command::Close);
        }
        for one in running.into_values() {
            // A panic in there has been told already, and ends the process.
            let _ = one.thread.join();
        }
    }
}
