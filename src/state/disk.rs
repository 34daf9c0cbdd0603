//! The thread that waits for the disk, so that nobody else has to.
//!
//! It does what may take seconds on a slow card (syncing, unlinking, replacing
//! a file), one thing after the other. It knows nothing of what it does.

use std::io;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::error;

use crate::receive::receive;
use crate::threads;

type Job = Box<dyn FnOnce() + Send>;

/// Its users each have at most one job waiting, and one running.
const WAITING_JOBS: usize = 8;

/// The owner's end.
#[derive(Debug)]
pub(super) struct DiskThread {
    jobs: DiskHandle,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

/// The users' end. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct DiskHandle(Sender<Option<Job>>);

impl DiskThread {
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, work) = bounded::<Option<Job>>(WAITING_JOBS);
        let (ending, ended) = bounded::<()>(0);
        let thread = threads::spawn("disk", move || {
            // Dropped at the end, which is how the owner sees it.
            let _ending = ending;
            while let Ok(Some(job)) = receive(&work) {
                job();
            }
        })?;
        Ok(Self { jobs: DiskHandle(jobs), ended, thread })
    }

    pub(super) fn handle(&self) -> DiskHandle {
        self.jobs.clone()
    }

    /// Finishes what was submitted; gives up at the deadline (a hung disk
    /// cannot be interrupted) and says whether it was finished.
    pub(super) fn finish(self, deadline: Instant) -> bool {
        if self.jobs.0.send_deadline(None, deadline).is_err() {
            return false;
        }
        let timed_out = self.ended.recv_deadline(deadline).is_err_and(|error| error.is_timeout());
        !timed_out && self.thread.join().is_ok()
    }
}

impl DiskHandle {
    /// Hands a job over without waiting. `false` when it was not taken.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let taken = self.0.try_send(Some(Box::new(job))).is_ok();
        if !taken {
            error!("disk thread takes no work, something was not written");
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn finishing_waits_for_every_job() {
        let disk = DiskThread::start().unwrap();
        let (done, seen) = bounded(2);
        for number in 0..2 {
            let done = done.clone();
            assert!(disk.handle().submit(move || done.send(number).unwrap()));
        }
        assert!(disk.finish(Instant::now() + Duration::from_secs(10)));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_hung_disk_is_let_go_at_the_deadline() {
        let disk = DiskThread::start().unwrap();
        let (release, hang) = bounded::<()>(0);
        disk.handle().submit(move || {
            let _ = hang.recv();
        });
        assert!(!disk.finish(Instant::now() + Duration::from_millis(20)));
        drop(release);
    }
}
