//! Every deadline of the runtime: one heap, one thread, asleep until the next.
//!
//! A deadline has a key (a session's number), a reason and a generation; what
//! follows from it is decided by whoever is told. Arming and disarming change
//! the heap in place, under a lock that is never held across anything that
//! blocks, and wake the thread only when the earliest deadline came nearer: a
//! turn's deadline costs no thread switch. Monotonic clock only; a deadline may
//! come late, never early.

mod deadlines;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::deadlines::Deadlines;
use crate::receive::receive_until;
use crate::threads;

/// So many unanswered pings are an answer, too.
const MOST_PINGS: usize = 8;

/// What a deadline is for. One of each is armed for a key at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing was written for so long that the turn counts as over.
    IdleTurn,
    /// A job runs for too long.
    MaxRuntime,
    /// A stopped turn did not end.
    StopGrace,
    /// Nobody used the session.
    SessionInactivity,
    /// Nobody answered a permission request.
    Permission,
    /// The head of an HTTP answer, or more of its body, did not come.
    HttpTimeout,
}

impl Reason {
    /// Its name in `status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdleTurn => "idle_turn",
            Self::MaxRuntime => "max_runtime",
            Self::StopGrace => "stop_grace",
            Self::SessionInactivity => "session_inactivity",
            Self::Permission => "permission",
            Self::HttpTimeout => "http_timeout",
        }
    }
}

impl Reason {
    /// Every one of them.
    const ALL: [Self; 6] = [
        Self::IdleTurn,
        Self::MaxRuntime,
        Self::StopGrace,
        Self::SessionInactivity,
        Self::Permission,
        Self::HttpTimeout,
    ];
}

/// A deadline that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Whose it is.
    pub key: u64,
    /// What it was for.
    pub reason: Reason,
    /// As given when it was armed: tells an old one from a newer namesake.
    pub generation: u64,
}

/// Told of a deadline, in the watchdog's thread: must not block.
pub type Notify = Arc<dyn Fn(Deadline) + Send + Sync>;

/// The owner's end; dropping it ends the thread.
#[derive(Debug)]
pub struct Watchdog {
    handle: WatchdogHandle,
    thread: Option<JoinHandle<()>>,
}

