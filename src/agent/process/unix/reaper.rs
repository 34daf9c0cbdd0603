//! The one place where children are reaped, and where their owners learn of it.
//!
//! The runtime is a subreaper (or PID 1): besides its own children it gets every
//! orphan of their descendants. Only [`Reaper::reap`], called by the "signals"
//! thread on `SIGCHLD`, and [`Reaper::reap_one`] ever wait for a process;
//! nothing else in this program may, or exit codes would be stolen. A child
//! somebody watches has its status kept; a stranger is reaped and forgotten.
//!
//! Reaping and looking up happen under one lock, and the lock is never held
//! across anything that blocks. So a pid whose [`ExitWatch`] has no status yet,
//! looked at under that lock, cannot belong to anybody else.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use rustix::io::Errno;
pub use rustix::process::Pid;
use rustix::process::{Signal, WaitOptions, WaitStatus, kill_process, wait, waitpid};

use super::orphans::{Belongs, Orphan, Orphans, Sorted};
use super::procfs;
use crate::resident;
use crate::wake::Waker;

/// A handle on the table of watched children. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reaper(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    watched: HashMap<Pid, Weak<Slot>>,
    /// Children being spawned whose pid is not known yet.
    expected: usize,
    /// Exits of unknown pids while some are expected: one of them may be the one.
    /// With the number of announcements before it.
    unclaimed: HashMap<Pid, (u64, ExitStatus)>,
    announced: u64,
    /// Children nobody watches, as far as somebody looked at them.
    orphans: Orphans,
}

#[derive(Debug)]
struct Slot {
    pid: Pid,
    state: Mutex<SlotState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    status: Option<ExitStatus>,
    waker: Option<Waker>,
}

/// Tells the end of one child to its owner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ExitWatch {
    reaper: Reaper,
    slot: Arc<Slot>,
}

/// A child about to be spawned; hold it from before the `fork` until [`Expected::watch`].
#[derive(Debug)]
pub struct Expected<'a> {
    reaper: &'a Reaper,
    number: u64,
}

impl Reaper {
    /// A reaper, with this process made the parent of its descendants' orphans.
    ///
    /// Where that is refused, as by an emulated kernel, they go to PID 1.
    #[cfg(target_os = "linux")]
    pub fn new() -> Self {
        if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
            log::warn!("orphans of agents go to the system's first process error={error}");
        }
        Self::default()
    }

    /// A reaper of this process's own children.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a child. Without it, one that ends at once would be taken for a stranger.
    pub fn expect(&self) -> Expected<'_> {
        let mut table = self.table();
        table.expected += 1;
        table.announced += 1;
        Expected { reaper: self, number: table.announced }
    }

    /// Reaps everything that has ended. Signals are coalesced: one call may find many, or none.
    pub fn reap(&self) {
        while self.reap_next(|| wait(WaitOptions::NOHANG)).is_some() {}
    }

    /// Reaps `pid` if it is a child of ours that has ended: at once, however
    /// many children there are.
    pub fn reap_one(&self, pid: Pid) {
        self.reap_next(|| waitpid(Some(pid), WaitOptions::NOHANG));
    }

    /// Sorts those of `children` that nobody watches. Each is looked at once in
    /// its life, as a rule. They are listed while nothing can be reaped.
    pub(super) fn sort_orphans(
        &self,
        children: impl Fn() -> Vec<Pid>,
        belongs: impl Fn(&Orphan) -> Belongs,
    ) -> Sorted {
        let mut sorted = Sorted::default();
        let mut unseen = Vec::new();
        let table = self.table();
        for pid in children().into_iter().filter(|pid| !table.watched.contains_key(pid)) {
            match table.orphans.get(pid) {
                Some(orphan) => sorted.add(pid, belongs(orphan)),
                None => unseen.push(pid),
            }
        }
        drop(table);
        for pid in unseen {
            // An environment is read without the lock: that can take its time.
            if let Some(orphan) = Orphan::look(pid) {
                sorted.add(pid, belongs(&orphan));
                self.table().orphans.keep(pid, orphan);
            } else {
                sorted.unsure |= !procfs::is_hidden(pid);
                self.reap_one(pid);
            }
        }
        sorted
    }

    /// `None`: nothing has ended, or there are no children at all (`ECHILD`).
    fn reap_next(
        &self,
        wait: impl Fn() -> rustix::io::Result<Option<(Pid, WaitStatus)>>,
    ) -> Option<()> {
        let mut table = self.table();
        let (pid, status) = loop {
            match wait() {
                Err(Errno::INTR) => {}
                other => break other.ok()??,
            }
        };
        let status = ExitStatus::from_raw(status.as_raw());
        table.orphans.forget(pid);
        if let Some(slot) = table.watched.remove(&pid) {
            resident::shrink(&mut table.watched);
            if let Some(slot) = slot.upgrade() {
                slot.end(status);
            }
        } else if table.expected > 0 {
            let announced = table.announced;
            table.unclaimed.insert(pid, (announced, status));
        } else {
            log::debug!("stranger reaped pid={} {status}", pid.as_raw_nonzero());
        }
        Some(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code under the lock can leave the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected<'_> {
    /// The child has this pid: its end is kept from now on, also if it was already.
    pub fn watch(self, pid: Pid) -> ExitWatch {
        let slot = Arc::new(Slot { pid, state: Mutex::default(), ended: Condvar::new() });
        let mut table = self.reaper.table();
        // An exit from before the announcement was a stranger's of the same number.
        match table.unclaimed.remove(&pid) {
            Some((announced, status)) if announced >= self.number => slot.end(status),
            _ => {
                table.watched.insert(pid, Arc::downgrade(&slot));
            }
        }
        drop(table);
        ExitWatch { reaper: self.reaper.clone(), slot }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut table = self.reaper.table();
        table.expected -= 1;
        if table.expected == 0 {
            table.unclaimed = HashMap::new();
        }
    }
}

impl Slot {
    fn end(&self, status: ExitStatus) {
        let mut state = self.state();
        state.status = Some(status);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        drop(state);
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExitWatch {
    /// The child's pid. After its end the number may be another's.
    pub fn pid(&self) -> Pid {
        self.slot.pid
    }

    /// How the child ended; `None` while it has not been reaped.
    pub fn try_status(&self) -> Option<ExitStatus> {
        self.slot.state().status
    }

    /// Wakes `waker` once when the child has ended; at once if it has. A
    /// second call replaces the waker of the first.
    pub fn wake_on_exit(&self, waker: Waker) {
        let mut state = self.slot.state();
        match state.status {
            Some(_) => waker.wake(),
            None => state.waker = Some(waker),
        }
    }

    /// Blocks until the child has ended or `deadline` has come.
    pub fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let mut state = self.slot.state();
        while state.status.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.slot.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.status
    }

    /// Runs `act` while the pid certainly is this child's; `None` once it has been reaped.
    pub fn while_unreaped<T>(&self, act: impl FnOnce(Pid) -> T) -> Option<T> {
        // Reaping needs the table: held here, the pid cannot change hands.
        let _table = self.reaper.table();
        self.try_status().is_none().then(|| act(self.slot.pid))
    }

    /// Signals the child alone, if it has not been reaped.
    pub fn signal(&self, signal: Signal) {
        self.while_unreaped(|pid| kill_process(pid, signal));
    }

    /// Who reaps it.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }
}

/// The exit code as shells count: 128+n for signal n.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
