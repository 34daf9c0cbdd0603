//! What an agent writes into: its session's lane, with the running number and
//! the moment of the last output.
//!
//! Every message of a session is made here and put into its lane, which keeps
//! the order in which it was called. It does not know turns or processes, nor
//! whether the hub is there.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::gather::{Chunk, LIMIT};
use super::stream::OutputStream;
use crate::agent::PermissionRequest;
use crate::hub::latch::Latch;
use crate::hub::outbox::{Entry, EntryKind, Lane};
use crate::protocol::outbound::{self, Channel, FileMeta, Frame};
use crate::protocol::output_frame::OutputFrame;
use crate::wake::Waker;

/// Answers of one session (`session.created`, `stop.ack`) the hub is not known
/// to have handled. They are in no byte bound, so that they get through when
/// output fills everything; a hub that asks on and on gets no more of them.
const MOST_ANSWERS: usize = 64;

/// What the times of all sessions are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One session's output. Shared by its worker and whatever threads its agent has.
pub struct SessionOutput {
    session_id: Arc<str>,
    lane: Lane,
    /// Number of the last `agent.output`. Threads that write at once may send
    /// theirs out of order; hubs put numbers of their own in place of it.
    seq: AtomicU64,
    /// When the agent last wrote, in milliseconds since [`START`].
    last_output: AtomicU64,
    /// Answers that are not confirmed yet.
    answers: Arc<AtomicUsize>,
    /// Bytes of the agent that had no room and could not wait for any.
    dropped: AtomicU64,
}

impl SessionOutput {
    /// The output of a session whose messages go into `lane`. It counts as having written now.
    pub fn new(session_id: Arc<str>, lane: Lane) -> Arc<Self> {
        let output = Self {
            session_id,
            lane,
            seq: AtomicU64::new(0),
            last_output: AtomicU64::new(0),
            answers: Arc::default(),
            dropped: AtomicU64::new(0),
        };
        output.touch(Instant::now());
        Arc::new(output)
    }

    /// The session's id.
    pub fn session_id(&self) -> &Arc<str> {
        &self.session_id
    }

    /// Whether the agent may be read from.
    pub fn has_room(&self) -> bool {
        self.lane.has_room()
    }

