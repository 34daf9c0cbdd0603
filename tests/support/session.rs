//! One session of a scene, and its turns, as their user sees them.

use std::sync::Arc;
use std::time::Instant;

use amurg_runtime::loopback::{Frame, Output};

use super::scene::Scene;
use super::soon;

/// A session.
pub struct Session<'a> {
    pub(super) scene: &'a Scene,
    pub id: String,
}

/// A message and what the agent makes of it.
pub struct Turn<'a> {
    scene: &'a Scene,
    session: String,
    /// The message's id.
    pub message: String,
}

impl<'a> Session<'a> {
    /// Waits for `session.created`; the error is the runtime's.
    pub fn created(&self) -> Result<(), String> {
        let frame = self.wait_for("session.created", "session.created", |_| true);
        if frame.field("ok") == &serde_json::Value::Bool(true) {
            return Ok(());
        }
        Err(frame.text_of("error").to_owned())
    }

    /// Writes a message.
    pub fn say(&self, content: &str) -> Turn<'a> {
        let message = self.scene.client.send_message(&self.id, content);
        self.turn(&message)
    }

    /// The turn of a message that was written in another way.
    pub fn turn(&self, message: &str) -> Turn<'a> {
        let (session, message) = (self.id.clone(), message.to_owned());
        Turn { scene: self.scene, session, message }
    }

    /// Gives the running turn more input.
    pub fn input(&self, content: &str) {
        self.scene.client.interactive_input(&self.id, content);
    }

    /// Stops the running turn, and waits for the acknowledgement.
    pub fn stop(&self) {
        let before = self.count("stop.ack");
        self.scene.client.stop(&self.id);
        let mut seen = 0;
        self.wait_for("stop.ack", "the answer to stop.request", |_| {
            seen += 1;
            seen > before
        });
    }

    /// Closes it as the protocol has it.
    pub fn close(&self) {
        self.scene.client.close_session(&self.id, "the test closes it");
    }

    /// Sends a file.
    pub fn upload(&self, name: &str, data: &[u8]) {
        self.scene.client.upload(&self.id, name, "application/octet-stream", data);
    }

    /// Waits until what came on a channel so far, in one piece, holds `text`.
    pub fn shows(&self, channel: &str, text: &str) {
        let mut so_far = String::new();
        let what = format!("{text:?} on {channel}");
        self.wait_for("agent.output", &what, |frame| {
            if frame.text_of("channel") == channel {
                so_far.push_str(frame.text_of("content"));
            }
            so_far.contains(text)
        });
    }

    /// Everything so far, repeated entries once.
    pub fn output(&self) -> Vec<Output> {
        self.scene.client.output(&self.id)
    }

    /// Everything so far on one channel, in one piece.
    pub fn output_on(&self, channel: &str) -> String {
        let output = self.output();
        output.iter().filter(|one| one.channel == channel).map(|one| one.content.as_str()).collect()
    }

    /// Messages of a kind so far.
    fn count(&self, kind: &str) -> usize {
        let frames = self.scene.hub.frames();
        frames.iter().filter(|frame| frame.is(kind) && frame.session() == Some(&self.id)).count()
    }

    /// Waits for a message of this session and kind that is the wanted one.
    pub fn wait_for(
        &self,
        kind: &str,
        what: &str,
        mut wanted: impl FnMut(&Frame) -> bool,
    ) -> Arc<Frame> {
        let found = self.scene.client.wait_for(soon(), |frame| {
            let ours = frame.is(kind) && frame.session() == Some(&self.id);
            (ours && wanted(frame)).then(|| Arc::clone(frame))
        });
        found.unwrap_or_else(|_| self.scene.fail(what))
    }
}

impl Turn<'_> {
    fn wait_for(&self, kind: &str) -> Arc<Frame> {
        let found = self.scene.client.wait_for(soon(), |frame| self.is_ours(frame, kind));
        found.unwrap_or_else(|_| self.scene.fail(&format!("{kind} of {}", self.message)))
    }

    fn is_ours(&self, frame: &Arc<Frame>, kind: &str) -> Option<Arc<Frame>> {
        let ours = frame.is(kind) && frame.text_of("in_response_to") == self.message;
        ours.then(|| Arc::clone(frame))
    }

    /// Whether it starts before `deadline`.
    pub fn begins_before(&self, deadline: Instant) -> bool {
        let ours = |frame: &Arc<Frame>| self.is_ours(frame, "turn.started");
        self.scene.client.wait_for(deadline, ours).is_ok()
    }

    /// Waits for its start.
    pub fn started(&self) -> &Self {
        self.wait_for("turn.started");
        self
    }

    /// Waits for its end, and answers the exit code.
    pub fn end(&self) -> Option<i64> {
        self.wait_for("turn.completed").field("exit_code").as_i64()
    }

    /// Waits for its end, which must come with this exit code.
    #[track_caller]
    pub fn ended(&self, exit_code: impl Into<Option<i64>>) {
        assert_eq!(self.end(), exit_code.into(), "exit code of the turn");
    }

    /// Waits for its end, and answers what came on stdout meanwhile.
    pub fn output(&self) -> String {
        self.output_on("stdout")
    }

    /// Waits for its end, and answers what came on a channel meanwhile.
    pub fn output_on(&self, channel: &str) -> String {
        self.started().end();
        let frames = self.scene.hub.frames();
        // The same id again is the same entry, sent twice: that of an earlier
        // turn too, which a reconnect may repeat behind our start.
        let mut seen = std::collections::HashSet::new();
        let mut open = false;
        let mut output = String::new();
        for frame in &frames {
            if self.is_ours(frame, "turn.started").is_some() {
                open = true;
            } else if self.is_ours(frame, "turn.completed").is_some() {
                break;
            } else if frame.is("agent.output")
                && frame.session() == Some(&self.session)
                && seen.insert(frame.text_of("message_id").to_owned())
                && open
                && frame.text_of("channel") == channel
            {
                output += frame.text_of("content");
            }
        }
        output
    }
}
