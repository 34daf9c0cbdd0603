//! The pipe thread of a child: one wait for its output, for room in its input
//! while there is a backlog, and for a waker.
//!
//! The thread that calls [`run`] owns the child until nothing of it is left to
//! read. What output means and when a turn ends is its profile's business,
//! behind [`Duty`]. Nothing wakes the thread while nothing happens.
//!
//! Cost of a byte: the kernel's copy into the reading buffer here, and one
//! pass from there into the frame (by the profile's stream). The buffer holds
//! what is there at first and what a pipe holds from then on, and is given back
//! as soon as a wait finds no output.

use std::io;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crossbeam_channel::TryRecvError;

use super::course::{Course, Facts, Step};
use super::end::{self, Ending, Progress};
use super::family::Family;
use super::pipes::Pipes;
use super::reaper::{ExitWatch, Pid, exit_code};
use super::stream::{Read, Stream, Wanted};
use crate::queue::Queue;
use crate::resident;
use crate::wake::{self, WakeFd, Waker};

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

/// A running child in its pipe thread. Dropped, everything of it is killed.
#[derive(Debug)]
pub struct Child {
    /// Our ends of its standard streams.
    pub pipes: Pipes,
    /// One terminal instead of three pipes.
    pub tty: bool,
    exit: ExitWatch,
    processes: Living,
    end: Option<End>,
}

/// Everything that came of a child.
#[derive(Debug)]
enum Living {
    Free(Family),
    Ending(Ending),
    /// As far as that was possible.
    Ended(end::Ended),
}

/// How a child is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All its output matters.
    Drained,
    /// Output there is no room for is given up: its session ends.
    Abandoned,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, 128+n for signal n; `None` when it could not be ended.
    pub exit_code: Option<i32>,
    /// Bytes of output that were given up.
    pub unread: u64,
    /// What came of its processes.
    pub rest: Rest,
}

/// What came of the processes of a child that has ended.
#[derive(Debug)]
pub enum Rest {
    /// Nothing of it lives.
    Nothing,
    /// It left a daemon behind. Dropped, that is killed.
    Alive(Family),
    /// These could not be ended.
    Unending(end::Ended),
}

impl Child {
    /// A child as it was launched; `waker` wakes the thread that will run it.
    pub fn new(pipes: Pipes, tty: bool, exit: ExitWatch, family: Family, waker: Waker) -> Self {
        exit.wake_on_exit(waker);
        Self { pipes, tty, exit, processes: Living::Free(family), end: None }
    }

    /// Its first process.
    pub fn root(&self) -> Pid {
        self.exit.pid()
    }

    /// Ends everything of it: asked to, and killed after five seconds.
    pub fn end(&mut self) {
        self.end.get_or_insert(End::Drained);
    }

    /// As [`Child::end`], for a session that ends: what it still writes is
    /// taken only as far as there is room.
    pub fn abandon(&mut self) {
        self.end = Some(End::Abandoned);
    }

    /// Whether it has exited or is being ended: nothing may be asked of it any more.
    pub fn is_leaving(&self) -> bool {
        self.end.is_some() || self.exit.try_status().is_some()
    }

    /// Whether more than its first process may be running.
    pub fn has_company(&self) -> bool {
        matches!(&self.processes, Living::Free(family) if family.has_company())
    }

    /// An interrupt, as from a keyboard, to what runs in the foreground.
    pub fn interrupt(&self) {
        if let Living::Free(family) = &self.processes {
            self.pipes.interrupt(family, self.tty);
        }
    }

    /// Closing its input ends many a program that ignores TERM. A terminal is
    /// hung up, for which all of its master has to be closed.
    fn begin_end(&mut self, now: Instant) {
        self.pipes.stdin.close();
        if self.tty {
            self.pipes.close();
        }
        let nothing = Living::Ended(end::Ended::default());
        self.processes = match mem::replace(&mut self.processes, nothing) {
            Living::Free(family) => Living::Ending(Ending::begin(family, now + end::GRACE)),
            begun => begun,
        };
    }

    /// Goes on with the end; when to do so again.
    fn go_on_ending(&mut self, now: Instant) -> Option<Instant> {
        let Living::Ending(ending) = &mut self.processes else { return None };
        match ending.step(now) {
            Progress::Waiting(until) => Some(until),
            Progress::Over(ended) => {
                self.pipes.bound();
                self.processes = Living::Ended(ended);
                None
            }
        }
    }

    /// `kept`: output was read and not taken.
    fn facts(&self, course: &Course, kept: bool) -> Facts {
        Facts {
            exited: self.exit.try_status().is_some(),
            end_wanted: self.end.is_some(),
            ended: !kept && self.pipes.ended(),
            held: course.asks_for_holders() && self.pipes.held(),
            over: matches!(self.processes, Living::Ended(_)),
            empty: !kept && course.is_last() && !self.pipes.has_output(),
            lags: course.is_last() && self.pipes.lags(),
        }
    }

    fn ended(self, unread: u64) -> Ended {
        let rest = match self.processes {
            Living::Free(mut family) => {
                if family.is_extinct() {
                    family.is_over();
                    Rest::Nothing
                } else {
                    Rest::Alive(family)
                }
            }
            Living::Ending(ending) => Rest::Unending(ending.finish()),
            Living::Ended(ended) if ended.left > 0 => Rest::Unending(ended),
            Living::Ended(_) => Rest::Nothing,
        };
        Ended { exit_code: self.exit.try_status().map(exit_code), unread, rest }
    }
}

