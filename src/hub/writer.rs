//! The thread that owns the delivery window and writes to whatever connection
//! there is.
//!
//! It lives as long as the process; connections come and go. It waits for its
//! doorbell, its alarm and, only while the socket is full, for the socket. It
//! never blocks on anything else, so what sessions say is always taken. When to
//! connect is not its business: it is given connections and tells how they ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use log::{info, warn};
use rustix::event::{PollFd, PollFlags, poll};
use tungstenite::Bytes;

use super::clock::Alarm;
use super::end::LinkEnd;
use super::link::Link;
use super::liveness::{Gone, Patience};
use super::outbox::Command;
use super::sending::Sending;
use super::status::Shared;
use super::window::{Undelivered, Window};
use crate::wake::WakeFd;
use crate::wake::doorbell::Attention;

/// Commands taken before something is sent again.
const BURST: usize = 1024;

/// What the connection's side tells the writer.
pub enum LinkCommand {
    /// A connection is registered: send over it.
    Attach(Arc<Link>),
    /// A pong came.
    Pong { generation: u64, payload: Bytes, at: Instant },
    /// The reader found the socket full when it had something to say.
    Flush { generation: u64 },
    /// The connection has ended, and its reader with it.
    ReaderEnded { generation: u64, end: LinkEnd },
    /// Close the connection once what is on the wire is confirmed, at the latest then.
    Close { by: Instant },
    /// Tell once everything is confirmed, and do not put off pings until then.
    Drain,
    /// The end of the process: close the connection, if there is one, and return.
    Quit { by: Instant },
}

/// What the writer tells its supervisor.
#[derive(Debug)]
pub enum WriterEvent {
    /// That connection has ended.
    Ended { generation: u64, end: LinkEnd },
    /// Everything is confirmed.
    Drained,
}

/// The writer's dealings.
pub struct WriterArgs {
    /// What sessions and the connection's side say.
    pub commands: Receiver<Command>,
    /// Rings when something was said.
    pub bell: WakeFd,
    /// Says whether it must be rung.
    pub attention: Attention,
    /// Everything unconfirmed.
    pub window: Window,
    /// Rings when a deadline has come.
    pub alarm: Alarm,
    /// When a hub is given up.
    pub patience: Patience,
    /// How long a hub may take to end a connection after our farewell.
    pub farewell: Duration,
    /// The way to the supervisor. Must not block.
    pub tell: Box<dyn Fn(WriterEvent) + Send>,
    /// Counters.
    pub shared: Arc<Shared>,
}

/// Runs until told to quit; returns what could not be delivered.
pub fn run(args: WriterArgs) -> Undelivered {
    let mut writer = Writer { args, sending: None, draining: false, quitting: false };
    loop {
        let now = Instant::now();
        writer.take_commands(now);
        writer.work(now);
        writer.report();
        if writer.quitting && writer.sending.is_none() {
            return writer.args.window.undelivered();
        }
        writer.wait();
    }
}

struct Writer {
    args: WriterArgs,
    sending: Option<Sending>,
    draining: bool,
    quitting: bool,
}

impl Writer {
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

    /// Does everything that can be done now.
    fn work(&mut self, now: Instant) {
        self.args.window.release_held();
        let slept = self.args.alarm.slept();
        if let Some(sending) = &mut self.sending {
            if let Some(slept) = slept {
                info!(
                    "this machine was suspended, asking the hub whether it is still there for={slept:?}"
                );
                sending.resumed(now);
            }
            sending.work(&mut self.args.window, &self.args.shared, self.args.farewell);
        }
        let hub_pings = self.args.shared.hub_pings.load(Ordering::Relaxed);
        self.args.window.repeat_due(!hub_pings, now);
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

    /// Sleeps until there may be something to do.
    fn wait(&mut self) {
        self.args.attention.doze();
        if self.args.commands.is_empty() && !self.args.window.release_held() {
            let now = Instant::now();
            let deadline =
                self.sending.as_ref().and_then(|sending| sending.deadline(&self.args.window));
            let deadline = [deadline, self.args.window.next_repeat()].into_iter().flatten().min();
            let timeout = self.args.alarm.set(deadline, now);
            self.poll(timeout.as_ref());
        }
        self.args.attention.wake_up();
    }

    fn poll(&mut self, timeout: Option<&rustix::event::Timespec>) {
        let blocked = self.sending.as_ref().and_then(Sending::blocked);
        let mut fds = vec![PollFd::new(&self.args.bell, PollFlags::IN)];
        if let Some(timer) = self.args.alarm.fd() {
            fds.push(PollFd::from_borrowed_fd(timer, PollFlags::IN));
        }
        let timer = fds.len() - 1;
        if let Some((link, flags)) = &blocked {
            fds.push(PollFd::new(&**link, *flags));
        }
        if let Err(error) = poll(&mut fds, timeout)
            && error != rustix::io::Errno::INTR
        {
            warn!("poll failed error={error}");
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if happened[0] {
            self.args.bell.drain();
        }
        if timer > 0 && happened[timer] {
            self.args.alarm.rang();
        }
        if happened.get(timer + 1) == Some(&true)
            && let Some(sending) = &mut self.sending
        {
            sending.must_flush();
        }
    }
}
