//! Who waits for room, and who is woken when there is some.
//!
//! A reading thread may wait for its own lane, or for the total that all lanes
//! share. Who waits only for the total stands in line; a part of the line is
//! woken at a time, so that a hundred readers do not all take the same room.
//! Nobody is forgotten in line: while somebody stands there bytes are in use,
//! and their confirmation serves the line again.

use std::sync::Arc;

use super::Window;
use super::lane::{LaneQueue, Waiter};
use crate::hub::outbox::LaneShared;
use crate::wake::Waker;

/// What a woken reader is expected to use, in bytes: a full chunk, escaped.
const SHARE: usize = 128 * 1024;

impl Window {
    /// Wakes `waker` once there is room in the lane and in the total; at once if
    /// there is now.
    pub fn need_room(&mut self, lane: &Arc<LaneShared>, waker: Waker) {
        if lane.budget.has_room() && self.total.has_room() {
            waker.wake();
            return;
        }
        let session = &lane.session_id;
        let queue = self
            .lanes
            .entry(Arc::clone(session))
            .or_insert_with(|| Box::new(LaneQueue::new(Arc::clone(lane))));
        // Who is woken for something else asks again while its first question stands.
        let known =
            |waiter: &Waiter| Arc::ptr_eq(&waiter.lane, lane) && waiter.waker.is_same(&waker);
        if !queue.waiters.iter().any(known) {
            queue.waiters.push(Waiter { lane: Arc::clone(lane), waker });
            self.room_wanted = true;
        }
        self.line_up(session);
        // What it waited for may have come before it asked, when nothing is left
        // whose confirmation would wake it.
        self.serve_line();
    }

    /// A bound was changed: everybody who waits looks again.
    pub fn limit_changed(&mut self) {
        let waiting: Vec<Arc<str>> = (self.lanes.iter())
            .filter(|(_, queue)| !queue.waiters.is_empty())
            .map(|(session, _)| Arc::clone(session))
            .collect();
        for session in waiting {
            self.room_in(&session);
        }
        self.serve_line();
    }

    /// Bytes of that lane were given back.
    pub(super) fn room_in(&mut self, session: &Arc<str>) {
        let Some(queue) = self.lanes.get_mut(session) else { return };
        if queue.waiters.is_empty() {
            return;
        }
        if self.total.has_room() {
            queue.wake(|| true);
        } else {
            self.line_up(session);
        }
    }

    /// Lets a lane stand in line if the total is all that it lacks.
    fn line_up(&mut self, session: &Arc<str>) {
        let Some(queue) = self.lanes.get_mut(session) else { return };
        let ready = queue.waiters.iter().any(|waiter| waiter.lane.budget.has_ample_room());
        if ready && !queue.in_line {
            queue.in_line = true;
            self.line.push_back(Arc::clone(session));
        }
    }

    /// Bytes of the total were given back: wakes as many as may use them.
    pub(super) fn serve_line(&mut self) {
        if self.line.is_empty() || !self.total.has_room() {
            return;
        }
        let used = self.total.used();
        let room = self.total.limit().saturating_sub(used);
        let mut shares = if used == 0 { usize::MAX } else { room / SHARE + 1 };
        while shares > 0
            && let Some(session) = self.line.pop_front()
        {
            let Some(queue) = self.lanes.get_mut(&session) else { continue };
            queue.in_line = false;
            queue.wake(|| {
                let more = shares > 0;
                shares = shares.saturating_sub(1);
                more
            });
            if shares == 0 {
                self.line_up_first(&session);
            }
            self.forget_if_idle(&session);
        }
    }

    /// Somebody of that lane was not served: it keeps its place.
    fn line_up_first(&mut self, session: &Arc<str>) {
        let Some(queue) = self.lanes.get_mut(session) else { return };
        if queue.waiters.iter().any(|waiter| waiter.lane.budget.has_ample_room()) {
            queue.in_line = true;
            self.line.push_front(Arc::clone(session));
        }
    }
}
