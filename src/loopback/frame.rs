//! One text message of a connection, with the little that is looked at of most.

use std::sync::OnceLock;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;
use tungstenite::Utf8Bytes;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Runtime → hub.
    FromRuntime,
    /// Hub → runtime.
    ToRuntime,
}

/// One text message.
#[derive(Debug)]
pub struct Frame {
    /// Number of its connection, counted from 1.
    pub connection: u64,
    /// Who said it.
    pub direction: Direction,
    /// When the hub handled it, or put it into a connection's queue.
    pub at: Instant,
    text: Utf8Bytes,
    kind: Box<str>,
    session: Option<Box<str>>,
    value: OnceLock<Value>,
}

/// The few fields the hub itself looks at; everything else is skipped, so that
/// a flood of output costs no value trees.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: Box<str>,
    session_id: Option<Box<str>>,
    payload: Option<PayloadHead>,
}

#[derive(Deserialize)]
struct PayloadHead {
    session_id: Option<Box<str>>,
}

impl Frame {
    pub(super) fn new(connection: u64, direction: Direction, text: Utf8Bytes) -> Self {
        let (kind, session) = match serde_json::from_str::<Head>(&text) {
            Ok(head) => {
                (head.kind, head.payload.and_then(|payload| payload.session_id).or(head.session_id))
            }
            Err(_) => (Box::default(), None),
        };
        let value = OnceLock::new();
        Self { connection, direction, at: Instant::now(), text, kind, session, value }
    }

    /// The message as it was on the wire.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The envelope's `type`; empty where the text is no envelope.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether the runtime sent it with this `type`.
    pub fn is(&self, kind: &str) -> bool {
        self.direction == Direction::FromRuntime && self.kind() == kind
    }

    /// The session it belongs to; the payload's id wins over the envelope's.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The whole envelope, parsed at the first call; `Null` where it is not JSON.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| serde_json::from_str(&self.text).unwrap_or_default())
    }

    /// A field of the payload; `Null` where there is none.
    pub fn field(&self, name: &str) -> &Value {
        &self.value()["payload"][name]
    }

    /// A text field of the payload; empty where there is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Frame {
        Frame::new(1, Direction::FromRuntime, text.into())
    }

    const OUTPUT: &str = r#"{"type":"agent.output","session_id":"outer",
        "payload":{"session_id":"inner","content":"x"}}"#;

    #[test]
    fn the_payloads_session_wins() {
        let frame = said(OUTPUT);
        assert_eq!(frame.kind(), "agent.output");
        assert_eq!(frame.session(), Some("inner"));
        assert_eq!(frame.text_of("content"), "x");
    }

    #[test]
    fn what_is_no_envelope_is_kept_as_text() {
        let frame = said("{]");
        assert_eq!((frame.kind(), frame.value(), frame.text()), ("", &Value::Null, "{]"));
    }
}
