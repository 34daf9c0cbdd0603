//! What the hub believes about its sessions. Pure: no sockets.
//!
//! A hub keeps these states over a restart and over the loss of a runtime, so
//! a `turn.started` without its `turn.completed` locks a user out for good.
//!
//! | handled            | newer hub                    | older hub  |
//! |--------------------|------------------------------|------------|
//! | `session.created`  | active, or closed if not ok  | unchanged  |
//! | `turn.started`     | responding                   | responding |
//! | `turn.completed`   | active, even if closed       | active     |

use std::collections::HashMap;

use serde_json::Value;

use super::frame::Frame;
use crate::protocol::Dialect;

/// What a hub shows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Made, nothing heard of it yet. Users may write.
    Created,
    /// Users may write.
    Active,
    /// A turn is open: where sessions are turn-based, users may not write.
    Responding,
    /// Refused by the runtime.
    Closed,
}

/// One session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub endpoint: String,
    pub user: String,
    pub state: SessionState,
}

/// All of them, by id.
pub(super) type Sessions = HashMap<String, Session>;

impl Session {
    pub fn new(endpoint: &str, user: &str) -> Self {
        let state = SessionState::Created;
        Self { endpoint: endpoint.to_owned(), user: user.to_owned(), state }
    }

    /// Follows a message of the runtime.
    pub fn handled(&mut self, dialect: Dialect, frame: &Frame) {
        self.state = match frame.kind() {
            "session.created" if dialect == Dialect::Agent => {
                if frame.field("ok") == &Value::Bool(true) {
                    SessionState::Active
                } else {
                    SessionState::Closed
                }
            }
            "turn.started" => SessionState::Responding,
            "turn.completed" => SessionState::Active,
            _ => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loopback::Direction;

    fn after(dialect: Dialect, frames: &[&str]) -> SessionState {
        let mut session = Session::new("sh", "ann");
        for text in frames {
            let text = (*text).to_owned().into();
            session.handled(dialect, &Frame::new(1, Direction::FromRuntime, text));
        }
        session.state
    }

    const OK: &str = r#"{"type":"session.created","payload":{"ok":true}}"#;
    const REFUSED: &str = r#"{"type":"session.created","payload":{"ok":false}}"#;
    const STARTED: &str = r#"{"type":"turn.started"}"#;
    const COMPLETED: &str = r#"{"type":"turn.completed"}"#;

    #[test]
    fn only_newer_hubs_hear_session_created() {
        assert_eq!(after(Dialect::Agent, &[OK]), SessionState::Active);
        assert_eq!(after(Dialect::Agent, &[REFUSED]), SessionState::Closed);
        assert_eq!(after(Dialect::Endpoint, &[REFUSED]), SessionState::Created);
    }

    #[test]
    fn a_turn_locks_until_it_is_completed() {
        for dialect in [Dialect::Agent, Dialect::Endpoint] {
            assert_eq!(after(dialect, &[STARTED]), SessionState::Responding);
            assert_eq!(after(dialect, &[STARTED, COMPLETED]), SessionState::Active);
        }
        assert_eq!(after(Dialect::Agent, &[STARTED, OK]), SessionState::Active);
        assert_eq!(after(Dialect::Agent, &[REFUSED, COMPLETED]), SessionState::Active);
    }
}
