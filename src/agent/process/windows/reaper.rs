//! The end of a child: a thread waits for it, and tells its owner.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use log::warn;

use crate::threads;
use crate::wake::Waker;

/// The number of a process.
pub type Pid = u32;

/// Nothing has to be reaped here: a process is gone when it has ended.
#[derive(Clone, Debug, Default)]
pub struct Reaper;

impl Reaper {
    /// The only one there is.
    pub fn new() -> Self {
        Self
    }
}

/// Tells the end of one child to its owner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExitWatch(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    pid: Pid,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    status: Option<ExitStatus>,
    waker: Option<Waker>,
}

impl ExitWatch {
    /// Watches a child, in a thread that ends with it.
    pub(super) fn start(mut child: Child) -> io::Result<(Self, JoinHandle<()>)> {
        let slot = Slot { pid: child.id(), state: Mutex::default(), ended: Condvar::new() };
        let watch = Self(Arc::new(slot));
        let told = watch.clone();
        let thread = threads::spawn("exit", move || match child.wait() {
            Ok(status) => told.end(status),
            // The handle is ours and open: there is nothing that could be wrong with it.
            Err(error) => warn!("a child's end cannot be told pid={} error={error}", child.id()),
        })?;
        Ok((watch, thread))
    }

    fn end(&self, status: ExitStatus) {
        let mut state = self.state();
        state.status = Some(status);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        drop(state);
        self.0.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The child's number. After its end it may be another's.
    pub fn pid(&self) -> Pid {
        self.0.pid
    }

    /// How the child ended; `None` while it runs.
    pub fn try_status(&self) -> Option<ExitStatus> {
        self.state().status
    }

    /// Wakes `waker` once when the child has ended; at once if it has. A
    /// second call replaces the waker of the first.
    pub fn wake_on_exit(&self, waker: Waker) {
        let mut state = self.state();
        match state.status {
            Some(_) => waker.wake(),
            None => state.waker = Some(waker),
        }
    }

    /// Blocks until the child has ended or `deadline` has come.
    pub fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let mut state = self.state();
        while state.status.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.0.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.status
    }
}

/// The exit code, which every process has here. One that was killed by the
/// runtime has [`super::family::KILLED`].
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}
