//! The link writer's work: takes commands, decides, writes, tells.
//!
//! It lies on a desk. The writer's own thread does it, and sleeps when nothing is
//! left; a session that has a few words does it itself meanwhile, which saves the
//! change of threads. Whoever is at it has it alone, never blocks, and leaves either
//! when everything is done and the writer's sleep is right as it is, or has the
//! writer woken. Nobody waits for the desk but the writer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use log::info;
use rustix::event::PollFlags;

use super::clock::Suspends;
use super::end::LinkEnd;
use super::link::Link;
use super::liveness::{Gone, Patience};
use super::outbox::Command;
use super::sending::Sending;
use super::status::Shared;
use super::window::{Undelivered, Window};
use super::writer::{LinkCommand, WriterEvent};
use crate::wake::doorbell::Attention;

/// Commands taken before something is sent again.
const BURST: usize = 1024;

/// What there is to work with.
pub struct WorkArgs {
    /// What sessions and the connection's side say.
    pub commands: Receiver<Command>,
    /// Everything unconfirmed.
    pub window: Window,
    /// When a hub is given up.
    pub patience: Patience,
    /// How long a hub may take to end a connection after our farewell.
    pub farewell: Duration,
    /// The way to the supervisor. Must not block.
    pub tell: Box<dyn Fn(WriterEvent) + Send>,
    /// Counters.
    pub shared: Arc<Shared>,
}

/// See the module's head.
pub struct WriterDesk {
    /// `None`: there is no writer any more.
    work: Mutex<Option<Work>>,
    attention: Attention,
}

impl WriterDesk {
    /// A desk whose writer does not sleep yet.
    pub fn new(args: WorkArgs, attention: Attention) -> Self {
        let work = Work {
            args,
            sending: None,
            draining: false,
            quitting: false,
            suspends: Suspends::new(),
            sleep: None,
        };
        Self { work: Mutex::new(Some(work)), attention }
    }

    /// The writer is up: does everything there is to do.
    pub fn work(&self) -> Next {
        let mut place = self.place();
        self.attention.wake_up();
        let Some(work) = &mut *place else { return Next::Leave(Undelivered::default()) };
        work.step();
        if work.quitting && work.sending.is_none() {
            let left = work.args.window.undelivered();
            *place = None;
            return Next::Leave(left);
        }
        self.attention.doze();
        if !work.is_done() {
            return Next::GoOn;
        }
        let until = work.deadline();
        let socket = work.sending.as_ref().and_then(Sending::blocked);
        let watches = socket.as_ref().map(|(link, flags)| (link.generation, *flags));
        work.sleep = Some(Sleep { until, watches });
        Next::Sleep { until, socket }
    }

    /// Does the work of a sleeping writer, unless somebody else is at it, and never
    /// waits. Returns whether the writer can sleep on.
    pub fn stand_in(&self) -> bool {
        let Ok(mut place) = self.work.try_lock() else { return false };
        let Some(work) = &mut *place else { return true };
        work.step();
        self.attention.doze();
        work.is_done() && work.may_sleep_on()
    }

