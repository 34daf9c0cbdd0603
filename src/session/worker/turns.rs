//! How a turn begins and how it ends: what is written down, said and watched.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use log::info;

use super::{OpenTurn, State, Worker};
use crate::agent::{TurnEnd, TurnMessage};
use crate::config::Profile;
use crate::hub::latch::Latch;
use crate::logging::Quoted;
use crate::protocol::outbound::Frame;
use crate::session::event::Incoming;
use crate::watchdog::Reason;

impl Worker {
    /// Begins a turn. The end of the one it replaces goes with it: into one write
    /// of the journal, and into one packet.
    pub(super) fn start_turn(&mut self, message: Incoming, replaced: Option<(OpenTurn, Frame)>) {
        let Incoming { message_id, content, permit } = message;
        let now = Instant::now();
        self.turns += 1;
        self.facts.begin_turn(now);
        self.facts.uncertain.store(false, Ordering::Relaxed);
        self.state = State::Turn;
        // A session in use makes room for nobody, from before anyone hears of its turn.
        self.facts.show_busy(true);
        // Written down first, so that the end outlives this process.
        if let Some((turn, frame)) = &replaced {
            self.shared.journal.turn_replaced(&self.session_id, &turn.message_id, frame);
        }
        let (written, open) = self.when_written(now);
        let journal = &self.shared.journal;
        journal.turn_opened(&self.session_id, &message_id, &self.endpoint.id, open);
        if let Some((turn, frame)) = replaced {
            self.output.turn_replaced(&written, frame, self.confirmed(turn));
        }
        self.output.turn_started(&message_id, &written);
        info!("turn started session={} message={}", Quoted(&self.session_id), Quoted(&message_id));
        self.turn = Some(OpenTurn {
            number: self.turns,
            message_id: Arc::clone(&message_id),
            stopping: false,
        });
        match &self.endpoint.profile {
            Profile::Cli(_) => {
                self.deadlines.arm(Reason::IdleTurn, self.turns, now + self.idle_timeout());
            }
            Profile::Job(job) => {
                self.deadlines.arm(Reason::MaxRuntime, self.turns, now + job.max_runtime);
            }
            Profile::Http(_) | Profile::External(_) => {}
        }
        if !self.agent.announces() {
            self.output.hasten();
        }
        self.agent.message(TurnMessage { turn: self.turns, message_id, content, permit });
    }

    /// Says the end of the open turn; its output has been given to the lane before.
    pub(super) fn complete_turn(&mut self, exit_code: Option<i32>) {
        if let Some((turn, frame)) = self.take_turn(exit_code) {
            // Whoever hears of the end may count on it.
            self.facts.end_turn();
            self.show_busy();
            let (written, open) = self.when_written(Instant::now());
            let journal = &self.shared.journal;
            journal.turn_ended(&self.session_id, &turn.message_id, None, &frame, open);
            self.output.turn_completed_when(&written, frame, self.confirmed(turn));
        }
    }

    /// What holds back whatever is not to be said before the journal has written
    /// what it is told now, and what it calls then.
    fn when_written(&mut self, now: Instant) -> (Latch, impl FnOnce() + Send + 'static) {
        let written = self.output.latch();
        self.unwritten.add(written.clone(), now);
        let opened = written.clone();
        (written, move || opened.open())
    }

    /// What follows from the hub's having heard of the turn's end.
    fn confirmed(&self, turn: OpenTurn) -> impl FnOnce() + Send + 'static {
        let journal = self.shared.journal.clone();
        let session_id = Arc::clone(&self.session_id);
        move || journal.turn_confirmed(&session_id, &turn.message_id)
    }

    /// Ends the open turn, if there is one; its end is still to be said.
    pub(super) fn take_turn(&mut self, exit_code: Option<i32>) -> Option<(OpenTurn, Frame)> {
        let turn = self.turn.take()?;
        self.deadlines.disarm(Reason::IdleTurn);
        self.deadlines.disarm(Reason::MaxRuntime);
        self.deadlines.disarm(Reason::StopGrace);
        self.state = if self.state == State::Closing { State::Closing } else { State::Idle };
        info!(
            "turn completed session={} message={} exit_code={}",
            Quoted(&self.session_id),
            Quoted(&turn.message_id),
            exit_code.map_or_else(|| "none".into(), |code| code.to_string())
        );
        let frame = self.output.prepare_turn_completed(&turn.message_id, exit_code);
        Some((turn, frame))
    }

    pub(super) fn turn_ended(&mut self, end: TurnEnd) {
        // The end of a turn that a newer message already replaced.
        if self.turn.as_ref().is_none_or(|turn| turn.number != end.turn) {
            // The start of a newer one goes out with its first output, and this with it.
            if self.turn.is_none() || !self.agent.announces() {
                self.output.hasten();
            }
            return;
        }
        if let Some(note) = end.note {
            self.output.system(&note);
        }
        self.facts.uncertain.store(end.running, Ordering::Relaxed);
        self.complete_turn(end.exit_code);
        self.touch();
        if self.state == State::Idle
            && let Some(next) = self.queue.pop_front()
        {
            self.start_turn(next, None);
        }
    }
}
