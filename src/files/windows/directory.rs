//! Directories by their paths, one component a step.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_WRITE_ATTRIBUTES,
};

/// Makes a directory, as private as the one it lies in.
///
/// # Errors
/// `AlreadyExists`, and what the system says.
pub fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// A directory.
#[derive(Debug)]
pub struct Directory(PathBuf);

/// A path without links, as people and programs write it: many of those do not
/// take the form (`\\?\C:\…`) that the system gives.
///
/// # Errors
/// When there is nothing of that name.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let plain = real.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    let has_drive = |text: &&str| text.as_bytes().get(1) == Some(&b':');
    Ok(plain.filter(has_drive).map_or(real.clone(), PathBuf::from))
}

impl Directory {
    /// Takes a directory by its path, following links: for a path the operator chose.
    pub fn open_path(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self(path.to_owned()))
    }

    /// Takes a directory within this one.
    pub fn open(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self(path))
    }

    /// Takes a directory within this one, made if there is none. What else lies
    /// in its place, a link too, is an error.
    pub fn make(&self, name: &str) -> io::Result<Self> {
        match fs::create_dir(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.open(name),
        }
    }

    /// Puts a file in its place, whole or not at all. What lay there under the
    /// name, a link too, is replaced.
    pub fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let part = self.0.join(format!(".{}.part", crate::ids::next_id()));
        let written = fs::write(&part, data).and_then(|()| fs::rename(&part, self.0.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written
    }

    /// Moves an entry to another directory of the same file system.
    pub fn move_out(&self, name: &str, to: &Self, as_name: &str) -> io::Result<()> {
        fs::rename(self.0.join(name), to.0.join(as_name))
    }

    /// Removes an empty directory within this one.
    pub fn remove_empty(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    /// Names of what lies within, those that are no Unicode left out: none of ours.
    pub fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        Ok(fs::read_dir(&self.0)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
    }

    /// Size of a regular file within, in bytes; `None` for anything else.
    pub fn size_of(&self, name: &str) -> Option<u64> {
        let found = fs::symlink_metadata(self.0.join(name)).ok()?;
        found.is_file().then_some(found.len())
    }

    /// It is as private as the directory it lies in.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere it has a mode")]
    pub fn make_private(&self) -> io::Result<()> {
        Ok(())
    }

    /// When it was last changed.
    pub fn changed(&self) -> io::Result<SystemTime> {
        fs::metadata(&self.0)?.modified()
    }

    /// Says that it was changed at that time.
    pub fn set_changed(&self, at: SystemTime) -> io::Result<()> {
        let directory: File = OpenOptions::new()
            .access_mode(FILE_WRITE_ATTRIBUTES)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
            .open(&self.0)?;
        directory.set_times(FileTimes::new().set_modified(at))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}