    /// The writer has seen that the socket is ready again.
    pub fn socket_is_ready(&self) {
        if let Some(sending) = self.place().as_mut().and_then(|work| work.sending.as_mut()) {
            sending.must_flush();
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<Work>> {
        // A panic ends the process; until then there is nothing to protect.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the writer does next.
pub enum Next {
    /// The same again: something came.
    GoOn,
    /// Sleep until its doorbell rings.
    Sleep {
        /// Or until then.
        until: Option<Instant>,
        /// Or until this is ready.
        socket: Option<(Arc<Link>, PollFlags)>,
    },
    /// It was told to quit; this could not be delivered.
    Leave(Undelivered),
}

/// How the writer sleeps.
struct Sleep {
    until: Option<Instant>,
    /// The connection it watches as well, and for what.
    watches: Option<(u64, PollFlags)>,
}

struct Work {
    args: WorkArgs,
    sending: Option<Sending>,
    draining: bool,
    quitting: bool,
    suspends: Suspends,
    /// `None`: it has not slept yet.
    sleep: Option<Sleep>,
}

impl Work {
    fn step(&mut self) {
        let now = Instant::now();
        self.take_commands(now);
        self.work(now);
        self.report();
    }

    /// Whether nothing new has come.
    fn is_done(&mut self) -> bool {
        self.args.commands.is_empty() && !self.args.window.release_held()
    }

    /// When there is something to do, if nothing comes before.
    fn deadline(&self) -> Option<Instant> {
        let deadline =
            self.sending.as_ref().and_then(|sending| sending.deadline(&self.args.window));
        [deadline, self.args.window.next_repeat()].into_iter().flatten().min()
    }

    /// Whether a sleeping writer need not be woken for what has become of its work.
    fn may_sleep_on(&self) -> bool {
        let Some(sleep) = &self.sleep else { return false };
        let in_time = self
            .deadline()
            .is_none_or(|deadline| sleep.until.is_some_and(|until| until <= deadline));
        let full = self.sending.as_ref().and_then(Sending::blocked);
        let watched =
            full.is_none_or(|(link, flags)| sleep.watches == Some((link.generation, flags)));
        in_time && watched && !self.quitting
    }

    fn take_commands(&mut self, now: Instant) {
        for command in self.args.commands.clone().try_iter().take(BURST) {
            match command {
                Command::Send { lane, entry } => self.args.window.push(&lane, entry),
                Command::NeedRoom { lane, waker } => self.args.window.need_room(&lane, waker),
                Command::LimitChanged => self.args.window.limit_changed(),
                Command::Release { lane } => self.args.window.release(&lane),
                Command::Answer(frame) => {
                    if self.args.window.answer(frame).is_err()
                        && let Some(sending) = &mut self.sending
                    {
                        sending.give_up(LinkEnd::GivenUp(Gone::OnlyAsking));
                    }
                }
                Command::Link(command) => self.take_link_command(command, now),
            }
        }
    }

    fn take_link_command(&mut self, command: LinkCommand, now: Instant) {
        match command {
            LinkCommand::Attach(link) => {
                self.args.window.connect(now);
                self.sending = Some(Sending::new(link, self.args.patience));
            }
            LinkCommand::Pong { generation, payload, at } => {
                if self.is_current(generation) {
                    self.args.window.pong(&payload, at);
                }
            }
            LinkCommand::Flush { generation } => {
                if self.is_current(generation)
                    && let Some(sending) = &mut self.sending
                {
                    sending.must_flush();
                }
            }
            LinkCommand::ReaderEnded { generation, end } => {
                if self.is_current(generation) {
                    self.detach(end, now);
                }
            }
            LinkCommand::Close { by } => self.close(by),
            LinkCommand::Drain => {
                self.args.window.hurry();
                self.draining = true;
            }
            LinkCommand::Quit { by } => {
                self.quitting = true;
                self.close(by);
            }
        }
    }

    fn close(&mut self, by: Instant) {
        if let Some(sending) = &mut self.sending {
            self.args.window.pause();
            sending.close_by(by);
        }
    }

    fn is_current(&self, generation: u64) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.generation() == generation)
    }

    /// The reader has ended: the connection is over.
    fn detach(&mut self, end: LinkEnd, now: Instant) {
        let Some(sending) = self.sending.take() else { return };
        let generation = sending.generation();
        let end = sending.into_end(end);
        let (entries, bytes) = self.args.window.unconfirmed();
        self.args.window.lost(end.loss(), now);
        if entries > 0 {
            info!("unconfirmed messages will be sent again entries={entries} bytes={bytes}");
        }
        (self.args.tell)(WriterEvent::Ended { generation, end });
    }

    fn work(&mut self, now: Instant) {
        // What these two bring back is sent at once.
        self.args.window.release_held();
        let hub_pings = self.args.shared.hub_pings.load(Ordering::Relaxed);
        self.args.window.repeat_due(!hub_pings, now);
        let slept = self.suspends.since_last_look();
        if let Some(sending) = &mut self.sending {
            if let Some(slept) = slept {
                info!(
                    "this machine was suspended, asking the hub whether it is still there for={slept:?}"
                );
                sending.resumed(now);
            }
            sending.work(&mut self.args.window, &self.args.shared, self.args.farewell);
        }
        if self.draining && self.args.window.is_drained() {
            self.draining = false;
            (self.args.tell)(WriterEvent::Drained);
        }
    }

    fn report(&self) {
        let (window, shared) = (&self.args.window, &self.args.shared);
        let (entries, bytes) = window.unconfirmed();
        shared.unconfirmed.store(entries, Ordering::Relaxed);
        shared.unconfirmed_bytes.store(bytes, Ordering::Relaxed);
        shared.window.store(window.limit(), Ordering::Relaxed);
        shared.pending.store(window.pending(), Ordering::Relaxed);
        shared.open_turns.store(window.open_turns(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
