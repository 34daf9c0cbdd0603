//! The thread that removes uploads once their session ended a retention ago. It
//! sleeps until the next are due, and without any for as long as none are.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never, select};

use super::Files;
use crate::threads;

/// Removals are gathered: the thread wakes at most this often.
const SELDOM: Duration = Duration::from_secs(15);

/// The running thread. Dropped, it stops after the entry it is removing.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, which first removes what is due already.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(files: Files) -> io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let thread = threads::spawn("files", move || keep(&files, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(files: &Files, stopped: &Receiver<()>) {
    let stop = || matches!(stopped.try_recv(), Err(TryRecvError::Disconnected));
    while !stop() {
        let next = files.sweep(SystemTime::now(), &stop);
        let due = next.map_or_else(never, |left| crossbeam_channel::after(left.max(SELDOM)));
        select! {
            recv(stopped) -> _ => return,
            recv(due) -> _ => {}
            recv(files.0.changed.1) -> _ => {}
        }
    }
}
