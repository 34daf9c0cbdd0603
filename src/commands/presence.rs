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
        Ok(_) | Err(AskError::Denied { .. } | AskError::Broken { .. }) => {
            let said = "a runtime runs that does not tell this user how it fares".into();
            return Presence::Running { said, connected: None };
        }
        Err(AskError::NotRunning { .. }) => {}
    }
    let own = config.runtime.state_dir.as_path();
    let mut places = vec![own.to_owned()];
    places.extend(own.file_name().map(|name| Path::new(state::SYSTEM).join(name)));
    let mut known = places.iter().map(|place| of_lock(place));
    known.find(|found| *found != Presence::Nobody).unwrap_or(Presence::Nobody)
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
