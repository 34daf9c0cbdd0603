//! The way into a thread that reads a child's pipes: a queue and a waker.

use std::io;
use std::sync::{Arc, Weak};

use crossbeam_channel::TryRecvError;

use crate::queue::Queue;
use crate::wake::{self, WakeFd, Waker};

/// The sending half of a pipe thread. Cheap to clone.
#[derive(Debug)]
pub struct Handle<C>(Arc<Senders<C>>);

/// All that send to one pipe thread: it is woken when the last of them has gone.
#[derive(Debug)]
struct Senders<C> {
    commands: Arc<Queue<Box<C>>>,
    waker: Waker,
}

/// The receiving half of a pipe thread: it outlives the children. Sessions may have one
/// each, so the places of its queue hold pointers.
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
    pub(super) fn take(&self) -> Result<C, TryRecvError> {
        // Asked first: whoever was there then may have put something in since.
        let deserted = self.senders.strong_count() == 0;
        let nothing = if deserted { TryRecvError::Disconnected } else { TryRecvError::Empty };
        self.commands.pop().map(|command| *command).ok_or(nothing)
    }

    /// What this thread polls.
    pub(super) fn wake(&self) -> &WakeFd {
        &self.wake
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
