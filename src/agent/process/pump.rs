//! Reading a child's pipes: one wait for its output, for room in its input while
//! there is a backlog, and for a waker.
//!
//! A [`Pump`] owns the child until nothing of it is left to read. A thread that has
//! nothing else to do calls [`run`]; one that has calls [`Pump::round`]. What output
//! means and when a turn ends is its profile's business, behind [`Duty`]. Nothing wakes
//! the thread while nothing happens.
//!
//! Cost of a byte: the kernel's copy into the reading buffer here, and one
//! pass from there into the frame (by the profile's stream). The buffer holds
//! what is there at first and what a pipe holds from then on, and is given back
//! as soon as a wait finds no output.

use std::time::Instant;

use crossbeam_channel::TryRecvError;

use super::child::{Child, Ended};
use super::course::{Course, Step};
use super::inbox::Inbox;
use super::stream::{Read, Stream, Wanted};
use crate::receive::Nap;
use crate::resident;
use crate::wake::{WakeFd, Waker};

/// Full buffers taken from one stream before anything else is looked at.
const READS_IN_A_ROW: usize = 4;

/// What a profile makes of its child. Called in the pipe thread; nothing may block.
pub trait Duty {
    /// What its agent says to the pipe thread.
    type Command;
    /// The child runs.
    fn started(&mut self, _child: &mut Child) {}
    /// Something was said to it.
    fn command(&mut self, command: Self::Command, child: &mut Child);
    /// The agent is gone without a word.
    fn deserted(&mut self, child: &mut Child) {
        child.abandon();
    }
    /// Output, as it came.
    fn output(&mut self, stream: Stream, bytes: &[u8], now: Instant);
    /// Bytes of output that it was given and there was no room for.
    fn kept(&self) -> usize {
        0
    }
    /// There is room again for what was kept.
    fn go_on(&mut self, _now: Instant) {}
    /// Whether more output may be read.
    fn has_room(&self) -> bool;
    /// Wake the thread once there is room; at once if there is by now.
    fn wake_when_room(&self, waker: Waker);
    /// When [`Duty::time`] is to be called; `None`: nothing is planned.
    fn due(&self) -> Option<Instant>;
    /// The moment of [`Duty::due`] has come.
    fn time(&mut self, child: &mut Child, now: Instant);
}

/// What a thread that reads a child's pipes is woken by.
pub struct Bell<'a> {
    /// What it polls.
    pub wake: &'a WakeFd,
    /// What wakes it.
    pub waker: &'a Waker,
    /// How it waits, where others ring only while it does.
    pub nap: Option<Nap<'a>>,
}

/// A child whose pipes are being read, in one thread, round by round.
pub struct Pump {
    /// The child.
    pub child: Child,
    course: Course,
    buffer: Vec<u8>,
    asked_for_room: bool,
    quiet: bool,
}

/// What has to be done before there is something to wait for.
enum Before {
    /// Nothing; when to go on at the latest.
    Wait { has_room: bool, until: Option<Instant> },
    /// It has ended.
    Over(Ended),
}

impl Pump {
    /// A child that was just started.
    pub fn new<D: Duty>(mut child: Child, duty: &mut D) -> Self {
        duty.started(&mut child);
        let course = Course::new();
        Self { child, course, buffer: Vec::new(), asked_for_room: false, quiet: false }
    }

