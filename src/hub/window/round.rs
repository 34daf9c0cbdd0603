//! Whose turn it is to send, and whether there is room on the wire for it.
//!
//! What a loss sent back goes first, in the order in which it was sent. Then
//! each lane with something to say has one entry in turn, and so have the
//! answers.

use std::sync::Arc;

use super::lane::Item;
use super::poison::{Alone, is_suspect};
use super::{Gate, OnWire, Outgoing, Source, Window};
use crate::hub::outbox::EntryKind;

impl Window {
    /// The next entry to send, if one may be sent now. It is on the wire from
    /// here on; [`Window::finish`] follows when the connection took all of it.
    pub fn begin_next(&mut self) -> Option<Outgoing> {
        if self.gate != Gate::Open || self.begun != self.pace.finished() {
            return None;
        }
        loop {
            let again = self.resend.front().map(|session| Source::Lane(Arc::clone(session)));
            let source = again.or_else(|| self.round.front().cloned())?;
            let session = match source {
                Source::Answers => {
                    let Some(answer) = self.answers.front() else {
                        self.round.pop_front();
                        self.answers_in_round = false;
                        continue;
                    };
                    if !self.fits(answer.len(), false) {
                        return None;
                    }
                    return self.begin_answer();
                }
                Source::Lane(session) => session,
            };
            let Some(item) = self.lanes.get(&session).and_then(|queue| queue.next()) else {
                self.pass_turn(&session);
                continue;
            };
            // What is sent again has waited before.
            if self.resend.is_empty() && item.is_held() {
                self.hold(session);
                continue;
            }
            let (bytes, suspect) = (item.text.len(), is_suspect(item.losses));
            if !self.fits(bytes, suspect) {
                return None;
            }
            self.alone = if suspect { Alone::Begun } else { Alone::No };
            return self.begin_entry(&session, suspect);
        }
    }

    /// The lane in front waits for a latch: out of the round, and at its end afterwards.
    fn hold(&mut self, session: Arc<str>) {
        self.round.pop_front();
        self.held.push(session);
    }

    /// Lanes whose latch is open by now have their turn again. Whether there were any.
    /// For all others the writer is rung when theirs opens.
    pub fn release_held(&mut self) -> bool {
        let before = self.held.len();
        let (lanes, round) = (&self.lanes, &mut self.round);
        self.held.retain(|session| {
            let held = lanes.get(session).and_then(|queue| queue.next()).is_some_and(Item::is_held);
            if !held {
                round.push_back(Source::Lane(Arc::clone(session)));
            }
            held
        });
        self.held.len() < before
    }

    /// Whether something of that size may join what is on the wire.
    fn fits(&self, bytes: usize, suspect: bool) -> bool {
        self.wire.is_empty()
            || (!suspect && self.alone == Alone::No && self.wire_bytes + bytes <= self.pace.limit())
    }

    fn begin_answer(&mut self) -> Option<Outgoing> {
        let text = self.answers.pop_front()?;
        self.answer_bytes -= text.len();
        self.round.pop_front();
        self.answers_in_round = !self.answers.is_empty();
        if self.answers_in_round {
            self.round.push_back(Source::Answers);
        }
        self.put_on_wire(None, EntryKind::Control, text.len());
        Some(Outgoing { text, careful: false })
    }

    fn begin_entry(&mut self, session: &Arc<str>, careful: bool) -> Option<Outgoing> {
        let queue = self.lanes.get_mut(session)?;
        let (text, kind) = queue.next().map(|item| (item.text.clone(), item.kind))?;
        queue.sent += 1;
        self.pass_turn(session);
        self.put_on_wire(Some(Arc::clone(session)), kind, text.len());
        Some(Outgoing { text, careful })
    }

    fn put_on_wire(&mut self, session: Option<Arc<str>>, kind: EntryKind, bytes: usize) {
        self.begun += 1;
        self.wire.push_back(OnWire { order: self.begun, session, kind, bytes });
        self.wire_bytes += bytes;
    }

    /// The lane in front had its turn, or had nothing to say. It comes again at
    /// the end of the round if more waits.
    fn pass_turn(&mut self, session: &Arc<str>) {
        if self.resend.pop_front().is_some() {
            return;
        }
        self.round.pop_front();
        let Some(queue) = self.lanes.get_mut(session) else { return };
        queue.in_round = queue.next().is_some();
        if queue.in_round {
            self.round.push_back(Source::Lane(Arc::clone(session)));
        } else {
            self.forget_if_idle(session);
        }
    }
}
