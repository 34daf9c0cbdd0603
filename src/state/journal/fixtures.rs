//! Records for tests, in a few words.

use super::records::{EndedTurn, MessageRef, OpenTurn, Record, RememberedSession};
use crate::protocol::outbound::Frame;

pub(super) fn message(session: &str, message: &str) -> MessageRef {
    MessageRef { session_id: session.into(), message_id: message.into() }
}

pub(super) fn session(id: &str) -> Record {
    Record::Session(RememberedSession {
        session_id: id.into(),
        endpoint_id: "endpoint".into(),
        user_id: "user".into(),
        ..RememberedSession::default()
    })
}

pub(super) fn opened(session: &str, message: &str) -> Record {
    Record::TurnOpened(OpenTurn {
        session_id: session.into(),
        message_id: message.into(),
        endpoint_id: "endpoint".into(),
    })
}

pub(super) fn ended(session: &str, message: &str) -> Record {
    Record::TurnEnded(EndedTurn {
        session_id: session.into(),
        message_id: message.into(),
        note: None,
        completed: frame(message),
    })
}

pub(super) fn frame(id: &str) -> Frame {
    Frame { id: id.into(), text: format!("{{\"type\":\"turn.completed\",\"id\":\"{id}\"}}") }
}