    /// Does what can be done, waits once, until `until` at the longest, and does what
    /// came of that. Returns when something was put where its thread looks, too: that
    /// is for the caller to take. `Some`: the child and its output have ended.
    pub fn round<D: Duty>(
        &mut self,
        duty: &mut D,
        bell: &Bell<'_>,
        until: Option<Instant>,
    ) -> Option<Ended> {
        let now = Instant::now();
        let (has_room, wake_at) = match self.before(duty, bell, now) {
            Before::Wait { has_room, until: wake_at } => (has_room, wake_at),
            Before::Over(ended) => return Some(ended),
        };
        let wake_at = [wake_at, until].into_iter().flatten().min();
        if wake_at.is_none() {
            self.buffer = Vec::new();
            if self.quiet {
                resident::give_back_stack();
            }
        }
        let limit = wake_at.map(|at| at.saturating_duration_since(now));
        let child = &mut self.child;
        let mut wait = || child.wait(bell.wake, Wanted { output: has_room, limit });
        let ready = match &bell.nap {
            Some(nap) => nap.take(wait)?,
            None => wait(),
        };
        if ready.woken {
            bell.wake.drain();
            // Room may have come and gone to another session again.
            self.asked_for_room = false;
        }
        let now = Instant::now();
        self.quiet = ready.readable == [false; 2];
        if self.quiet {
            self.buffer = Vec::new();
        }
        for stream in Stream::BOTH {
            if ready.readable[stream as usize] {
                self.read(duty, stream, now);
            }
        }
        if duty.due().is_some_and(|due| due <= now) {
            duty.time(&mut self.child, now);
        }
        None
    }

    fn before<D: Duty>(&mut self, duty: &mut D, bell: &Bell<'_>, now: Instant) -> Before {
        if duty.kept() > 0 && duty.has_room() {
            duty.go_on(now);
        }
        loop {
            let ending_until = self.child.go_on_ending(now);
            let facts = self.child.facts(&self.course, duty.kept() > 0);
            let held_until = match self.course.step(facts, now) {
                Step::Wait(until) => until,
                Step::Again => continue,
                Step::CloseInput => {
                    self.child.pipes.stdin.close();
                    continue;
                }
                Step::End => {
                    // A hang-up takes with it what a terminal still holds.
                    self.read(duty, Stream::Stdout, now);
                    self.child.begin_end(now);
                    continue;
                }
                Step::Done => return Before::Over(self.child.take_ended(0)),
            };
            let has_room = may_read(duty);
            if !has_room && self.course.is_last() && self.child.is_abandoned() {
                let unread = self.child.pipes.unread_output() + duty.kept() as u64;
                return Before::Over(self.child.take_ended(unread));
            }
            if !has_room && !self.asked_for_room {
                duty.wake_when_room(bell.waker.clone());
                self.asked_for_room = true;
            }
            let until = [ending_until, held_until, duty.due()].into_iter().flatten().min();
            return Before::Wait { has_room, until };
        }
    }

    /// Reads one stream until it is empty or there is no room, and not for ever.
    fn read<D: Duty>(&mut self, duty: &mut D, stream: Stream, now: Instant) {
        let Self { child, buffer, .. } = self;
        for _ in 0..READS_IN_A_ROW {
            if !may_read(duty) {
                return;
            }
            let Read::Bytes(length) = child.pipes.read(stream, buffer) else { return };
            duty.output(stream, buffer, now);
            if length < buffer.capacity() {
                return;
            }
        }
    }
}

/// Whether more output may be read: what was read comes first.
fn may_read(duty: &impl Duty) -> bool {
    duty.kept() == 0 && duty.has_room()
}

/// Runs the pipe thread of one child until it and its output have ended. In a
/// frame of its own: most of its life the thread waits in here.
#[inline(never)]
pub fn run<D: Duty>(child: Child, duty: &mut D, inbox: &Inbox<D::Command>) -> Ended {
    let mut pump = Pump::new(child, duty);
    let waker = inbox.waker();
    let bell = Bell { wake: inbox.wake(), waker: &waker, nap: None };
    loop {
        // What came before the child did not necessarily leave a wake-up.
        take_commands(&mut pump.child, duty, inbox);
        if let Some(ended) = pump.round(duty, &bell, None) {
            return ended;
        }
    }
}

fn take_commands<D: Duty>(child: &mut Child, duty: &mut D, inbox: &Inbox<D::Command>) {
    loop {
        match inbox.take() {
            Ok(command) => duty.command(command, child),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => return duty.deserted(child),
        }
    }
}
