//! What `status` sees of the sessions. It looks; it changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::registry::{Live, Registry};
use super::super::requests::{Overview, SessionStatus, Totals};
use super::Handle;

impl Totals {
    /// Adds what one session counted.
    pub(super) fn add(&mut self, live: &Live<Handle>) {
        self.turns += live.facts.turns.load(Ordering::Relaxed);
        self.refused += live.facts.refused.load(Ordering::Relaxed);
        self.dropped_bytes += live.handle.output.dropped_bytes();
    }
}

/// Everything that lives, and the totals with what was counted before.
pub(super) fn of(registry: &Registry<Handle>, mut totals: Totals) -> Overview {
    registry.iter().for_each(|(_, live)| totals.add(live));
    Overview { live: registry.iter().map(status_of).collect(), totals }
}

fn status_of((session_id, live): (&Arc<str>, &Live<Handle>)) -> SessionStatus {
    let (facts, output) = (&live.facts, &live.handle.output);
    SessionStatus {
        session_id: Arc::clone(session_id),
        endpoint_id: Arc::clone(&live.identity.endpoint_id),
        busy: facts.is_busy(),
        turns: facts.turns.load(Ordering::Relaxed),
        started: facts.started(),
        turn_since: facts.turn_since(),
        last_active: facts.last_active().max(output.quiet_since()),
        buffered_bytes: output.buffered(),
    }
}
