//! A child and whatever comes of it: what is in its job object.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use log::debug;

use super::calls::Job;
use super::interrupt;
use super::reaper::{ExitWatch, Pid};

/// What a process exits with that was killed: what SIGKILL is elsewhere.
pub const KILLED: u32 = 128 + 9;

/// How long a process may take to be gone after it was killed.
pub(super) const KILL_WAIT: Duration = Duration::from_secs(2);

/// The jobs there are, to tell whether a process is an agent's.
static JOBS: Mutex<Vec<Weak<Job>>> = Mutex::new(Vec::new());

/// Every process that belongs to one launch. Dropped, all of them are killed.
#[derive(Debug)]
pub struct Family {
    exit: ExitWatch,
    job: Arc<Job>,
    waiter: Option<JoinHandle<()>>,
}

impl Family {
    pub(super) fn new(exit: ExitWatch, job: Job, waiter: JoinHandle<()>) -> Self {
        let job = Arc::new(job);
        let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|job| job.strong_count() > 0);
        jobs.push(Arc::downgrade(&job));
        drop(jobs);
        Self { exit, job, waiter: Some(waiter) }
    }

    /// The first process. After its end the number may be another's.
    pub fn root(&self) -> Pid {
        self.exit.pid()
    }

    /// The end of the first process.
    pub fn exit(&self) -> &ExitWatch {
        &self.exit
    }

    /// Nothing is left to be ended; a job without processes needs no word of it.
    #[allow(clippy::unused_self, reason = "elsewhere it is remembered")]
    pub(in crate::agent::process) fn is_over(&mut self) {}

    /// Whether nothing of it lives.
    pub(in crate::agent::process) fn is_extinct(&self) -> bool {
        self.living() == 0
    }

    /// Whether more than its first process may be running.
    pub fn has_company(&self) -> bool {
        self.living() > 1
    }

    /// How many of its processes live.
    pub(super) fn living(&self) -> usize {
        // Nothing can be wrong with a job of ours; if there is, it is ended.
        self.job.living().unwrap_or(0)
    }

    /// Sends Ctrl-C to everything at the first process's console: `false` when
    /// that cannot be, because the first process is gone.
    pub fn interrupt(&self) -> bool {
        let interrupted = match self.exit.try_status() {
            Some(_) => return false,
            None => interrupt::interrupt(self.root()),
        };
        if let Err(error) = &interrupted {
            debug!("not interrupted pid={} error={error}", self.root());
        }
        interrupted.is_ok()
    }

    /// Kills everything of it.
    pub(super) fn kill(&self) {
        self.job.kill(KILLED);
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.kill();
        if self.exit.wait(Instant::now() + KILL_WAIT).is_some()
            && let Some(waiter) = self.waiter.take()
        {
            // It has told the end, which is all it does.
            let _ = waiter.join();
        }
    }
}

/// Whether a process is an agent's. One that cannot be looked at is taken for
/// one: nothing it could be is worth the risk.
pub fn is_of_an_agent(process: Pid) -> bool {
    let jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.iter().filter_map(Weak::upgrade).any(|job| job.holds(process).unwrap_or(true))
}
