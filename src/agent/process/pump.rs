//! The pipe thread of a child: one `poll` over its output, its input while
//! there is a backlog, and a waker.
//!
//! The thread that calls [`run`] owns the child until nothing of it is left to
//! read. What output means and when a turn ends is its profile's business,
//! behind [`Duty`]; what the system does about processes lies behind
//! [`Processes`]. Nothing wakes the thread while nothing happens.
//!
//! Cost of a byte: the kernel's copy into the reading buffer here, and one
//! pass from there into the frame (by the profile's stream). The buffer holds
//! what a pipe holds, and is given back as soon as a `poll` finds no output.

use std::io;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::course::{Course, Facts, Step};
use super::pipes::{Pipes, READ, Read, Stream};
use super::stdin::Level;
use crate::wake::{self, WakeFd, Waker};

/// Full buffers taken from one stream before anything else is looked at.
const READS_IN_A_ROW: usize = 4;

/// What a profile makes of its child. Called in the pipe thread; nothing may block.
pub trait Duty {
    /// What its agent says to the pipe thread.
    type Command;
    /// The child runs, or runs again.
    fn started(&mut self, _child: &mut Child) {}
    /// Something came by channel.
    fn command(&mut self, command: Self::Command, child: &mut Child);
    /// The agent is gone without a word.
    fn deserted(&mut self, child: &mut Child);
    /// Output, as it came.
    fn output(&mut self, stream: Stream, bytes: &[u8], now: Instant);
    /// Whether more output may be read.
    fn has_room(&self) -> bool;
    /// Wake the thread once there is room.
    fn wake_when_room(&self, waker: Waker);
    /// When [`Duty::time`] is to be called; `None`: nothing is planned.
    fn due(&self) -> Option<Instant>;
    /// The moment of [`Duty::due`] has come.
    fn time(&mut self, child: &mut Child, now: Instant);
}

/// What the system knows and does about a child's processes.
pub trait Processes: Send {
    /// The child's own process.
    fn root(&self) -> i32;
    /// Its exit code (128+n for signal n) once it has exited. The pipe thread
    /// is woken when that happens.
    fn exit_code(&mut self) -> Option<i32>;
    /// SIGINT to the group in the foreground.
    fn interrupt(&mut self, pipes: &Pipes);
    /// TERM to everything of the session; does not wait.
    fn terminate(&mut self);
    /// Waits until `until` for everything to end, kills what is left, and
    /// returns how many processes hang in the kernel.
    fn finish(&mut self, until: Instant) -> usize;
}

/// A running child in its pipe thread.
pub struct Child {
    /// Our ends of its standard streams.
    pub pipes: Pipes,
    /// Its processes.
    pub processes: Box<dyn Processes>,
    /// One terminal instead of three pipes.
    pub tty: bool,
    end: Option<End>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, 128+n for signal n; `None` when it hangs in the kernel.
    pub exit_code: Option<i32>,
    /// Processes that hang in the kernel and were left.
    pub left: usize,
    /// Bytes of output that were given up.
    pub unread: u64,
}

impl Child {
    /// A child as it was launched.
    pub fn new(pipes: Pipes, processes: Box<dyn Processes>, tty: bool) -> Self {
        Self { pipes, processes, tty, end: None }
    }

    /// Ends everything of it: TERM, five seconds, KILL.
    pub fn end(&mut self) {
        self.end.get_or_insert(End::Drained);
    }

    /// As [`Child::end`], for a session that ends: what it still writes is
    /// taken only as far as there is room.
    pub fn abandon(&mut self) {
        self.end = Some(End::Abandoned);
    }

    /// Whether it is on its way out.
    pub fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// SIGINT to what runs in the foreground.
    pub fn interrupt(&mut self) {
        self.processes.interrupt(&self.pipes);
    }
}

/// The sending half of a pipe thread. Cheap to clone.
#[derive(Debug)]
pub struct Handle<C> {
    commands: Sender<C>,
    waker: Waker,
    level: Level,
}

/// The receiving half of a pipe thread: it outlives the children.
#[derive(Debug)]
pub struct Inbox<C> {
    commands: Receiver<C>,
    wake: WakeFd,
    waker: Waker,
    level: Level,
}

/// Makes the two halves. The channel has no bound of its own: what it can hold
/// is bounded by who reads [`Handle::level`] before sending more.
///
/// # Errors
/// When the process is out of descriptors.
pub fn channel<C>() -> io::Result<(Handle<C>, Inbox<C>)> {
    let (commands, received) = unbounded();
    let (waker, wake) = wake::pair()?;
    let level = Level::default();
    let handle = Handle { commands, waker: waker.clone(), level: level.clone() };
    Ok((handle, Inbox { commands: received, wake, waker, level }))
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            waker: self.waker.clone(),
            level: self.level.clone(),
        }
    }
}

impl<C> Handle<C> {
    /// Tells the thread. `false` when it has ended.
    pub fn send(&self, command: C) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.waker.wake();
        sent
    }

    /// Bytes on their way to the child; raise it before sending some.
    pub fn level(&self) -> &Level {
        &self.level
    }
}

impl<C> Inbox<C> {
    /// Waits for a command while there is no child; `None` when all senders are gone.
    pub fn wait(&self) -> Option<C> {
        self.commands.recv().ok()
    }

