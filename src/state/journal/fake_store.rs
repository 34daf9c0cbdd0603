//! A disk in memory for tests: it fails, stalls or crashes at a chosen step, and
//! knows what a power cut would leave.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender};

use super::store::{Segment, Store};

/// What reached the disk of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// The process was killed: the kernel still has everything.
    Kill,
    /// Power was lost: what was not synced may be there, in part.
    PowerCut,
}

#[derive(Clone, Default)]
pub(super) struct FakeStore(Arc<Mutex<Fs>>);

#[derive(Default)]
struct Fs {
    names: BTreeMap<u64, usize>,
    durable_names: BTreeMap<u64, usize>,
    files: Vec<Contents>,
    set_aside: Vec<usize>,
    steps: usize,
    crash_at: Option<usize>,
    crashed: bool,
    broken: Option<io::ErrorKind>,
    creates_nothing: bool,
    stall: Option<(Sender<()>, Receiver<()>)>,
    rng: Option<fastrand::Rng>,
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    durable: usize,
    /// A sync failed: the kernel has forgotten what it should have written.
    poisoned: bool,
}

struct FakeSegment {
    store: FakeStore,
    file: usize,
}

impl FakeStore {
    /// A disk that crashes before step `crash_at`.
    pub(super) fn crashing(self, crash_at: usize) -> Self {
        self.with(|fs| fs.crash_at = Some(crash_at));
        self
    }

    /// From now on everything fails, or works again.
    pub(super) fn break_with(&self, broken: Option<io::ErrorKind>) {
        self.with(|fs| fs.broken = broken);
    }

    /// From now on there is no room for new segments.
    pub(super) fn create_nothing(&self) {
        self.with(|fs| fs.creates_nothing = true);
    }

    /// From now on each write says that it began and waits for the other channel to be closed.
    pub(super) fn stall_with(&self, stall: Option<(Sender<()>, Receiver<()>)>) {
        self.with(|fs| fs.stall = stall);
    }

    pub(super) fn crashed(&self) -> bool {
        self.with(|fs| fs.crashed)
    }

    pub(super) fn steps(&self) -> usize {
        self.with(|fs| fs.steps)
    }

    pub(super) fn file_count(&self) -> usize {
        self.with(|fs| fs.names.len())
    }

    /// Content of the newest segment.
    pub(super) fn newest(&self) -> Vec<u8> {
        self.with(|fs| fs.names.values().last().map(|file| fs.files[*file].bytes.clone()))
            .unwrap_or_default()
    }

    /// Contents of what was set aside.
    pub(super) fn set_aside(&self) -> Vec<Vec<u8>> {
        self.with(|fs| fs.set_aside.iter().map(|file| fs.files[*file].bytes.clone()).collect())
    }

    /// A disk holding these segments.
    pub(super) fn holding(contents: &[&[u8]]) -> Self {
        let store = Self::default();
        store.with(|fs| {
            for (number, bytes) in (1..).zip(contents) {
                fs.names.insert(number, fs.files.len());
                let (bytes, durable) = (bytes.to_vec(), bytes.len());
                fs.files.push(Contents { bytes, durable, poisoned: false });
            }
            fs.durable_names = fs.names.clone();
        });
        store
    }

    /// What the next process finds.
    pub(super) fn after(&self, crash: Crash, rng: &mut fastrand::Rng) -> Self {
        let after = Self::default();
        let (mut names, durable_names, mut files) =
            self.with(|fs| (fs.names.clone(), fs.durable_names.clone(), fs.files.clone()));
        if crash == Crash::PowerCut {
            for (number, file) in &durable_names {
                if !names.contains_key(number) && rng.bool() {
                    names.insert(*number, *file);
                }
            }
            names.retain(|number, _| durable_names.contains_key(number) || rng.bool());
            for file in &mut files {
                let written = file.bytes.len();
                file.bytes.truncate(rng.usize(file.durable..=written));
                if rng.bool() {
                    // The size had reached the disk, the data had not.
                    file.bytes.resize(written, 0);
                }
            }
        }
        for file in &mut files {
            file.durable = file.bytes.len();
        }
        after.with(|fs| (fs.durable_names, fs.names, fs.files) = (names.clone(), names, files));
        after.with(|fs| fs.rng = Some(rng.fork()));
        after
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Fs) -> T) -> T {
        use_it(&mut self.0.lock().unwrap())
    }

    fn step<T>(&self, act: impl FnOnce(&mut Fs) -> io::Result<T>) -> io::Result<T> {
        self.with(|fs| {
            fs.begin_step()?;
            act(fs)
        })
    }
}

impl Fs {
    fn begin_step(&mut self) -> io::Result<()> {
        self.crashed |= self.crash_at == Some(self.steps);
        self.steps += 1;
        if self.crashed {
            return Err(io::Error::other("crashed"));
        }
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn random(&mut self, upto: usize) -> usize {
        self.rng.get_or_insert_with(|| fastrand::Rng::with_seed(1)).usize(..=upto)
    }
}

impl Store for FakeStore {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.step(|fs| Ok(fs.names.keys().copied().collect()))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.step(|fs| Ok(fs.files[fs.names[&number]].bytes.clone()))
    }

    fn create(&self, number: u64) -> io::Result<Arc<dyn Segment>> {
        self.step(|fs| {
            if fs.creates_nothing {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if fs.names.insert(number, fs.files.len()).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs.files.push(Contents::default());
            let file = fs.files.len() - 1;
            Ok(Arc::new(FakeSegment { store: self.clone(), file }) as Arc<dyn Segment>)
        })
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.step(|fs| fs.names.remove(&number).map(drop).ok_or(io::ErrorKind::NotFound.into()))
    }

    fn set_aside(&self, number: u64) -> io::Result<()> {
        self.step(|fs| {
            let file = fs.names.remove(&number);
            fs.set_aside.extend(file);
            Ok(())
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.step(|fs| {
            fs.durable_names = fs.names.clone();
            Ok(())
        })
    }
}

impl Segment for FakeSegment {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let stall = self.store.with(|fs| fs.stall.clone());
        if let Some((began, release)) = stall {
            let _ = began.send(());
            let _ = release.recv();
        }
        self.store.with(|fs| {
            let result = fs.begin_step();
            // What fails or crashes may have written a part.
            let written = if result.is_ok() { bytes.len() } else { fs.random(bytes.len()) };
            fs.files[self.file].bytes.extend_from_slice(&bytes[..written]);
            result
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.store.with(|fs| {
            let result = fs.begin_step();
            let file = &mut fs.files[self.file];
            file.poisoned |= result.is_err();
            if !file.poisoned {
                file.durable = file.bytes.len();
            }
            result
        })
    }
}
