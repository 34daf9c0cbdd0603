//! Whether the runtime of a configuration is running here already. Nothing is
//! changed by looking.

use std::io;
use std::path::Path;

use super::status::sockets;
use crate::config::Config;
use crate::control::{Answer, AskError, Request, client};
use crate::logging::Quoted;
use crate::state;

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does not run here.
    Nobody,
    /// It does.
    Running {
        /// Who it is and how it fares, in words.
        said: String,
        /// Whether it is connected; `None` where it does not tell.
        connected: Option<bool>,
    },
    /// Its state is out of our sight.
    Unknown {
        /// Why, and what to do.
        why: String,
    },
}

/// Asks whoever listens, then looks at the locks: a service has its state
/// elsewhere than the person who looks after it.
pub fn of(config: &Config) -> Presence {
    match client::ask(&sockets(config), &Request::Status) {
        Ok(Answer::Status(report)) => {
            let connection = &report.connection;
            let mut said = format!("process {} runs and is {}", report.pid, connection.state);
            if !connection.connected
                && let Some(error) = &connection.last_error
            {
                said.push_str(&format!(": {}", Quoted(error)));
            }
            return Presence::Running { said, connected: Some(connection.connected) };
        }
        Ok(_) | Err(AskError::Broken { .. }) => {
            let said = "a runtime runs that does not tell this user how it fares".into();
            return Presence::Running { said, connected: None };
        }
        // Denied may also mean a directory of somebody else's service: the locks tell.
        Err(AskError::NotRunning { .. } | AskError::Denied { .. }) => {}
    }
    let own = config.runtime.state_dir.as_path();
    let system = own.file_name().map(|name| Path::new(state::SYSTEM).join(name));
    match (of_lock(own), system.map(|place| of_lock(&place))) {
        (Presence::Nobody, Some(running @ Presence::Running { .. })) => running,
        // Whoever may read a service's configuration may look at its state; a
        // place that is closed to us is no matter of this configuration.
        (found, _) => found,
    }
}

fn of_lock(place: &Path) -> Presence {
    match state::held(place) {
        Ok(None) => Presence::Nobody,
        Ok(Some(held)) => {
            let who = held.pid.map_or_else(|| "a process".into(), |pid| format!("process {pid}"));
            let said = format!("{who} has the lock in {}", place.display());
            Presence::Running { said, connected: None }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Presence::Nobody,
        Err(error) => Presence::Unknown {
            why: format!(
                "{} cannot be looked into: {error}; run this as the service's user or as root",
                place.display()
            ),
        },
    }
}