    /// What wakes this thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What counts the bytes on their way to the child.
    pub fn level(&self) -> Level {
        self.level.clone()
    }
}

/// What a `poll` found.
#[derive(Default)]
struct Ready {
    woken: bool,
    writable: bool,
    readable: [bool; 2],
}

/// Runs the pipe thread of one child until it and its output have ended.
pub fn run<D: Duty>(mut child: Child, duty: &mut D, inbox: &Inbox<D::Command>) -> Ended {
    let mut course = Course::new();
    let mut ended = Ended::default();
    let mut buffer = Vec::new();
    let mut asked_for_room = false;
    duty.started(&mut child);
    // What came before the child did not necessarily leave a wake-up.
    take_commands(&mut child, duty, inbox);
    loop {
        let now = Instant::now();
        if ended.exit_code.is_none() {
            ended.exit_code = child.processes.exit_code();
        }
        let until = match course.step(facts(&child, &course, ended), now) {
            Step::Wait(until) => until,
            Step::CloseInput => {
                child.pipes.stdin.close();
                continue;
            }
            Step::Terminate => {
                terminate(&mut child, duty, &mut buffer, now);
                continue;
            }
            Step::Finish(until) => {
                ended.left = child.processes.finish(until);
                continue;
            }
            Step::Done => break,
        };

        let has_room = duty.has_room();
        if !has_room && course.is_last() && child.end == Some(End::Abandoned) {
            ended.unread = child.pipes.unread_output();
            break;
        }
        if !has_room && !asked_for_room {
            duty.wake_when_room(inbox.waker());
            asked_for_room = true;
        }

        let wake_at = [until, duty.due()].into_iter().flatten().min();
        if wake_at.is_none() {
            buffer = Vec::new();
        }
        let ready = wait(&child, inbox, has_room, wake_at, now);
        if ready.woken {
            inbox.wake.drain();
            // Room may have come and gone to another session again.
            asked_for_room = false;
            take_commands(&mut child, duty, inbox);
        }
        if ready.writable {
            child.pipes.stdin.write();
        }
        let now = Instant::now();
        if ready.readable == [false; 2] {
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
    ended
}

fn facts(child: &Child, course: &Course, ended: Ended) -> Facts {
    let pipes = &child.pipes;
    Facts {
        exited: ended.exit_code.is_some(),
        end_wanted: child.is_ending(),
        ended: pipes.ended(),
        held: course.asks_for_holders() && pipes.held(),
        empty: course.is_last() && !pipes.has_output(),
    }
}

fn take_commands<D: Duty>(child: &mut Child, duty: &mut D, inbox: &Inbox<D::Command>) {
    loop {
        match inbox.commands.try_recv() {
            Ok(command) => duty.command(command, child),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => return duty.deserted(child),
        }
    }
}

/// Closing its input ends many a program that ignores TERM; a terminal is hung
/// up, which takes its output with it, so what it holds is read first.
fn terminate<D: Duty>(child: &mut Child, duty: &mut D, buffer: &mut Vec<u8>, now: Instant) {
    child.pipes.stdin.close();
    if child.tty {
        read(child, duty, Stream::Stdout, buffer, now);
        child.pipes.close();
    }
    child.processes.terminate();
}

/// Reads one stream until it is empty, and not for ever.
fn read<D: Duty>(
    child: &mut Child,
    duty: &mut D,
    stream: Stream,
    buffer: &mut Vec<u8>,
    now: Instant,
) {
    for _ in 0..READS_IN_A_ROW {
        let Read::Bytes(length) = child.pipes.read(stream, buffer) else { return };
        duty.output(stream, buffer, now);
        if length < READ || !duty.has_room() {
            return;
        }
    }
}

/// The one place where the thread waits.
fn wait<C>(
    child: &Child,
    inbox: &Inbox<C>,
    has_room: bool,
    wake_at: Option<Instant>,
    now: Instant,
) -> Ready {
    let mut polled = Vec::with_capacity(4);
    polled.push(PollFd::new(&inbox.wake, PollFlags::IN));
    let backlog = child.pipes.stdin.backlog();
    if let Some(end) = backlog {
        polled.push(PollFd::from_borrowed_fd(end, PollFlags::OUT));
    }
    let outputs = Stream::BOTH.map(|stream| child.pipes.pollable(stream).filter(|_| has_room));
    for end in outputs.into_iter().flatten() {
        polled.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
    }
    let pause = wake_at.map(|at| {
        let pause = at.saturating_duration_since(now);
        Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: pause.subsec_nanos().into(),
        }
    });
    match poll(&mut polled, pause.as_ref()) {
        Ok(_) => {}
        // An interruption is a wake-up for nothing; anything else cannot happen
        // with open descriptors, and the next round would say so again.
        Err(Errno::INTR) => return Ready::default(),
        Err(error) => {
            log::error!("pipe thread cannot poll error={error}");
            return Ready::default();
        }
    }
    let mut said = polled.iter().map(|polled| !polled.revents().is_empty());
    let mut next = || said.next().unwrap_or(false);
    let woken = next();
    let writable = backlog.is_some() && next();
    let readable = outputs.map(|output| output.is_some() && next());
    Ready { woken, writable, readable }
}
