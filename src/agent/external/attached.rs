//! One session as an adapter's thread sees it: where its output goes, which
//! turn is open, what the adapter has asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::message::ToAdapter;
use crate::agent::{AgentEvent, AgentEvents, PermissionRequest, TurnEnd};
use crate::files::Offered;
use crate::ids;
use crate::protocol::outbound::{Channel, FileMeta};
use crate::session::output::SessionOutput;
use crate::session::stream::OutputStream;
use crate::wake::Waker;

/// Questions of one session that may wait for their answers in here.
const MOST_ASKED: usize = 64;

/// A session that is attached to an adapter.
pub struct Attached {
    /// Its number in this process.
    pub number: u64,
    /// The hub's id.
    pub session_id: Arc<str>,
    /// The open turn.
    pub turn: Option<OpenTurn>,
    /// Lines about files that came while there was no process.
    pub files: Vec<Vec<u8>>,
    user_id: Arc<str>,
    output: Arc<SessionOutput>,
    events: AgentEvents,
    /// The stream that was written to last. One at a time: what an adapter
    /// writes to several channels keeps its order.
    stream: Option<(Channel, OutputStream)>,
    asked: HashSet<String>,
    /// Bytes it could not take since it was last told.
    dropped: u64,
}

/// A turn without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTurn {
    /// Its number in the session.
    pub number: u64,
    /// Whether the adapter was told to stop.
    pub stopped: bool,
}

impl Attached {
    /// A session that has said nothing yet.
    pub fn new(
        number: u64,
        session_id: Arc<str>,
        user_id: Arc<str>,
        output: Arc<SessionOutput>,
        events: AgentEvents,
    ) -> Self {
        Self {
            number,
            session_id,
            turn: None,
            files: Vec::new(),
            user_id,
            output,
            events,
            stream: None,
            asked: HashSet::new(),
            dropped: 0,
        }
    }

    /// What tells the adapter of the session.
    pub fn greeting(&self) -> Vec<u8> {
        ToAdapter::SessionStart { session_id: &self.session_id, user_id: &self.user_id }.line()
    }

    /// Whether it can take more output.
    pub fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Wakes once it can.
    pub fn wake_when_room(&self, waker: Waker) {
        self.output.wake_when_room(waker);
    }

    /// Shows what the adapter wrote; pieces of a stream are gathered.
    pub fn show(&mut self, channel: Channel, content: &str, now: Instant) {
        if content.is_empty() {
            return;
        }
        if !matches!(channel, Channel::Stdout | Channel::Stderr) {
            // Each of these is a thing of its own.
            self.finish();
            self.output.text(&channel, content);
            return;
        }
        if self.stream.as_ref().is_none_or(|(current, _)| *current != channel) {
            self.finish();
            let stream = self.output.stream(channel.clone());
            self.stream = Some((channel, stream));
        }
        if let Some((_, stream)) = &mut self.stream {
            stream.push(content.as_bytes(), now);
        }
    }

    /// Says something in the runtime's own name.
    pub fn system(&mut self, text: &str) {
        self.finish();
        self.output.system(text);
    }

    /// Hands a file over. Through the output, which counts it: an adapter that
    /// offers files for ever is held back like one that writes.
    pub fn hand_over(&mut self, file: &Offered) {
        self.finish();
        let file_id = ids::next_id();
        let metadata = FileMeta {
            file_id: &file_id,
            name: &file.name,
            mime_type: &file.mime_type,
            size: file.data.len(),
        };
        self.output.file_available(&metadata, &file.data);
    }

    /// It could not take so much.
    pub fn drop_output(&mut self, bytes: usize) {
        self.dropped += bytes as u64;
        self.output.drop_bytes(bytes);
    }

    /// Tells what was dropped, now that there is room again.
    pub fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.system(&format!(
                "{dropped} bytes of output were dropped: the connection is slower than the \
                 adapter, which other sessions share."
            ));
        }
    }

    /// Passes a question on; `false`: too many wait already, or this very one.
    pub fn ask(&mut self, request: PermissionRequest) -> bool {
        if self.asked.len() >= MOST_ASKED || !self.asked.insert(request.request_id.clone()) {
            return false;
        }
        self.finish();
        self.events.tell(AgentEvent::PermissionRequested(request));
        true
    }

    /// Whether the running adapter waits for this answer.
    pub fn is_answer(&mut self, request_id: &str) -> bool {
        self.asked.remove(request_id)
    }

    /// The adapter is gone, and with it its questions.
    pub fn forget_questions(&mut self) {
        self.asked.clear();
    }

    /// Ends the open turn, if there is one, after everything it wrote.
    pub fn end_turn(&mut self, exit_code: Option<i32>, note: Option<String>) {
        if let Some(OpenTurn { number, .. }) = self.turn.take() {
            self.refuse_turn(number, exit_code, note);
        }
    }

    /// Ends a turn that was never opened here.
    pub fn refuse_turn(&mut self, turn: u64, exit_code: Option<i32>, note: Option<String>) {
        self.finish();
        self.tell_dropped();
        self.events.tell(AgentEvent::TurnEnded(TurnEnd { turn, exit_code, note, running: false }));
    }

    /// The session is over: nothing follows.
    pub fn closed(mut self) {
        self.end_turn(None, None);
        self.finish();
        self.events.tell(AgentEvent::Closed);
    }

    /// When gathered output must go.
    pub fn due(&self) -> Option<Instant> {
        self.stream.as_ref().and_then(|(_, stream)| stream.due())
    }

    /// Sends gathered output whose time has come.
    pub fn send_due(&mut self, now: Instant) {
        if let Some((_, stream)) = &mut self.stream
            && stream.due().is_some_and(|due| due <= now)
        {
            stream.flush(now);
        }
    }

    fn finish(&mut self) {
        if let Some((_, stream)) = &mut self.stream {
            stream.finish();
        }
    }
}
