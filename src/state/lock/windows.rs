//! A file that one process may write to: others are not let in while it is open.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;

use super::{Held, LockError, NAME, read_pid};
use crate::state::dir::StateDir;

/// Opens the file for this process alone; others may read it.
pub(super) fn seize(dir: &StateDir) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).share_mode(FILE_SHARE_READ);
    options.open(dir.path().join(NAME)).map_err(|error| {
        if is_held(&error) { LockError::Held(holder(dir.path())) } else { LockError::Io(error) }
    })
}

/// Who has the lock. Nothing is made.
pub(super) fn held(path: &Path) -> io::Result<Option<Held>> {
    match OpenOptions::new().write(true).share_mode(FILE_SHARE_READ).open(path.join(NAME)) {
        Ok(_) => Ok(None),
        Err(error) if is_held(&error) => Ok(Some(holder(path))),
        Err(error) => Err(error),
    }
}

fn is_held(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed())
}

fn holder(path: &Path) -> Held {
    let pid = File::open(path.join(NAME)).ok().and_then(|mut file| read_pid(&mut file));
    Held { path: path.to_owned(), pid }
}
