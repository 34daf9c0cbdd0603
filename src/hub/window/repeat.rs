//! Saying the end of a turn once more, for hubs that handle an old connection late.
//!
//! An older hub keeps the connection it lost and may still handle a
//! `turn.started` from it after our `turn.completed` came over the new one: the
//! session would be *responding* for ever and its user locked out. So where a
//! `turn.started` was unconfirmed at a loss, the session's last
//! `turn.completed` is sent again some time later, unless a newer turn runs.

use std::sync::Arc;
use std::time::Instant;

use super::Window;
use super::lane::Item;
use crate::hub::outbox::EntryKind;

impl Window {
    /// A `turn.started` of that session was unconfirmed at a loss.
    pub(super) fn plan_repeat(&mut self, session: &Arc<str>, now: Instant) {
        let Some(queue) = self.lanes.get_mut(session) else { return };
        let due = now + self.repeat_after;
        queue.repeat_at = Some(due);
        let completed =
            queue.entries.iter().rev().find(|item| item.kind == EntryKind::TurnCompleted);
        if let Some(item) = completed {
            queue.last_completed = Some(item.text.clone());
        }
        self.repeats.push_back((due, Arc::clone(session)));
    }

    /// When [`Window::repeat_due`] has something to do.
    pub fn next_repeat(&self) -> Option<Instant> {
        self.repeats.front().map(|(due, _)| *due)
    }

    /// Queues the ends of turns that are due again. `wanted` is false where the
    /// hub is known to close old connections itself.
    pub fn repeat_due(&mut self, wanted: bool, now: Instant) {
        while self.next_repeat().is_some_and(|due| due <= now)
            && let Some((due, session)) = self.repeats.pop_front()
        {
            let Some(queue) = self.lanes.get_mut(&session) else { continue };
            if queue.repeat_at != Some(due) {
                continue; // a later loss put it off
            }
            queue.repeat_at = None;
            let completed = queue.last_completed.take();
            if let Some(text) = completed
                && wanted
                && !queue.turn_open
            {
                let owner = Arc::clone(&queue.current);
                let kind = EntryKind::Control;
                let item = Item {
                    text,
                    kind,
                    losses: 0,
                    owner: Arc::clone(&owner),
                    after: None,
                    on_confirmed: None,
                };
                self.push_item(&owner, item);
            }
            self.forget_if_idle(&session);
        }
    }
}