    /// Counts bytes that could not be taken.
    pub fn drop_bytes(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Bytes that could not be taken so far.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Wakes `waker` once there is room; at once if there is room now.
    pub fn wake_when_room(&self, waker: Waker) {
        self.lane.wake_when_room(waker);
    }

    /// Says something to the user in the runtime's own name.
    pub fn system(&self, text: &str) {
        self.send_text(&Channel::System, text);
    }

    /// Sends a whole text of the agent now, in as many messages as it needs.
    pub fn text(&self, channel: &Channel, text: &str) {
        self.touch(Instant::now());
        self.send_text(channel, text);
    }

    /// A stream of the agent.
    pub fn stream(self: &Arc<Self>, channel: Channel) -> OutputStream {
        OutputStream::new(Arc::clone(self), channel)
    }

    /// When the agent last wrote something, to the millisecond.
    pub fn quiet_since(&self) -> Instant {
        *START + Duration::from_millis(self.last_output.load(Ordering::Relaxed))
    }

    /// `session.created`
    pub fn session_created(&self, outcome: Result<(), &str>) {
        self.answer(outbound::session_created(&self.session_id, outcome));
    }

    /// `stop.ack`
    pub fn stop_ack(&self, outcome: Result<(), &str>) {
        self.answer(outbound::stop_ack(&self.session_id, outcome));
    }

    fn answer(&self, frame: Frame) {
        if let Some(place) = AnswersPlace::take(&self.answers) {
            self.send(frame, EntryKind::Control, Some(Box::new(move || drop(place))));
        }
    }

    /// `turn.started`. It goes out with what follows it, or with
    /// [`SessionOutput::hasten`]: the agent's answer is often there at once.
    /// Neither it nor what follows is sent before `written` is open.
    pub fn turn_started(&self, in_response_to: &str, written: &Latch) {
        let frame = outbound::turn_started(&self.session_id, in_response_to);
        let kind = EntryKind::TurnStarted;
        self.lane.send_later(Entry {
            frame,
            kind,
            after: Some(written.clone()),
            on_confirmed: None,
        });
    }

    /// Something for a turn's start or end to wait for.
    pub fn latch(&self) -> Latch {
        self.lane.latch()
    }

    /// What was to go out with something else goes out now, or as soon as what it
    /// waits for is written.
    pub fn hasten(&self) {
        self.lane.hasten();
    }

    /// The `turn.completed` that [`SessionOutput::turn_completed`] sends: the
    /// journal keeps it from before it is sent until it is confirmed.
    pub fn prepare_turn_completed(&self, in_response_to: &str, exit_code: Option<i32>) -> Frame {
        outbound::turn_completed(&self.session_id, in_response_to, exit_code)
    }

    /// Sends a prepared `turn.completed`. `on_confirmed` runs in
    /// whatever thread learns that the hub has handled it, and must not block.
    pub fn turn_completed(&self, frame: Frame, on_confirmed: impl FnOnce() + Send + 'static) {
        self.complete(frame, None, on_confirmed);
        self.hasten();
    }

    /// The same as soon as `written` is open.
    pub fn turn_completed_when(
        &self,
        written: &Latch,
        frame: Frame,
        on_confirmed: impl FnOnce() + Send + 'static,
    ) {
        self.turn_replaced(written, frame, on_confirmed);
        self.hasten();
    }

    /// The same where the `turn.started` of the next turn follows at once.
    pub fn turn_replaced(
        &self,
        written: &Latch,
        frame: Frame,
        on_confirmed: impl FnOnce() + Send + 'static,
    ) {
        self.complete(frame, Some(written.clone()), on_confirmed);
    }

    fn complete(
        &self,
        frame: Frame,
        after: Option<Latch>,
        on_confirmed: impl FnOnce() + Send + 'static,
    ) {
        let on_confirmed: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(on_confirmed));
        let kind = EntryKind::TurnCompleted;
        self.lane.send_later(Entry { frame, kind, after, on_confirmed });
    }

    /// `permission.request`
    pub fn permission_request(&self, request: &PermissionRequest) {
        let frame = outbound::permission_request(&self.session_id, request);
        self.send(frame, EntryKind::Permission, None);
    }

    /// `file.available`
    pub fn file_available(&self, metadata: &FileMeta<'_>, data: &[u8]) {
        let frame = outbound::file_available(&self.session_id, metadata, data);
        self.send(frame, EntryKind::File, None);
    }

    /// Says something to the user unless too much is waiting to be said already:
    /// for what a hub can cause without end.
    pub fn system_if_room(&self, text: &str) {
        if self.lane.has_room() {
            self.system(text);
        }
    }

    /// Sends a frame of an earlier run again, exactly so.
    pub fn send_again(&self, frame: Frame, kind: EntryKind) {
        self.send(frame, kind, None);
    }

    /// Refuses a `session.create`: in the answer and, since older hubs tell
    /// nobody of that, in a `system` line. A hub that asks without end and does
    /// not read is not answered any more once there is no room.
    pub fn refuse_session(&self, why: &str) {
        if self.lane.has_room() {
            self.session_created(Err(why));
            self.system(why);
        }
    }

    /// Closes a message that never had a turn.
    pub fn refuse_message(&self, message_id: &str, why: &str) {
        if self.lane.has_room() {
            self.system(why);
            self.turn_completed(self.prepare_turn_completed(message_id, None), || {});
        }
    }

    /// Changes how much may wait unconfirmed, in encoded bytes.
    pub fn set_limit(&self, bytes: usize) {
        self.lane.set_limit(bytes);
    }

    /// Encoded bytes that the hub is not known to have handled.
    pub fn buffered(&self) -> usize {
        self.lane.buffered()
    }

    /// The session is over: nothing more will be said.
    pub fn release(&self) {
        self.lane.release();
    }

    /// The agent wrote something at `now`.
    pub(super) fn touch(&self, now: Instant) {
        let millis = now.saturating_duration_since(*START).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        // Several threads read one agent: the latest counts.
        self.last_output.fetch_max(millis, Ordering::Relaxed);
    }

