//! `spawn_policy: persistent`: the endpoint's process, for whoever uses it.

use std::path::Path;
use std::sync::Arc;

use super::Process;
use super::command::Command;
use super::owner::{Owner, Whose};
use crate::agent::process::inbox::{self, Handle};
use crate::agent::process::shared::{Close, Shared};
use crate::agent::process::start::Kit;
use crate::config::Endpoint;
use crate::threads;

/// The processes that outlive their sessions, by endpoint. Shared by all
/// sessions; end them with [`Shared::close`].
#[derive(Default)]
pub struct SharedProcesses(pub Shared<Command>);

impl Close for Command {
    fn close() -> Self {
        Self::Close
    }
}

/// The endpoint's process, as each of its sessions reaches it.
impl Process for Handle<Command> {
    fn tell(&mut self, command: Command) -> bool {
        self.send(command)
    }
}

impl SharedProcesses {
    /// The way to the endpoint's process. It is started by its first message,
    /// and may see the `uploads` of all its sessions.
    ///
    /// # Errors
    /// When there is no thread for it, or it could not be started as things are
    /// now, in words for the user.
    pub(super) fn of(
        &self,
        endpoint: &Arc<Endpoint>,
        uploads: Option<&Path>,
        kit: &Kit,
    ) -> Result<Handle<Command>, String> {
        let scarce = |error: std::io::Error| {
            format!("no thread or descriptor for the agent: {error}; close some sessions")
        };
        self.0.of(&endpoint.id, |alive| {
            let (owner, inbox) = inbox::channel().map_err(scarce)?;
            let whose = Whose::Shared { uploads: uploads.map(Path::to_owned) };
            let there = Owner::new(kit.clone(), Arc::clone(endpoint), whose, inbox.waker());
            there.check().map_err(|error| error.to_string())?;
            let name = format!("pipe {}", endpoint.id);
            let run = move || {
                let _alive = alive;
                there.run(&inbox);
            };
            threads::spawn(name, run).map_err(scarce)?;
            Ok(owner)
        })
    }
}
