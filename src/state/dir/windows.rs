//! The state directory by its path. It has the access list of the directory it
//! lies in: the user's own, where nobody else but administrators may look.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;

use super::{Found, OpenError, odd};
use crate::state::lock::{Lock, LockError};

/// An open, locked state directory.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Option<Lock>,
}

impl StateDir {
    /// Makes the directory (and what is missing above it) and locks it.
    ///
    /// # Errors
    /// [`OpenError::Held`] when another process has the lock,
    /// [`OpenError::Unusable`] for everything else.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |step| {
            move |error: io::Error| OpenError::Unusable { path: path.to_owned(), step, error }
        };
        fs::create_dir_all(path).map_err(unusable("making it"))?;
        let dir = Self { path: path.to_owned(), _lock: None };
        match Lock::take(&dir) {
            Ok(lock) => Ok(Self { _lock: Some(lock), ..dir }),
            Err(LockError::Held(held)) => Err(OpenError::Held(held)),
            Err(LockError::Io(error)) => Err(unusable("locking it")(error)),
        }
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound`; `InvalidData` when it is no plain file or is larger; what the
    /// system says.
    pub fn read(&self, name: &str, limit: usize) -> io::Result<Found> {
        let file = self.existing().read(true).open(self.path.join(name))?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(odd("it is not a regular file"));
        }
        let size = usize::try_from(found.len()).unwrap_or(usize::MAX);
        if size > limit {
            return Err(odd("it is too large"));
        }
        // One allocation: no copy of a secret stays behind in memory that grew.
        let mut bytes = Vec::with_capacity(size + 1);
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(Found { bytes, was_private: true })
    }

    /// Makes a new file for appending.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the system says.
    pub fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).open(self.path.join(name))
    }

    /// Removes a file; one that is not there counts as removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Renames a file within the directory, replacing what has the new name.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    /// Names of everything in it that is Unicode; other names are nobody's of ours.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    /// Names survive a power cut by themselves: the file system has a journal.
    ///
    /// # Errors
    /// Never, here.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere it waits")]
    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// How a file is opened that is there, and is no link.
    #[allow(clippy::unused_self, reason = "of this directory")]
    fn existing(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
        options
    }
}