/// Forgets daemons that have ended by themselves meanwhile.
pub fn forget_extinct(left: &mut Vec<Family>) {
    left.retain_mut(|family| {
        let lives = !family.is_extinct();
        if !lives {
            family.is_over();
        }
        lives
    });
}

/// The sending half of a pipe thread. Cheap to clone.
#[derive(Debug)]
pub struct Handle<C>(Arc<Senders<C>>);

/// All that send to one pipe thread: it is woken when the last of them has gone.
#[derive(Debug)]
struct Senders<C> {
    commands: Arc<Queue<Box<C>>>,
    waker: Waker,
}

/// The receiving half of a pipe thread: it outlives the children. There is one for
/// every session, so the places of its queue hold pointers.
#[derive(Debug)]
pub struct Inbox<C> {
    commands: Arc<Queue<Box<C>>>,
    senders: Weak<Senders<C>>,
    wake: WakeFd,
    waker: Waker,
}

/// Makes the two halves. The queue has no bound of its own: what a hub can
/// put into it is bounded by the permits that travel with it.
///
/// # Errors
/// When the process is out of descriptors.
pub fn channel<C>() -> io::Result<(Handle<C>, Inbox<C>)> {
    let commands = Arc::new(Queue::default());
    let (waker, wake) = wake::pair()?;
    let senders = Arc::new(Senders { commands: Arc::clone(&commands), waker: waker.clone() });
    let inbox = Inbox { commands, senders: Arc::downgrade(&senders), wake, waker };
    Ok((Handle(senders), inbox))
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Handle<C> {
    /// Tells the thread. `false` when it has ended.
    pub fn send(&self, command: C) -> bool {
        let sent = self.0.commands.push(Box::new(command));
        self.0.waker.wake();
        sent
    }
}

impl<C> Drop for Senders<C> {
    fn drop(&mut self) {
        self.waker.wake();
    }
}

impl<C> Inbox<C> {
    /// Waits for a command while there is no child; `None` when all senders are gone.
    pub fn wait(&self) -> Option<C> {
        loop {
            match self.take() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.wake.wait(),
            }
        }
    }

    /// The next command, if one has come.
    fn take(&self) -> Result<C, TryRecvError> {
        // Asked first: whoever was there then may have put something in since.
        let deserted = self.senders.strong_count() == 0;
        let nothing = if deserted { TryRecvError::Disconnected } else { TryRecvError::Empty };
        self.commands.pop().map(|command| *command).ok_or(nothing)
    }

    /// What wakes this thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

impl<C> Drop for Inbox<C> {
    fn drop(&mut self) {
        self.commands.close();
    }
}

/// Runs the pipe thread of one child until it and its output have ended. In a
/// frame of its own: most of its life the thread waits in here.
#[inline(never)]
pub fn run<D: Duty>(mut child: Child, duty: &mut D, inbox: &Inbox<D::Command>) -> Ended {
    let mut course = Course::new();
    let mut buffer = Vec::new();
    let mut asked_for_room = false;
    let mut quiet = false;
    duty.started(&mut child);
    // What came before the child did not necessarily leave a wake-up.
    take_commands(&mut child, duty, inbox);
    loop {
        let now = Instant::now();
        if duty.kept() > 0 && duty.has_room() {
            duty.go_on(now);
        }
        let ending_until = child.go_on_ending(now);
        let held_until = match course.step(child.facts(&course, duty.kept() > 0), now) {
            Step::Wait(until) => until,
            Step::Again => continue,
            Step::CloseInput => {
                child.pipes.stdin.close();
                continue;
            }
            Step::End => {
                // A hang-up takes with it what a terminal still holds.
                read(&mut child, duty, Stream::Stdout, &mut buffer, now);
                child.begin_end(now);
                continue;
            }
            Step::Done => return child.ended(0),
        };

        let has_room = may_read(duty);
        if !has_room && course.is_last() && child.end == Some(End::Abandoned) {
            let unread = child.pipes.unread_output() + duty.kept() as u64;
            return child.ended(unread);
        }
        if !has_room && !asked_for_room {
            duty.wake_when_room(inbox.waker());
            asked_for_room = true;
        }

        let wake_at = [ending_until, held_until, duty.due()].into_iter().flatten().min();
        if wake_at.is_none() {
            buffer = Vec::new();
            if quiet {
                resident::give_back_stack();
            }
        }
        let limit = wake_at.map(|at| at.saturating_duration_since(now));
        let ending = match &child.processes {
            Living::Ending(ending) => Some(ending),
            Living::Free(_) | Living::Ended(_) => None,
        };
        let ready = child.pipes.wait(&inbox.wake, ending, Wanted { output: has_room, limit });
        if ready.woken {
            inbox.wake.drain();
            // Room may have come and gone to another session again.
            asked_for_room = false;
            take_commands(&mut child, duty, inbox);
        }
        let now = Instant::now();
        quiet = ready.readable == [false; 2];
        if quiet {
            buffer = Vec::new();
        }
        for stream in Stream::BOTH {
            if ready.readable[stream as usize] {
                read(&mut child, duty, stream, &mut buffer, now);
            }
        }
        if duty.due().is_some_and(|due| due <= now) {
            duty.time(&mut child, now);
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

/// Whether more output may be read: what was read comes first.
fn may_read(duty: &impl Duty) -> bool {
    duty.kept() == 0 && duty.has_room()
}

/// Reads one stream until it is empty or there is no room, and not for ever.
fn read<D: Duty>(
    child: &mut Child,
    duty: &mut D,
    stream: Stream,
    buffer: &mut Vec<u8>,
    now: Instant,
) {
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
