//! A `flock`.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, flock};
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
