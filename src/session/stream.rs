//! One stream of an agent (stdout, stderr, a response's body) on its way into
//! the session's output.
//!
//! Owned by the thread that reads the stream. It never blocks: whether there is
//! room is asked of [`SessionOutput`] before reading.

use std::sync::Arc;
use std::time::Instant;

use super::gather::{Chunk, Gather};
use super::output::SessionOutput;
use crate::protocol::outbound::Channel;

/// The way of one stream's bytes into messages.
#[derive(Debug)]
pub struct OutputStream {
    output: Arc<SessionOutput>,
    channel: Channel,
    gather: Gather,
}

impl OutputStream {
    pub(super) fn new(output: Arc<SessionOutput>, channel: Channel) -> Self {
        Self { output, channel, gather: Gather::default() }
    }

    /// Takes what was just read. Sends it at once after a quiet spell, else gathers.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        let Self { output, channel, gather } = self;
        if !bytes.is_empty() {
            output.touch(now);
        }
        gather.push(bytes, now, |chunk| output.send_chunk(channel, chunk));
    }

    /// The agent is given a message: the first that it writes goes out at once.
    pub fn begin_turn(&mut self) {
        self.gather.answer();
    }

    /// When [`OutputStream::flush`] must be called; `None` while nothing waits for time.
    pub fn due(&self) -> Option<Instant> {
        self.gather.due()
    }

    /// The timer: sends everything but the beginning of a character.
    pub fn flush(&mut self, now: Instant) {
        let Self { output, channel, gather } = self;
        gather.flush(now, |chunk| output.send_chunk(channel, chunk));
    }

    /// The end of a turn or of the stream: sends everything. A character that
    /// was never completed becomes U+FFFD.
    pub fn finish(&mut self) {
        let Self { output, channel, gather } = self;
        gather.finish(|chunk| output.send_chunk(channel, chunk));
    }

    /// The end of a turn: what there is goes out with the session's word that
    /// the turn is over, which must follow. `whole`: as [`OutputStream::finish`],
    /// else as [`OutputStream::flush`].
    pub fn end_turn(&mut self, whole: bool, now: Instant) {
        let Self { output, channel, gather } = self;
        let emit = |chunk: Chunk<'_>| output.send_chunk_later(channel, chunk);
        if whole { gather.finish(emit) } else { gather.flush(now, emit) }
    }
}
