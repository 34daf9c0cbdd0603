//! A process of one session, run in that session's own thread: it takes what is said
//! at once, and waits for output, time and the session's next event in one place.
//!
//! With a thread that only reads pipes, a session would take half as much memory again
//! (a parked thread costs 8 to 10 KB), and a message two more changes of threads.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::Process;
use super::command::Command;
use super::owner::{Owner, Whose};
use crate::agent::process::child::Child;
use crate::agent::process::pump::{Bell, Duty, Pump};
use crate::agent::process::start::Kit;
use crate::config::Endpoint;
use crate::receive::Nap;
use crate::resident;
use crate::wake::{self, WakeFd, Waker};

/// See the module's head. Dropped, everything of the process is killed.
pub(super) struct OwnProcess {
    owner: Box<Owner>,
    state: State,
    wake: WakeFd,
    waker: Waker,
}

/// What there is of the process.
enum State {
    /// It runs; what it says before its session is announced stays in its pipes.
    Unheard(Child),
    Running(Pump),
    /// None runs: the next message starts it.
    Gone,
    /// The session is over, and nothing is left.
    Over,
}

impl OwnProcess {
    /// Starts the process.
    ///
    /// # Errors
    /// Why it cannot be started, in words for the user.
    pub fn start(kit: Kit, endpoint: Arc<Endpoint>, whose: Whose) -> Result<Self, String> {
        let scarce =
            |error: io::Error| format!("no descriptor for the agent: {error}; close some sessions");
        let (waker, wake) = wake::pair().map_err(scarce)?;
        let owner = Owner::new(kit, endpoint, whose, waker.clone());
        let child = owner.start().map_err(|error| error.to_string())?;
        Ok(Self { owner, state: State::Unheard(child), wake, waker })
    }

    /// One thing that is to be done while there is no process, if there is one: the end
    /// of all it left behind when its session is over, else what was said while it was
    /// on its way out.
    #[inline(never)]
    fn step_without(&mut self) -> bool {
        if !matches!(self.state, State::Gone) {
            return matches!(self.state, State::Over);
        }
        if self.owner.is_closing() {
            self.owner.leave_nothing();
            self.state = State::Over;
            return true;
        }
        let next = self.owner.next();
        next.is_some_and(|command| {
            self.tell_without(command);
            true
        })
    }

    /// Says something while no process runs, or while it is not heard.
    fn tell_without(&mut self, command: Command) {
        let started = self.owner.without_process(command);
        let child = match mem::replace(&mut self.state, State::Gone) {
            State::Unheard(child) => Some(child),
            _ => started,
        };
        if let Some(child) = child {
            self.state = State::Running(Pump::new(child, &mut *self.owner));
        }
    }
}

impl Process for OwnProcess {
    fn tell(&mut self, command: Command) -> bool {
        match &mut self.state {
            State::Running(pump) => self.owner.command(command, &mut pump.child),
            State::Gone if self.owner.goes_behind(&command) => self.owner.put_off(command),
            _ => self.tell_without(command),
        }
        true
    }

    fn waker(&self) -> Option<Waker> {
        Some(self.waker.clone())
    }

    /// Launches, where it has to (for the launch deadline at most), and ends what is
    /// left (seven seconds at most); one thing at a time, for the session to hear what
    /// comes meanwhile.
    fn attend(&mut self, until: Option<Instant>, nap: Nap<'_>) {
        let bell = Bell { wake: &self.wake, waker: &self.waker, nap: Some(nap) };
        if let State::Running(pump) = &mut self.state {
            if let Some(ended) = pump.round(&mut *self.owner, &bell, until) {
                self.state = State::Gone;
                self.owner.ended(ended);
            }
        } else if !self.step_without() {
            if until.is_none() {
                resident::give_back_stack();
            }
            nap.take(|| self.wake.wait_until(until));
        }
    }
}
