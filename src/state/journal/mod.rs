//! The journal: what outlives this process, however it ends.
//!
//! Open turns, turns whose end the hub has not confirmed, waiting messages, and
//! what is needed to make sessions again. [`Journal`] is what everybody holds; a
//! thread of its own writes, another one (`disk`) syncs.
//!
//! ```text
//! worker ──► mailbox (ledger + unwritten records) ──► writer ──► segment
//!                                                        └─────► disk thread: sync
//! ```
//!
//! A record outlives the process once written, and a power cut once synced,
//! within a second. No failure of the disk is anybody else's: the ledger goes on
//! in memory and is written whole when the disk works again.

pub mod ledger;
pub mod lines;
mod mailbox;
pub mod records;
mod segments;
pub(in crate::state) mod store;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fake_store;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod thread_tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::{error, info, warn};

use self::ledger::{Ledger, Recovery};
use self::mailbox::{Mailbox, Urgency, Waiter};
use self::records::{EndedTurn, MessageRef, OpenTurn, Record, RememberedSession, Run, Undelivered};
use self::segments::Segments;
use self::store::Store;
use self::writer::Writer;
use super::disk::DiskHandle;
use crate::protocol::outbound::Frame;
use crate::threads;

/// Longest time a sick disk holds a turn.
pub const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// How the journal is, for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is none: no state directory.
    Off,
    /// Records are written.
    Good,
    /// A write has been under way for long; turns do not wait for it.
    Slow,
    /// The disk refuses; it is tried again.
    Failing,
}

/// The users' end of the journal. Cheap to clone; without a state directory it does nothing.
#[derive(Clone)]
pub struct Journal(Option<Arc<Shared>>);

struct Shared {
    mailbox: Arc<Mailbox>,
    slow: AtomicBool,
    failing: Arc<AtomicBool>,
}

/// The owner's end of the journal's thread.
pub(super) struct JournalThread {
    mailbox: Arc<Mailbox>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Journal {
    /// A journal that remembers nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// `turn.started` is about to be sent, which must not be before `written` is
    /// called: when the record has been written or cannot be, in the journal's
    /// thread; at once while the disk is known to be slow. It must not block.
    pub fn turn_opened(
        &self,
        session_id: &str,
        message_id: &str,
        endpoint_id: &str,
        written: impl FnOnce() + Send + 'static,
    ) {
        let record = || {
            Record::TurnOpened(OpenTurn {
                session_id: session_id.to_owned(),
                message_id: message_id.to_owned(),
                endpoint_id: endpoint_id.to_owned(),
            })
        };
        self.write_down(record, written);
    }

    /// `turn.completed` is about to be sent; `written` as with [`Journal::turn_opened`],
    /// or a process killed right behind it would say another end. `completed` (and
    /// `note`, a `system` line before it) is sent again exactly so after a restart,
    /// until [`Journal::turn_confirmed`].
    pub fn turn_ended(
        &self,
        session_id: &str,
        message_id: &str,
        note: Option<&Frame>,
        completed: &Frame,
        written: impl FnOnce() + Send + 'static,
    ) {
        let record = || {
            Record::TurnEnded(EndedTurn {
                session_id: session_id.to_owned(),
                message_id: message_id.to_owned(),
                note: note.cloned(),
                completed: completed.clone(),
            })
        };
        self.write_down(record, written);
    }

    /// The same where [`Journal::turn_opened`] follows at once, which has both written.
    pub fn turn_replaced(&self, session_id: &str, message_id: &str, completed: &Frame) {
        self.post(Urgency::WithNext, || {
            Record::TurnEnded(EndedTurn {
                session_id: session_id.to_owned(),
                message_id: message_id.to_owned(),
                note: None,
                completed: completed.clone(),
            })
        });
    }

    /// The hub has handled the turn's `turn.completed`. Written within a second.
    pub fn turn_confirmed(&self, session_id: &str, message_id: &str) {
        self.post(Urgency::Soon, || Record::TurnConfirmed(refer(session_id, message_id)));
    }

    /// The message waits for its turn; [`Journal::turn_opened`] ends that.
    pub fn queued(&self, session_id: &str, message_id: &str) {
        self.post(Urgency::Now, || Record::Queued(refer(session_id, message_id)));
    }

    /// The message does not wait any more, and its user knows that it never ran.
    pub fn unqueued(&self, session_id: &str, message_id: &str) {
        self.post(Urgency::Now, || Record::Unqueued(refer(session_id, message_id)));
    }

    /// The session can be made again. Said again, it replaces what was said.
    pub fn session_remembered(&self, session: RememberedSession) {
        self.post(Urgency::Now, || Record::Session(session));
    }

    /// The session shall not be made again.
    pub fn session_forgotten(&self, session_id: &str) {
        self.post(Urgency::Soon, || Record::SessionForgotten { session: session_id.to_owned() });
    }

    /// The session is over, and nothing more will be said of it unless it is made
    /// again. Nothing is written: it only takes less memory then.
    pub fn session_rests(&self, session_id: &str) {
        if let Some(shared) = &self.0 {
            shared.mailbox.session_rests(session_id);
        }
    }

    /// What this shutdown could not deliver; told at the next start.
    pub fn undelivered(&self, undelivered: Undelivered) {
        self.post(Urgency::Now, || Record::Undelivered(undelivered));
    }

    /// Nothing is left of the process with this nonce: at the next start nobody
    /// looks for its children. For former ones when they are cleaned up, for this
    /// one at the end of a clean shutdown.
    pub fn run_over(&self, nonce: &str) {
        self.post(Urgency::Now, || Record::RunOver { nonce: nonce.to_owned() });
    }

    /// Waits until everything is written that this thread has said so far, as far as
    /// it can be: at most 200 ms, and not at all while the disk is known to be slow.
    pub fn flush(&self) {
        let Some(shared) = &self.0 else { return };
        if shared.is_slow() {
            return;
        }
        let (written, wait) = bounded::<()>(1);
        let tell = move || drop(written);
        shared.mailbox.tell_when_written(Box::new(tell));
        if wait.recv_timeout(LONGEST_WAIT) == Err(RecvTimeoutError::Timeout) {
            self.keeps_waiting();
        }
    }

    /// Somebody has waited for [`LONGEST_WAIT`]: nobody else shall, until it keeps up again.
    pub fn keeps_waiting(&self) {
        if let Some(shared) = &self.0
            && !shared.slow.swap(true, Ordering::Relaxed)
        {
            warn!("journal is slow, turns go on without waiting for it; check the disk");
        }
    }

    /// How it is.
    pub fn health(&self) -> Health {
        match &self.0 {
            None => Health::Off,
            Some(shared) if shared.is_slow() => Health::Slow,
            Some(shared) if shared.failing.load(Ordering::Relaxed) => Health::Failing,
            Some(_) => Health::Good,
        }
    }

    fn post(&self, urgency: Urgency, record: impl FnOnce() -> Record) {
        if let Some(shared) = &self.0 {
            shared.mailbox.post(record(), urgency, None);
        }
    }

    fn write_down(&self, record: impl FnOnce() -> Record, written: impl FnOnce() + Send + 'static) {
        let Some(shared) = &self.0 else { return written() };
        if shared.is_slow() {
            shared.mailbox.post(record(), Urgency::Now, None);
            return written();
        }
        let waiter: Waiter = Box::new(written);
        shared.mailbox.post(record(), Urgency::Now, Some(waiter));
    }
}

impl Shared {
    fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }
}

