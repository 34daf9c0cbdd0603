//! What an adapter's thread makes of each line the adapter wrote.

use std::ops::ControlFlow;
use std::time::Instant;

use log::{Level, log};

use super::lines::{Line, Lines};
use super::message::{self, FromAdapter};
use super::owner::Owner;
use crate::agent::process::pump::Duty;
use crate::files::Offer;
use crate::logging::Quoted;
use crate::protocol::outbound::Channel;

/// Skipped lines of one process that are logged as warnings; later ones are
/// for whoever debugs the adapter.
const TOLD: u64 = 10;

impl Owner {
    /// Takes the lines that `give` gives out, until there is no room: any of them
    /// may offer a file of many megabytes.
    pub(super) fn with_lines(
        &mut self,
        now: Instant,
        give: impl FnOnce(&mut Lines, &mut dyn FnMut(Line<'_>) -> ControlFlow<()>),
    ) {
        let mut lines = std::mem::take(&mut self.lines);
        give(&mut lines, &mut |line| {
            self.take_line(&line, now);
            if self.has_room() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.lines = lines;
    }

    /// Takes one line; nothing in it is fatal.
    pub(super) fn take_line(&mut self, line: &Line<'_>, now: Instant) {
        let line = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return,
            Line::Whole(line) => line,
            Line::TooLong(length) => return self.skip(&format!("{length} bytes in one line")),
        };
        let addressed = match message::parse(line) {
            Ok(addressed) => addressed,
            Err(malformed) => return self.skip(&malformed.to_string()),
        };
        let attached = |id: &str| self.sessions.iter().position(|one| &*one.session_id == id);
        let Some(at) = attached(&addressed.session_id) else {
            return self.skip(&format!("no session of its own: {}", addressed.session_id));
        };
        match addressed.message {
            FromAdapter::Output { channel, content } => self.show(at, channel, &content, now),
            FromAdapter::TurnComplete { exit_code } => {
                if self.sessions[at].turn.is_none() {
                    return self.skip("turn.complete without a turn");
                }
                self.sessions[at].end_turn(exit_code, None);
            }
            FromAdapter::FileOutput(offer) => self.hand_over(at, &offer),
            FromAdapter::PermissionRequest(request) => {
                if !self.sessions[at].ask(request) {
                    self.skip("more questions than may wait");
                }
            }
        }
    }

    fn show(&mut self, at: usize, channel: Channel, content: &str, now: Instant) {
        if self.is_full(at) {
            return self.sessions[at].drop_output(content.len());
        }
        self.sessions[at].tell_dropped();
        self.sessions[at].show(channel, content, now);
    }

    fn hand_over(&mut self, at: usize, offer: &Offer) {
        let Some(ground) = &self.ground else { return };
        let read = self.files.read_offer(offer, &ground.directory, &ground.roots);
        match read {
            Ok(file) if self.is_full(at) => self.sessions[at].drop_output(file.data.len()),
            Ok(file) => {
                self.sessions[at].tell_dropped();
                self.sessions[at].hand_over(&file);
            }
            Err(refusal) => {
                self.skip(&format!("file {} not taken: {refusal}", offer.path));
                let path = crate::agent::excerpt::excerpt(&offer.path, 256);
                let text = format!("The adapter's file {path} was not taken: {refusal}.");
                if !self.is_full(at) {
                    self.sessions[at].system(&text);
                }
            }
        }
    }

    /// Whether output must be dropped: others share the adapter, and it is not
    /// held back for one.
    fn is_full(&self, at: usize) -> bool {
        self.is_shared() && !self.sessions[at].has_room()
    }

    fn skip(&mut self, why: &str) {
        self.skipped += 1;
        let level = if self.skipped <= TOLD { Level::Warn } else { Level::Debug };
        log!(
            level,
            "adapter line skipped endpoint={} reason={}",
            Quoted(&self.endpoint.id),
            Quoted(why)
        );
    }
}
