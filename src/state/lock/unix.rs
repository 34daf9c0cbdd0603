//! A `flock`.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::{Held, LockError, NAME, read_pid};
use crate::state::dir::StateDir;

/// Opens and locks the file.
pub(super) fn seize(dir: &StateDir) -> Result<File, LockError> {
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
    Ok(file)
}

/// Who has the lock. Nothing is made.
pub(super) fn held(path: &Path) -> io::Result<Option<Held>> {
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
