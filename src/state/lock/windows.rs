//! A file that one process may write to: others are not let in while it is open.

use std::fs::{File, OpenOptions};
use std::os::windows::fs::OpenOptionsExt;

use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;

use super::{Held, LockError, NAME, read_pid};
use crate::state::dir::StateDir;

/// Opens the file for this process alone; others may read it.
pub(super) fn seize(dir: &StateDir) -> Result<File, LockError> {
    let path = dir.path().join(NAME);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).share_mode(FILE_SHARE_READ);
    options.open(&path).map_err(|error| {
        if error.raw_os_error() != Some(ERROR_SHARING_VIOLATION.cast_signed()) {
            return LockError::Io(error);
        }
        let pid = File::open(&path).ok().and_then(|mut file| read_pid(&mut file));
        LockError::Held(Held { path: dir.path().to_owned(), pid })
    })
}