    /// Sends one chunk, which does not end within a character unless nothing follows.
    pub(super) fn send_chunk(&self, channel: &Channel, chunk: Chunk<'_>) {
        self.lane.send(self.chunk(channel, chunk));
    }

    /// The same for a chunk that goes out with what follows it.
    pub(super) fn send_chunk_later(&self, channel: &Channel, chunk: Chunk<'_>) {
        self.lane.send_later(self.chunk(channel, chunk));
    }

    fn chunk(&self, channel: &Channel, chunk: Chunk<'_>) -> Entry {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let mut frame = OutputFrame::begin(&self.session_id, seq, channel, chunk.len());
        frame.push(chunk.waiting);
        frame.push(chunk.new);
        let frame = frame.finish();
        Entry { frame, kind: EntryKind::Output, after: None, on_confirmed: None }
    }

    fn send_text(&self, channel: &Channel, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let whole = Chunk { waiting: &[], new: rest };
            let end = if rest.len() <= LIMIT { rest.len() } else { whole.cut() };
            let (chunk, left) = rest.split_at(end);
            self.send_chunk(channel, Chunk { waiting: &[], new: chunk });
            rest = left;
        }
    }

    fn send(&self, frame: Frame, kind: EntryKind, on_confirmed: Option<Box<dyn FnOnce() + Send>>) {
        self.lane.send(Entry { frame, kind, after: None, on_confirmed });
    }
}

/// The place of an answer among [`MOST_ANSWERS`]; given back on drop, whether it
/// was confirmed or not.
struct AnswersPlace(Arc<AtomicUsize>);

impl AnswersPlace {
    fn take(answers: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(answers));
        // Counted first, so that two threads cannot take the last place.
        (place.0.fetch_add(1, Ordering::Relaxed) < MOST_ANSWERS).then_some(place)
    }
}

