//! The thread that gives memory back when nothing has come or gone for a moment.
//!
//! A thread of its own, because that can take some milliseconds, and because whoever
//! gives the program's code back needs some of it again to go on: here that is a loop
//! that parks, where it would be all that waits on several channels. What comes and
//! goes it does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::warn;

use crate::{resident, threads};

/// How long nothing must have come or gone.
const SETTLE: Duration = Duration::from_millis(900);

/// The way to the thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Settler {
    shared: Arc<Shared>,
    /// `None`: there was none to be had, and memory stays where it is.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    base: Instant,
    /// When something came or went last, in milliseconds since `base`, plus one; 0:
    /// what that needed has been given back.
    stirred: AtomicU64,
    /// Nothing is there that would use the program's code.
    unused: AtomicBool,
    over: AtomicBool,
}

impl Settler {
    /// Starts the thread.
    pub fn start() -> Self {
        Self::start_with(|unused| {
            resident::give_back_heap();
            if unused {
                resident::give_back_code();
            }
        })
    }

    fn start_with(give_back: impl Fn(bool) + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            base: Instant::now(),
            stirred: AtomicU64::new(0),
            unused: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = threads::spawn("settler", move || its.run(give_back))
            .inspect_err(|error| warn!("memory is not given back, no thread to be had: {error}"))
            .ok();
        Self { shared, thread }
    }

    /// Something came or went. `unused`: nothing is left that would run.
    pub fn stirred(&self, unused: bool) {
        let shared = &self.shared;
        shared.unused.store(unused, Ordering::Relaxed);
        // One that waits for its time finds the new one then.
        if shared.stirred.swap(shared.now(), Ordering::AcqRel) == 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already, and ends the process.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        let ms = self.base.elapsed().as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX - 1) + 1
    }

    fn run(&self, give_back: impl Fn(bool)) {
        while !self.over.load(Ordering::Acquire) {
            let stirred = self.stirred.load(Ordering::Acquire);
            if stirred == 0 {
                thread::park();
                continue;
            }
            let quiet = Duration::from_millis(self.now().saturating_sub(stirred));
            if quiet < SETTLE {
                thread::park_timeout(SETTLE.saturating_sub(quiet));
            } else if self
                .stirred
                .compare_exchange(stirred, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                give_back(self.unused.load(Ordering::Relaxed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;

    #[test]
    fn it_gives_back_once_a_moment_after_the_last_and_ends_when_dropped() {
        let (tell, given) = unbounded();
        let settler = Settler::start_with(move |unused| tell.send(unused).unwrap());
        let start = Instant::now();
        settler.stirred(false);
        settler.stirred(true);
        assert_eq!(given.recv_timeout(SETTLE * 20), Ok(true));
        // It counts in milliseconds.
        assert!(start.elapsed().as_millis() + 1 >= SETTLE.as_millis());
        settler.stirred(false);
        assert_eq!(given.recv_timeout(SETTLE * 20), Ok(false));
        drop(settler);
        // Its thread has ended, and with it what it held.
        assert!(given.recv().is_err());
    }
}
