//! When to write, sync, compact and try again: the journal thread's decisions.
//!
//! Time is passed in and threads are somebody else's, so that tests can run it
//! step by step.
//!
//! | state | new records | leaves it |
//! |---|---|---|
//! | good | are appended at once; synced within a second | a write or sync fails → failing |
//! | failing | stay in the ledger | a snapshot in a new segment succeeds → good |

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::mailbox::{Mailbox, News};
use super::segments::{Segments, SyncJob, Synced};

/// From the first unsynced record to the sync: with the sync itself, within a second.
const SYNC_AFTER: Duration = Duration::from_millis(750);

/// Least time between two tries on a failing disk.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A failing disk is tried again after this, even if there are no new records.
const RETRY_UNASKED: Duration = Duration::from_secs(30);

/// A larger buffer is not kept, in bytes.
const KEPT_BUFFER: usize = 16 * 1024;

pub(super) struct Writer {
    mailbox: Arc<Mailbox>,
    segments: Segments,
    failing: Arc<AtomicBool>,
    failed_at: Option<Instant>,
    unsynced_since: Option<Instant>,
    syncing: bool,
    closing: bool,
    buffer: Vec<u8>,
}

impl Writer {
    /// Begins a segment of this process. `failing` is kept up to date for others.
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        segments: Segments,
        failing: Arc<AtomicBool>,
        now: Instant,
    ) -> Self {
        let mut writer = Self {
            mailbox,
            segments,
            failing,
            failed_at: None,
            unsynced_since: None,
            syncing: false,
            closing: false,
            buffer: Vec::new(),
        };
        if let Err(error) = writer.rewrite(now) {
            writer.fail(&error, now);
        }
        writer
    }

    /// Deals with everything that is new. Writes, but never waits for a sync.
    /// Returns whether there was anything to write.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        let mut news = self.mailbox.take(std::mem::take(&mut self.buffer));
        self.closing |= news.closing;
        if let Some(result) = news.synced.take() {
            self.synced(result, now);
        }
        if let Err(error) = self.write(&news, now) {
            self.fail(&error, now);
        }
        for tell in news.waiters.drain(..) {
            tell();
        }
        let wrote = news.overflowed || !news.records.is_empty();
        news.records.clear();
        if news.records.capacity() <= KEPT_BUFFER {
            self.buffer = news.records;
        }
        wrote
    }

    /// A sync, if it is time for one.
    pub(super) fn sync_job(&mut self, now: Instant) -> Option<SyncJob> {
        if self.syncing || self.sync_at()? > now {
            return None;
        }
        let job = self.segments.sync_job()?;
        self.syncing = true;
        self.unsynced_since = None;
        Some(job)
    }

    /// When to look again, if nothing new comes.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.failed_at {
            Some(failed) => Some(failed + RETRY_UNASKED),
            None if self.syncing => None,
            None => self.sync_at(),
        }
    }

    /// Whether it was told to end, and everything that can be is on the disk.
    pub(super) fn is_done(&self) -> bool {
        let all_synced = self.failed_at.is_some() || self.unsynced_since.is_none();
        self.closing && !self.syncing && all_synced
    }

    fn sync_at(&self) -> Option<Instant> {
        let since = self.unsynced_since?;
        Some(if self.closing { since } else { since + SYNC_AFTER })
    }

    fn write(&mut self, news: &News, now: Instant) -> io::Result<()> {
        match self.failed_at {
            Some(failed) if now < failed + RETRY_AFTER && !self.closing => return Ok(()),
            Some(_) => return self.rewrite(now),
            None if news.overflowed => return self.rewrite(now),
            None if news.records.is_empty() => return Ok(()),
            None => {}
        }
        self.segments.append(&news.records)?;
        self.unsynced_since.get_or_insert(now);
        if self.segments.wants_compaction() { self.compact() } else { Ok(()) }
    }

    /// A new segment instead of the large one, which is still good if that fails.
    fn compact(&mut self) -> io::Result<()> {
        let (snapshot, waiting) = self.mailbox.snapshot();
        if let Err(error) = self.segments.begin(&snapshot) {
            warn!("journal cannot be compacted error={error}");
            self.segments.put_off_compaction();
            self.segments.append(&waiting)?;
        }
        Ok(())
    }

    /// Says everything once more, in a new segment.
    fn rewrite(&mut self, now: Instant) -> io::Result<()> {
        let (snapshot, _) = self.mailbox.snapshot();
        self.segments.begin(&snapshot)?;
        self.unsynced_since.get_or_insert(now);
        if self.failed_at.take().is_some() {
            self.failing.store(false, Ordering::Relaxed);
            info!("journal is written again");
        }
        Ok(())
    }

    fn synced(&mut self, result: io::Result<Synced>, now: Instant) {
        self.syncing = false;
        match result {
            Ok(synced) => self.segments.synced(&synced),
            // The kernel forgets what it could not sync: all of it is written again.
            Err(error) => self.fail(&error, now),
        }
    }

    fn fail(&mut self, error: &io::Error, now: Instant) {
        self.unsynced_since = None;
        if self.failed_at.replace(now).is_none() {
            self.failing.store(true, Ordering::Relaxed);
            error!(
                "journal cannot be written, the service goes on without it until it can; \
                 free some space or check the disk error={error}"
            );
        }
    }
}