impl Drop for AnswersPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for SessionOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOutput")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, unbounded};
    use serde_json::Value;

    use super::super::gather::SPELL;
    use super::*;
    use crate::hub::outbox::{Budget, Command, Outbox};

    /// A session whose outbox is read by the test.
    struct Scene {
        output: Arc<SessionOutput>,
        commands: Receiver<Command>,
    }

    fn scene() -> Scene {
        let (sender, commands) = unbounded();
        let (waker, _) = crate::wake::pair().unwrap();
        let outbox = Outbox::new(sender, waker, Arc::new(Budget::new(1 << 20)));
        let session_id: Arc<str> = "s".into();
        let lane = outbox.lane(Arc::clone(&session_id), 100);
        Scene { output: SessionOutput::new(session_id, lane), commands }
    }

    impl Scene {
        fn entries(&self) -> Vec<Entry> {
            let entry = |command| match command {
                Command::Send { entry, .. } => Some(entry),
                _ => None,
            };
            self.commands.try_iter().filter_map(entry).collect()
        }

        /// `(seq, channel, content)` of every output sent since the last call.
        fn outputs(&self) -> Vec<(u64, String, String)> {
            let entries = self.entries().into_iter().filter(|e| e.kind == EntryKind::Output);
            entries
                .map(|entry| {
                    let value: Value = serde_json::from_str(&entry.frame.text).unwrap();
                    let payload = &value["payload"];
                    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
                    assert_eq!(text("message_id"), entry.frame.id);
                    (payload["seq"].as_u64().unwrap(), text("channel"), text("content"))
                })
                .collect()
        }
    }

    #[test]
    fn a_stream_is_gathered_and_numbered() {
        let scene = scene();
        let now = Instant::now();
        let mut stdout = scene.output.stream(Channel::Stdout);
        stdout.push(b"a\xe2", now);
        stdout.push(b"\x82\xac", now);
        assert_eq!(stdout.due(), Some(now + SPELL));
        scene.output.system("note");
        stdout.flush(now + SPELL);
        stdout.push(b"rest\xf0", now + SPELL);
        stdout.finish();
        let expected = [
            (1, "stdout", "a"),
            (2, "system", "note"),
            (3, "stdout", "€"),
            (4, "stdout", "rest\u{fffd}"),
        ];
        assert_eq!(scene.outputs(), expected.map(|(seq, c, t)| (seq, c.to_owned(), t.to_owned())));
    }

    #[test]
    fn only_the_agents_own_words_end_its_silence() {
        let scene = scene();
        let made = scene.output.quiet_since();
        let later = Instant::now() + Duration::from_secs(5);
        scene.output.system("note");
        scene.output.stream(Channel::Stderr).push(b"", later);
        assert_eq!(scene.output.quiet_since(), made);
        scene.output.stream(Channel::Stderr).push(b"x", later);
        let quiet = scene.output.quiet_since();
        assert!(quiet <= later && later - quiet <= Duration::from_millis(1));
        // A thread that looked at the clock earlier does not turn it back.
        scene.output.touch(Instant::now());
        assert_eq!(scene.output.quiet_since(), quiet);
    }

    #[test]
    fn a_long_text_is_split_between_lines_or_characters() {
        let scene = scene();
        let lines = "0123456789\n".repeat(10_000);
        scene.output.text(&Channel::Tool, &lines);
        let characters = "€".repeat(30_000);
        scene.output.text(&Channel::Tool, &characters);
        scene.output.text(&Channel::Tool, "");
        let outputs = scene.outputs();
        assert_eq!(outputs.len(), 4);
        assert!(outputs.iter().all(|(_, _, text)| text.len() <= LIMIT));
        assert!(outputs[0].2.ends_with('\n'));
        let all: String = outputs.into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(all, lines + &characters);
    }

    #[test]
    fn every_message_is_sent_as_its_kind_in_order() {
        let scene = scene();
        let output = &scene.output;
        let question = PermissionRequest {
            request_id: "r".into(),
            tool: "t".into(),
            description: "d".into(),
            resource: None,
        };
        let metadata = FileMeta { file_id: "f", name: "n", mime_type: "m", size: 1 };
        output.session_created(Ok(()));
        let written = output.latch();
        written.open();
        output.turn_started("m", &written);
        output.text(&Channel::Stdout, "x");
        output.permission_request(&question);
        output.file_available(&metadata, b"x");
        output.stop_ack(Ok(()));
        let completed = output.prepare_turn_completed("m", Some(130));
        let id = completed.id.clone();
        let (confirmed, confirmations) = unbounded();
        output.turn_completed(completed, move || {
            let _ = confirmed.send(());
        });
        let mut entries = scene.entries();
        let kinds: Vec<EntryKind> = entries.iter().map(|entry| entry.kind).collect();
        let expected = [
            EntryKind::Control,
            EntryKind::TurnStarted,
            EntryKind::Output,
            EntryKind::Permission,
            EntryKind::File,
            EntryKind::Control,
            EntryKind::TurnCompleted,
        ];
        assert_eq!(kinds, expected);
        let last = entries.pop().unwrap();
        assert_eq!(last.frame.id, id);
        assert!(confirmations.is_empty());
        last.on_confirmed.unwrap()();
        assert_eq!(confirmations.len(), 1);
    }

    #[test]
    fn answers_without_end_wait_for_the_hub_to_read_them() {
        let scene = scene();
        let ask = || (0..200).for_each(|_| scene.output.stop_ack(Ok(())));
        ask();
        let mut waiting = scene.entries();
        assert_eq!(waiting.len(), MOST_ANSWERS);
        waiting.pop().and_then(|entry| entry.on_confirmed).expect("it counts")();
        drop(waiting.pop());
        ask();
        assert_eq!(scene.entries().len(), 2, "a confirmed and a dropped one made room");
    }

    #[test]
    fn a_full_lane_is_told_before_reading() {
        let scene = scene();
        assert!(scene.output.has_room());
        scene.output.text(&Channel::Stdout, &"x".repeat(200));
        assert!(!scene.output.has_room());
        let before = scene.entries().len();
        scene.output.refuse_session("full");
        assert_eq!((before, scene.entries().len()), (1, 0), "nobody reads it");
    }
}
