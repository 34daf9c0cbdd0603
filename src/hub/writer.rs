//! The thread that does the link writer's work whenever nobody else does it.
//!
//! It lives as long as the process; connections come and go. It waits for its
//! doorbell, its alarm and, only while the socket is full, for the socket. It
//! never blocks on anything else, so what sessions say is always taken. When to
//! connect is not its business: it is given connections and tells how they ended.

use std::sync::Arc;
use std::time::Instant;

use log::warn;
use rustix::event::{PollFd, PollFlags, poll};
use tungstenite::Bytes;

use super::clock::Alarm;
use super::desk::{Next, WriterDesk};
use super::end::LinkEnd;
use super::link::Link;
use super::window::Undelivered;
use crate::wake::WakeFd;

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

/// See the module's head.
pub struct Writer {
    /// Its work.
    pub desk: Arc<WriterDesk>,
    /// Rings when something was said and nobody else has dealt with it.
    pub bell: WakeFd,
    /// Rings when a deadline has come.
    pub alarm: Alarm,
}

impl Writer {
    /// Runs until told to quit; returns what could not be delivered.
    pub fn run(mut self) -> Undelivered {
        loop {
            match self.desk.work() {
                Next::GoOn => {}
                Next::Sleep { until, socket } => self.sleep(until, socket.as_ref()),
                Next::Leave(left) => return left,
            }
        }
    }

    /// Sleeps until there may be something to do.
    fn sleep(&mut self, until: Option<Instant>, socket: Option<&(Arc<Link>, PollFlags)>) {
        let timeout = self.alarm.set(until, Instant::now());
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        if let Some(timer) = self.alarm.fd() {
            fds.push(PollFd::from_borrowed_fd(timer, PollFlags::IN));
        }
        let timer = fds.len() - 1;
        if let Some((link, flags)) = socket {
            fds.push(PollFd::new(&**link, *flags));
        }
        if let Err(error) = poll(&mut fds, timeout.as_ref())
            && error != rustix::io::Errno::INTR
        {
            warn!("poll failed error={error}");
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if happened[0] {
            self.bell.drain();
        }
        if timer > 0 && happened[timer] {
            self.alarm.rang();
        }
        if happened.get(timer + 1) == Some(&true) {
            self.desk.socket_is_ready();
        }
    }
}