/// Reads what the last process left, and starts the journal of this one.
/// Without a store, or with one that cannot even be read, the journal is off.
///
/// # Errors
/// When the system refuses another thread.
pub(super) fn start(
    store: Option<Arc<dyn Store>>,
    disk: DiskHandle,
    run: Run,
) -> io::Result<(Journal, Option<JournalThread>, Recovery)> {
    let loaded = store.map(Segments::load).transpose();
    let (segments, mut ledger) = match loaded {
        Ok(Some(loaded)) => loaded,
        Ok(None) => return Ok((Journal::off(), None, Recovery::default())),
        Err(error) => {
            error!("journal cannot be read, the service runs without one error={error}");
            return Ok((Journal::off(), None, Recovery::default()));
        }
    };
    let recovery = begin_run(&mut ledger, run);
    let mailbox = Arc::new(Mailbox::new(ledger));
    let failing = Arc::new(AtomicBool::new(false));
    let shared = Arc::new(Shared {
        mailbox: Arc::clone(&mailbox),
        slow: AtomicBool::new(false),
        failing: Arc::clone(&failing),
    });
    let writer = Writer::new(Arc::clone(&mailbox), segments, failing, Instant::now());
    let (ending, ended) = bounded(0);
    let thread = threads::spawn("journal", {
        let shared = Arc::clone(&shared);
        move || {
            write_all(writer, &shared, &disk);
            // Not before: this is how the owner sees the end.
            drop(ending);
        }
    })?;
    Ok((Journal(Some(shared)), Some(JournalThread { mailbox, ended, thread }), recovery))
}

/// What a file with these bytes says. Files are read in this way; no content is an error.
pub fn read(bytes: &[u8]) -> Recovery {
    let mut ledger = None;
    segments::read_segment(0, bytes, &mut ledger);
    ledger.unwrap_or_default().recover()
}

/// What is left of former processes, and from now on this one is among them.
fn begin_run(ledger: &mut Ledger, run: Run) -> Recovery {
    let recovery = ledger.recover();
    ledger.apply(Record::Run(run));
    ledger.all_rest();
    recovery
}

fn write_all(mut writer: Writer, shared: &Shared, disk: &DiskHandle) {
    shared.mailbox.sleeper.is_here();
    loop {
        let now = Instant::now();
        let wrote = writer.step(now);
        if wrote && now.elapsed() < LONGEST_WAIT / 2 && shared.slow.swap(false, Ordering::Relaxed) {
            info!("journal keeps up again");
        }
        if let Some(job) = writer.sync_job(now) {
            let mailbox = Arc::clone(&shared.mailbox);
            disk.submit(move || mailbox.synced(job.run()));
        }
        if writer.is_done() {
            return;
        }
        let due = writer.due();
        let soon = due.is_some_and(|due| due <= now + Duration::from_secs(1));
        if shared.mailbox.may_sleep(soon) {
            // Woken or due, it looks at everything anyway.
            match due {
                Some(due) => thread::park_timeout(due.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
    }
}

impl JournalThread {
    /// Writes and syncs what is left; gives up at the deadline (a hung disk
    /// cannot be interrupted) and says whether it is all on the disk.
    pub(super) fn finish(self, deadline: Instant) -> bool {
        self.mailbox.close();
        let timed_out = self.ended.recv_deadline(deadline).is_err_and(|error| error.is_timeout());
        !timed_out && self.thread.join().is_ok()
    }
}

fn refer(session_id: &str, message_id: &str) -> MessageRef {
    MessageRef { session_id: session_id.to_owned(), message_id: message_id.to_owned() }
}
