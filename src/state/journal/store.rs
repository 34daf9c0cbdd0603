//! Where segments lie: a thin seam over the file system.
//!
//! Everything that can fail goes through here, so that tests can let it fail,
//! stall or crash at any step. Segments are numbered; nothing here knows what
//! is in them.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use log::warn;

use crate::state::dir::StateDir;

/// A directory of segments.
pub(in crate::state) trait Store: Send + Sync {
    /// Numbers of the segments that are there, ascending.
    fn list(&self) -> io::Result<Vec<u64>>;
    /// The whole content of one.
    fn read(&self, number: u64) -> io::Result<Vec<u8>>;
    /// Makes an empty one; `AlreadyExists` if it is there.
    fn create(&self, number: u64) -> io::Result<Arc<dyn Segment>>;
    /// Removes one.
    fn remove(&self, number: u64) -> io::Result<()>;
    /// Renames one so that nobody takes it for a segment, destroying nothing.
    fn set_aside(&self, number: u64) -> io::Result<()>;
    /// Lets new and removed names survive a power cut. Blocks for the disk.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open segment.
pub(in crate::state) trait Segment: Send + Sync {
    /// Writes at the end. After an error some of it may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Lets what was written survive a power cut. Blocks for the disk.
    fn sync(&self) -> io::Result<()>;
}

/// Largest segment that is read, in bytes. Segments are begun anew long before.
const LARGEST: usize = 64 << 20;

const PREFIX: &str = "journal.";

impl Store for StateDir {
    fn list(&self) -> io::Result<Vec<u64>> {
        let names = self.names()?;
        let mut numbers: Vec<u64> =
            names.iter().filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.read(&name(number), LARGEST).map(|found| found.bytes)
    }

    fn create(&self, number: u64) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(self.create(&name(number))?))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.remove(&name(number))
    }

    fn set_aside(&self, number: u64) -> io::Result<()> {
        let names = self.names()?;
        let free = (1..1000)
            .map(|count| format!("{}.set-aside-{count}", name(number)))
            .find(|name| !names.contains(name));
        let Some(free) = free else { return Err(io::ErrorKind::AlreadyExists.into()) };
        self.rename(&name(number), &free)?;
        warn!("journal segment set aside path={}", self.path().join(free).display());
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.sync()
    }
}

impl Segment for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:06}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::TestDir;

    #[test]
    fn only_segments_are_listed_in_the_order_of_their_numbers() {
        let place = TestDir::new();
        let dir = StateDir::open(place.path()).unwrap();
        let store: &dyn Store = &dir;
        for number in [10, 9, 1_000_000] {
            store.create(number).unwrap();
        }
        dir.replace("journal.txt", b"").unwrap();
        assert_eq!(store.list().unwrap(), [9, 10, 1_000_000]);
    }

    #[test]
    fn what_is_set_aside_is_never_overwritten() {
        let place = TestDir::new();
        let dir = StateDir::open(place.path()).unwrap();
        let store: &dyn Store = &dir;
        for content in ["a", "b"] {
            store.create(3).unwrap().append(content.as_bytes()).unwrap();
            store.set_aside(3).unwrap();
        }
        assert_eq!(dir.read("journal.000003.set-aside-1", 9).unwrap().bytes, b"a");
        assert_eq!(dir.read("journal.000003.set-aside-2", 9).unwrap().bytes, b"b");
        assert!(store.list().unwrap().is_empty());
    }
}
