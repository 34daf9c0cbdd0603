//! The limits of time a session lives under, and what is done when one has passed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::{STOP_GRACE, State, Worker};
use crate::agent::workshop::Workshop;
use crate::config::{Endpoint, Profile, Runtime};
use crate::logging::Quoted;
use crate::session::event::Ending;
use crate::session::notices;
use crate::watchdog::{Deadline, Reason};

impl Worker {
    pub(super) fn reconfigure(&mut self, endpoint: Arc<Endpoint>, runtime: Arc<Runtime>) {
        self.runtime = runtime;
        let limit = endpoint.limits.max_output_bytes.unwrap_or(self.runtime.max_output_bytes);
        self.output.set_limit(limit);
        if Workshop::needs_upload_dir(&endpoint) && !Workshop::needs_upload_dir(&self.endpoint) {
            // It lies on a disk, too.
            self.settle_unwritten();
            let made = self.shared.files.make_session_dir(&endpoint.id, &self.session_id);
            if let Err(error) = made {
                warn!(
                    "no directory for uploads session={} error={error}",
                    Quoted(&self.session_id)
                );
            }
        }
        self.endpoint = Arc::clone(&endpoint);
        self.agent.reconfigure(endpoint);
        self.arm_inactivity(self.last_active());
    }

    pub(super) fn deadline(&mut self, deadline: &Deadline) {
        let open = self.turn.as_ref().map(|turn| turn.number);
        let of_this_turn = open == Some(deadline.generation);
        let now = Instant::now();
        match deadline.reason {
            Reason::IdleTurn if of_this_turn => self.idle_turn(deadline.generation, now),
            Reason::MaxRuntime if of_this_turn => self.agent.time_expired(deadline.generation),
            Reason::StopGrace if of_this_turn && self.agent.force_stop() => {
                self.output.system(&notices::stop_forced(STOP_GRACE));
            }
            Reason::Permission => {
                for request in self.permissions.expire(now) {
                    self.output.system(&notices::permission_expired(&request.tool, request.limit));
                    self.agent.permission(&request.request_id, false);
                }
                self.arm_permission();
            }
            Reason::SessionInactivity if self.state != State::Closing => self.inactivity(now),
            _ => debug!(
                "deadline passed over session={} reason={:?}",
                Quoted(&self.session_id),
                deadline.reason
            ),
        }
    }

    /// The agent's last output decides; the deadline was set without knowing it.
    fn idle_turn(&mut self, turn: u64, now: Instant) {
        let due = self.output.quiet_since().max(self.facts.last_active()) + self.idle_timeout();
        if due > now {
            return self.deadlines.arm(Reason::IdleTurn, turn, due);
        }
        self.agent.idle_expired(turn);
        // Should it know better, or not of the turn yet, it is asked again.
        self.deadlines.arm(Reason::IdleTurn, turn, now + self.idle_timeout());
    }

    fn inactivity(&mut self, now: Instant) {
        // A turn that has a limit of its own is not inactivity, however silent.
        let bounded = matches!(self.endpoint.profile, Profile::Job(_) | Profile::Http(_));
        // Nor is an agent that cannot go on because the hub takes nothing.
        let held_up = !self.output.has_room();
        let active =
            if held_up || self.turn.is_some() && bounded { now } else { self.last_active() };
        if active + self.session_timeout() > now {
            return self.arm_inactivity(active);
        }
        self.output.system(&notices::inactive(self.session_timeout()));
        self.close(Ending::Inactive);
    }

    pub(super) fn arm_inactivity(&self, active: Instant) {
        self.deadlines.arm(Reason::SessionInactivity, 0, active + self.session_timeout());
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        self.endpoint.limits.idle_timeout.unwrap_or(self.runtime.idle_timeout)
    }

    fn session_timeout(&self) -> Duration {
        self.endpoint.limits.session_timeout.unwrap_or(self.runtime.default_timeout)
    }

    pub(super) fn touch(&self) {
        self.facts.touch(Instant::now());
    }

    fn last_active(&self) -> Instant {
        self.facts.last_active().max(self.output.quiet_since())
    }
}
