//! `agent.output`, the one frame that is made for every chunk of every agent.
//!
//! The envelope is written around the content as it is escaped, into one
//! `String` reserved beforehand: no value tree, no second copy, no second
//! validation (see [`escape`](super::escape)). Content may come in pieces that
//! are cut anywhere, also within a character.
//!
//! Cost: 2.6 instructions a byte for 80-byte lines, all of them in `escape`; some
//! 4,000 for the envelope itself, half of them the timestamp and the ids.

use std::fmt::Write as _;

use super::envelope::{Envelope, push_string};
use super::escape::escape_json;
use super::outbound::{Channel, Frame};

/// An `agent.output` whose content is being written.
pub struct OutputFrame {
    envelope: Envelope,
    /// Bytes of a character that is not complete yet.
    open: Vec<u8>,
}

impl OutputFrame {
    /// Begins the frame; about `content_len` bytes of content are going to follow.
    /// The envelope's id is the `message_id` as well: a browser replaces an entry
    /// that has the same one, so each chunk has its own and keeps it when re-sent.
    pub fn begin(session_id: &str, seq: u64, channel: &Channel, content_len: usize) -> Self {
        // One byte in 16 may need an escape before the text has to grow. The
        // payload's own names and numbers are 110 bytes.
        let payload_len = 128 + 2 * session_id.len() + content_len + content_len / 16;
        let mut envelope = Envelope::open("agent.output", Some(session_id), payload_len);
        let Envelope { id, text } = &mut envelope;
        text.push_str("{\"session_id\":");
        push_string(text, session_id);
        text.push_str(",\"message_id\":");
        push_string(text, id);
        // Writing into a String cannot fail.
        let _ = write!(text, ",\"seq\":{seq},\"channel\":");
        push_string(text, channel.as_str());
        text.push_str(",\"content\":\"");
        Self { envelope, open: Vec::new() }
    }

    /// Adds content. Bytes that are no UTF-8 become U+FFFD.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if !self.open.is_empty() {
            // Three more bytes settle whatever was open: at most four make a character.
            let held = self.open.len();
            self.open.extend_from_slice(&bytes[..bytes.len().min(3)]);
            let taken = escape_json(&self.open, &mut self.envelope.text);
            if taken == 0 {
                return;
            }
            // The open bytes were taken together, since each prefix of them is open as well.
            bytes = &bytes[taken - held..];
            self.open = Vec::new();
        }
        let taken = escape_json(bytes, &mut self.envelope.text);
        self.open.extend_from_slice(&bytes[taken..]);
    }

    /// Ends the frame. A character that was never completed becomes one U+FFFD.
    pub fn finish(mut self) -> Frame {
        if !self.open.is_empty() {
            self.envelope.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.envelope.text.push_str("\",\"final\":false}");
        self.envelope.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(frame: &Frame) -> String {
        let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
        value["payload"]["content"].as_str().unwrap().to_owned()
    }

    fn framed(pieces: &[&[u8]]) -> Frame {
        let mut frame = OutputFrame::begin("s", 1, &Channel::Stdout, 8);
        for piece in pieces {
            frame.push(piece);
        }
        frame.finish()
    }

    #[test]
    fn the_whole_frame_is_what_a_hub_expects() {
        let mut frame = OutputFrame::begin("s-1", 7, &Channel::Stderr, 3);
        frame.push(b"a\n\x1b");
        let frame = frame.finish();
        let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
        assert!(humantime::parse_rfc3339(value["ts"].as_str().unwrap()).is_ok());
        let expected = serde_json::json!({
            "type": "agent.output", "id": frame.id, "session_id": "s-1", "ts": value["ts"],
            "payload": {
                "session_id": "s-1", "message_id": frame.id, "seq": 7, "channel": "stderr",
                "content": "a\n\u{1b}", "final": false
            }
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn content_may_be_cut_anywhere() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let parts: [&[u8]; 8] = [
            b"text",
            b"\n",
            "é".as_bytes(),
            "€".as_bytes(),
            "😀".as_bytes(),
            b"\xff",
            b"\xe2\x82",
            b"\xf0\x9f",
        ];
        for _ in 0..3_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.usize(..12) {
                bytes.extend_from_slice(random.choice(parts).unwrap_or_default());
            }
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(..=rest.len().min(5)));
                pieces.push(piece);
                rest = after;
            }
            let got = content(&framed(&pieces));
            assert_eq!(got, String::from_utf8_lossy(&bytes), "seed {seed}: {pieces:x?}");
        }
    }

    #[test]
    fn usual_content_needs_one_allocation_and_escapes_waste_none() {
        let lines =
            b"0123456789012345678901234567890123456789012345678901234567890123456789012345678\n";
        let usual = lines.repeat(819);
        let mut frame = OutputFrame::begin("s", 1, &Channel::Stdout, usual.len());
        let reserved = frame.envelope.text.capacity();
        frame.push(&usual);
        assert_eq!(frame.envelope.text.capacity(), reserved);

        let worst = framed(&[&vec![1; 64 * 1024]]);
        assert!(worst.text.len() < 512 * 1024, "{} bytes", worst.text.len());
        assert!(worst.text.capacity() <= worst.text.len() + worst.text.len() / 8 + 256);
    }
}
