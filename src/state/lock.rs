//! One process for each state directory.
//!
//! A `flock` on the file `lock`, which holds the owner's pid as text: the kernel
//! lets go of it when the process ends in whatever way, and who comes second can
//! say who is there without `/proc`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::Errno;

use super::dir::StateDir;

const NAME: &str = "lock";

/// The held lock; dropping it lets go.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Another process works with the state directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// The directory.
    pub path: PathBuf,
    /// The other process, as far as it has said so (in its own pid namespace).
    pub pid: Option<u32>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        write!(
            f,
            " already runs with the state directory {}; stop it, or give this one another \
             runtime.id or runtime.state_dir",
            self.path.display()
        )
    }
}

impl error::Error for Held {}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process has it.
    Held(Held),
    /// This file system has no locks, or is read-only and has no lock file.
    Unsupported(io::Error),
    /// Its file cannot be opened.
    Io(io::Error),
}

impl Lock {
    pub(super) fn take(dir: &StateDir) -> Result<Self, LockError> {
        let mut file = dir.open_lock(NAME).map_err(|error| match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull => {
                LockError::Unsupported(error)
            }
            _ => LockError::Io(error),
        })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let path = dir.path().to_owned();
                return Err(LockError::Held(Held { path, pid: read_pid(&mut file) }));
            }
            Err(error) => return Err(LockError::Unsupported(error.into())),
        }
        // A full or read-only disk costs the pid, not the lock.
        let _ = ftruncate(&file, 0);
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { _file: file })
    }
}

/// Who works with a state directory; `None`: nobody does. Makes and changes nothing.
///
/// # Errors
/// `NotFound` where there is no such directory or lock, and what the system says.
#[cfg(unix)]
pub fn held(path: &Path) -> io::Result<Option<Held>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, path.join(NAME), flags, Mode::empty())?);
    // Let go of at once. Whoever starts at that very moment is told that another
    // one runs; its service manager tries again.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {
            Ok(Some(Held { path: path.to_owned(), pid: read_pid(&mut file) }))
        }
        Ok(()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Not told by a file here; whoever runs answers on its pipe.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn held(_path: &Path) -> io::Result<Option<Held>> {
    Ok(None)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::dir::OpenError;
    use crate::state::testing::TestDir;

    #[test]
    fn the_second_one_is_told_who_is_there_and_where() {
        let place = TestDir::new();
        let first = StateDir::open(place.path()).unwrap();
        let Err(OpenError::Held(held)) = StateDir::open(place.path()) else { panic!("no lock") };
        assert_eq!(held.pid, Some(std::process::id()));
        let text = held.to_string();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(text.contains(&*place.path().to_string_lossy()), "{text}");
        drop(first);
        StateDir::open(place.path()).unwrap();
    }

    #[test]
    fn looking_tells_who_is_there_and_takes_nothing() {
        let place = TestDir::new();
        assert_eq!(held(place.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let first = StateDir::open(place.path()).unwrap();
        let pid = held(place.path()).unwrap().unwrap().pid;
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert_eq!(held(place.path()).unwrap(), None);
        StateDir::open(place.path()).unwrap();
    }

    #[test]
    fn a_longer_pid_from_before_leaves_nothing() {
        let place = TestDir::new();
        std::fs::write(place.path().join(NAME), "123456789012\n").unwrap();
        let _dir = StateDir::open(place.path()).unwrap();
        let text = std::fs::read_to_string(place.path().join(NAME)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
