//! The journal's files: one that is written, and older ones on their way out.
//!
//! A segment begins with a snapshot of everything that is true; later records
//! follow. Beginning a new one is all of compaction, of repair and of moving to
//! a newer format, and it needs no moment at which everything hangs on one
//! rename: an older segment goes only when the newer one has reached the disk,
//! and until then both are there. Who reads them takes the older first, and
//! forgets it when the newer one's snapshot is whole.
//!
//! | crash | on disk | what is read |
//! |---|---|---|
//! | while the snapshot is written | old, part of new | old: a snapshot that was cut short does not count |
//! | before the new one is synced | old, perhaps new | old or new, both are good |
//! | before the old one is removed | old, new | new |
//!
//! It does not know when to write or sync, nor what records mean to others.

use std::io;
use std::sync::Arc;

use log::{debug, info, warn};

use super::ledger::Ledger;
use super::lines::Lines;
use super::records::{Header, Record, VERSION};
use super::store::{Segment, Store};
use crate::json;

/// A segment smaller than this is not worth compacting, in bytes. Tests do it often.
const SMALL: usize = if cfg!(test) { 2048 } else { 1 << 20 };

/// A segment that could not be compacted stops growing here, in bytes: it has
/// to be read again.
const LARGE: usize = 32 << 20;

/// The files of one journal.
pub(super) struct Segments {
    store: Arc<dyn Store>,
    current: Option<Current>,
    old: Vec<Old>,
    next: u64,
}

struct Current {
    number: u64,
    file: Arc<dyn Segment>,
    bytes: usize,
    compact_at: usize,
    name_synced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Old {
    number: u64,
    /// It holds what this program does not understand.
    keep: bool,
}

/// What has to be done where it may block.
pub(super) struct SyncJob {
    store: Arc<dyn Store>,
    file: Arc<dyn Segment>,
    number: u64,
    new_name: bool,
    old: Vec<Old>,
}

/// A [`SyncJob`] that was done.
#[derive(Debug)]
pub(super) struct Synced {
    number: u64,
    old: Vec<Old>,
}

impl Segments {
    /// Reads everything that is there. Nothing is changed yet.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub(super) fn load(store: Arc<dyn Store>) -> io::Result<(Self, Ledger)> {
        let numbers = store.list()?;
        let mut ledger = None;
        let mut old = Vec::new();
        for &number in &numbers {
            let keep = match store.read(number) {
                Ok(bytes) => read_segment(number, &bytes, &mut ledger),
                Err(error) => {
                    warn!("journal segment cannot be read segment={number} error={error}");
                    true
                }
            };
            old.push(Old { number, keep });
        }
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        Ok((Self { store, current: None, old, next }, ledger.unwrap_or_default()))
    }

    /// Begins a new segment. On an error the current one is as it was.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let number = self.next;
        self.next += 1;
        let file = self.store.create(number)?;
        if let Err(error) = file.append(snapshot) {
            // Part of a snapshot does no harm, but may take the last room there is.
            if let Err(error) = self.store.remove(number) {
                debug!("journal segment not removed segment={number} error={error}");
                self.old.push(Old { number, keep: false });
            }
            return Err(error);
        }
        let bytes = snapshot.len();
        let compact_at = SMALL.max(bytes.saturating_mul(2));
        let current = Current { number, file, bytes, compact_at, name_synced: false };
        let before = self.current.replace(current);
        self.old.extend(before.map(|before| Old { number: before.number, keep: false }));
        Ok(())
    }

    /// Writes records at the end of the current segment.
    ///
    /// # Errors
    /// What the system says: a new segment has to be begun then, since this one
    /// may end in half a record.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if current.bytes > LARGE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        current.bytes += records.len();
        current.file.append(records)
    }

    /// Whether the current segment is large and mostly superseded.
    pub(super) fn wants_compaction(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.bytes >= current.compact_at)
    }

    /// Compaction failed; it is tried again after as much has been written once more.
    pub(super) fn put_off_compaction(&mut self) {
        if let Some(current) = &mut self.current {
            current.compact_at = current.bytes + SMALL;
        }
    }

    /// What lets everything written so far survive a power cut, and removes what is not needed then.
    pub(super) fn sync_job(&self) -> Option<SyncJob> {
        self.current.as_ref().map(|current| SyncJob {
            store: Arc::clone(&self.store),
            file: Arc::clone(&current.file),
            number: current.number,
            new_name: !current.name_synced,
            old: self.old.clone(),
        })
    }

    /// A job was done.
    pub(super) fn synced(&mut self, synced: &Synced) {
        self.old.retain(|old| !synced.old.contains(old));
        if let Some(current) = &mut self.current
            && current.number == synced.number
        {
            current.name_synced = true;
        }
    }
}

impl SyncJob {
    /// Blocks for the disk.
    ///
    /// # Errors
    /// When what was written may not be on the disk.
    pub(super) fn run(self) -> io::Result<Synced> {
        self.file.sync()?;
        if self.new_name {
            self.store.sync_names()?;
        }
        for old in &self.old {
            let gone = if old.keep {
                self.store.set_aside(old.number)
            } else {
                self.store.remove(old.number)
            };
            // It is superseded: read again at the next start, it changes nothing.
            if let Err(error) = gone {
                warn!("old journal segment stays segment={} error={error}", old.number);
            }
        }
        Ok(Synced { number: self.number, old: self.old })
    }
}

/// Folds a segment into the ledger, which is `None` before the first. Returns
/// whether the segment has to be kept because it holds something that is intact
/// but not understood.
pub(super) fn read_segment(number: u64, bytes: &[u8], ledger: &mut Option<Ledger>) -> bool {
    let mut lines = Lines::new(bytes);
    let mut first = lines.next();
    let header = first.and_then(|line| json::from_bytes::<Header>(line).ok());
    if let Some(Header { journal: version, .. }) = header
        && version > VERSION
    {
        warn!("journal of a newer version is set aside segment={number} version={version}");
        return true;
    }
    if header.is_some() {
        first = None;
    }
    let promised = header.map(|header| header.snapshot);
    let (mut records, mut unknown) = (Vec::new(), 0);
    let mut snapshot_is_whole = promised == Some(0);
    while let Some(line) = first.take().or_else(|| lines.next()) {
        match Record::read(line) {
            Ok(record) => records.push(record),
            Err(_) => unknown += 1,
        }
        let intact_so_far = lines.damaged() + unknown == 0;
        snapshot_is_whole |= intact_so_far && promised == Some(records.len());
    }
    let damaged = lines.damaged();
    if damaged + unknown > 0 {
        warn!(
            "journal is damaged, the rest is used segment={number} records={} damaged={damaged} \
             unknown={unknown}",
            records.len()
        );
    } else if lines.torn() {
        info!("journal ends in half a record, as after a crash segment={number}");
    }
    if promised.is_none() && records.is_empty() {
        return unknown > 0;
    }
    let cut_short = promised.is_some_and(|all| records.len() + damaged + unknown < all);
    if snapshot_is_whole {
        *ledger = None;
    } else if cut_short && ledger.is_some() {
        return unknown > 0;
    }
    let ledger = ledger.get_or_insert_default();
    for record in records {
        ledger.apply(record);
    }
    unknown > 0
}
