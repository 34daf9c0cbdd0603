//! The envelope around every payload, written as text from left to right.
//!
//! It knows the envelope's own fields; what the payload holds is its caller's.

use std::fmt::Write as _;

use super::escape::escape_str;
use super::outbound::Frame;
use crate::{ids, timestamp};

/// An envelope whose payload is being written.
pub(super) struct Envelope {
    /// The envelope's id.
    pub id: String,
    /// Everything up to and including the payload as far as it is written.
    pub text: String,
}

impl Envelope {
    /// Begins an envelope and reserves `payload_len` bytes for what follows.
    pub fn open(kind: &str, session_id: Option<&str>, payload_len: usize) -> Self {
        let id = ids::next_id();
        // The names, quotes and the stamp are 80 bytes.
        let head_len = 96 + kind.len() + id.len() + session_id.map_or(0, str::len);
        let mut text = String::with_capacity(head_len + payload_len);
        text.push_str("{\"type\":");
        push_string(&mut text, kind);
        text.push_str(",\"id\":");
        push_string(&mut text, &id);
        if let Some(session_id) = session_id {
            text.push_str(",\"session_id\":");
            push_string(&mut text, session_id);
        }
        text.push_str(",\"ts\":\"");
        // Writing into a String cannot fail.
        let _ = write!(text, "{}", timestamp::now());
        text.push_str("\",\"payload\":");
        Self { id, text }
    }

    /// Ends the envelope. Room that turned out not to be needed is given back,
    /// since a frame may wait for long and is counted by its length.
    pub fn close(mut self) -> Frame {
        self.text.push('}');
        if self.text.capacity() - self.text.len() > self.text.len() / 8 + 256 {
            self.text.shrink_to_fit();
        }
        Frame { id: self.id, text: self.text }
    }
}

/// Appends a JSON string.
pub(super) fn push_string(text: &mut String, value: &str) {
    text.push('"');
    escape_str(value, text);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_stay_inside_their_string() {
        let mut envelope = Envelope::open("stop.ack", Some("a\",\"type\":\"x\n"), 2);
        envelope.text.push_str("{}");
        let frame = envelope.close();
        let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
        assert_eq!(value["session_id"], "a\",\"type\":\"x\n");
        assert_eq!(value["type"], "stop.ack");
        assert_eq!(value["id"], frame.id);
        assert_eq!(frame.text.lines().count(), 1);
    }
}