/// The users' end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchdogHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    nudge: Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    deadlines: Deadlines,
    /// When the thread looks again by itself; `None`: when it is nudged.
    wakes_at: Option<Instant>,
    pings: Vec<Sender<()>>,
    /// Deadlines that passed, in the order of [`Reason::ALL`].
    passed: [u64; Reason::ALL.len()],
    stopping: bool,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn start() -> io::Result<Self> {
        let (nudge, nudges) = bounded(1);
        let shared = Arc::new(Shared { state: Mutex::default(), nudge });
        let thread = threads::spawn("watchdog", {
            let shared = Arc::clone(&shared);
            move || run(&shared, &nudges)
        })?;
        Ok(Self { handle: WatchdogHandle { shared }, thread: Some(thread) })
    }

    /// A handle for whoever has deadlines.
    pub fn handle(&self) -> WatchdogHandle {
        self.handle.clone()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.handle.shared.lock().stopping = true;
        self.handle.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl WatchdogHandle {
    /// Arms a deadline, in place of an earlier one with the same key and reason.
    /// One in the past is told at once.
    pub fn arm(&self, key: u64, reason: Reason, generation: u64, at: Instant, notify: Notify) {
        let mut state = self.shared.lock();
        state.deadlines.arm(Deadline { key, reason, generation }, at, notify);
        let nearer = state.wakes_at.is_none_or(|wakes_at| at < wakes_at);
        drop(state);
        if nearer {
            self.shared.wake();
        }
    }

    /// Takes a deadline back. It may be on its way already: look at the generation.
    pub fn disarm(&self, key: u64, reason: Reason) {
        self.shared.lock().deadlines.disarm(key, reason);
    }

    /// Takes all deadlines of a key back.
    pub fn forget(&self, key: u64) {
        self.shared.lock().deadlines.forget(key);
    }

    /// Deadlines that passed since the start, by reason; those with none are left out.
    pub fn passed(&self) -> impl Iterator<Item = (Reason, u64)> {
        let passed = self.shared.lock().passed;
        Reason::ALL.into_iter().zip(passed).filter(|(_, count)| *count != 0)
    }

    /// Whether the thread answers before `deadline`: it is alive and not held up.
    pub fn ping(&self, deadline: Instant) -> bool {
        let (answer, answered) = bounded(1);
        let mut state = self.shared.lock();
        if state.pings.len() >= MOST_PINGS {
            return false;
        }
        state.pings.push(answer);
        drop(state);
        self.shared.wake();
        answered.recv_deadline(deadline).is_ok()
    }
}

impl Shared {
    fn wake(&self) {
        // Full means that it has been woken already.
        let _ = self.nudge.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process; until then deadlines are still deadlines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(shared: &Shared, nudges: &Receiver<()>) {
    loop {
        let (passed, pings, wakes_at) = {
            let mut state = shared.lock();
            if state.stopping {
                return;
            }
            let passed = state.deadlines.take_passed(Instant::now());
            for (deadline, _) in &passed {
                state.passed[deadline.reason as usize] += 1;
            }
            state.wakes_at = state.deadlines.next();
            (passed, std::mem::take(&mut state.pings), state.wakes_at)
        };
        for (deadline, notify) in passed {
            notify(deadline);
        }
        for ping in pings {
            let _ = ping.try_send(());
        }
        // Nudged or due, it looks at everything anyway.
        let _ = receive_until(nudges, wakes_at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn whoever_armed_is_told_and_not_early() {
        let watchdog = Watchdog::start().unwrap();
        let (tell, told) = bounded(4);
        let notify: Notify = Arc::new(move |deadline| tell.send(deadline).unwrap());
        let handle = watchdog.handle();
        let start = Instant::now();
        handle.arm(1, Reason::SessionInactivity, 1, start + LONG, Arc::clone(&notify));
        handle.arm(
            2,
            Reason::MaxRuntime,
            2,
            start + Duration::from_millis(30),
            Arc::clone(&notify),
        );
        handle.arm(3, Reason::StopGrace, 3, start, notify);
        assert_eq!(told.recv_timeout(LONG).unwrap().key, 3);
        assert_eq!(told.recv_timeout(LONG).unwrap().key, 2);
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert!(told.is_empty());
    }

    #[test]
    fn it_answers_pings_and_a_stuck_one_does_not() {
        let watchdog = Watchdog::start().unwrap();
        let handle = watchdog.handle();
        assert!(handle.ping(Instant::now() + LONG));

        let (release, hang) = bounded::<()>(0);
        let (entered, inside) = bounded(1);
        let stuck: Notify = Arc::new(move |_| {
            entered.send(()).unwrap();
            let _ = hang.recv();
        });
        handle.arm(1, Reason::IdleTurn, 0, Instant::now(), stuck);
        inside.recv_timeout(LONG).unwrap();
        assert!(!handle.ping(Instant::now() + Duration::from_millis(20)));
        drop(release);
        assert!(handle.ping(Instant::now() + LONG));
    }

    #[test]
    fn a_notified_one_may_arm_again() {
        let watchdog = Watchdog::start().unwrap();
        let handle = watchdog.handle();
        let (tell, told) = bounded(4);
        let last: Notify = Arc::new(move |deadline| tell.send(deadline.generation).unwrap());
        let again = handle.clone();
        let first: Notify = Arc::new(move |deadline| {
            again.arm(deadline.key, deadline.reason, 2, Instant::now(), Arc::clone(&last));
        });
        handle.arm(1, Reason::IdleTurn, 1, Instant::now(), first);
        assert_eq!(told.recv_timeout(LONG).unwrap(), 2);
    }
}
