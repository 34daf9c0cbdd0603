//! Directories held by descriptor, so that nothing an agent plants in a path
//! leads elsewhere: every step is one component, and no link is followed.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

/// Flags with which every directory here is opened.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Only its owner may enter.
const PRIVATE: Mode = Mode::RWXU;

/// A path without links: confinement opens it again and follows none.
///
/// # Errors
/// When there is nothing of that name.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// Makes a directory that nobody but this user may enter.
///
/// # Errors
/// `AlreadyExists`, and what the system says.
pub fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// An open directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory by its path, following links: for a path the operator chose.
    pub fn open_path(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?))
    }

    /// Opens a directory within this one.
    pub fn open(&self, name: &str) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, DIRECTORY, Mode::empty())?))
    }

    /// Opens a directory within this one, made if there is none. What else lies
    /// in its place, a link too, is an error.
    pub fn make(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, PRIVATE) {
            Ok(()) | Err(Errno::EXIST) => self.open(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a file in its place: readable by its owner only, whole or not at
    /// all. What lay there under the name, a link too, is replaced.
    pub fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let part = format!(".{}.part", crate::ids::next_id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::openat(&self.0, &part, flags | OFlags::CLOEXEC, mode)?;
        let written = File::from(fd)
            .write_all(data)
            .and_then(|()| Ok(rustix::fs::renameat(&self.0, &part, &self.0, name)?));
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.0, &part, AtFlags::empty());
        }
        written
    }

    /// Moves an entry to another directory of the same file system.
    pub fn move_out(&self, name: &str, to: &Self, as_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, as_name)?)
    }

    /// Removes an empty directory within this one.
    pub fn remove_empty(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Names of what lies within, without `.` and `..`, those that are no UTF-8
    /// left out: none of ours.
    pub fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        let names = Dir::read_from(&self.0)?.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            (name != "." && name != "..").then_some(name)
        });
        Ok(names)
    }

    /// Size of a regular file within, in bytes; `None` for anything else.
    pub fn size_of(&self, name: &str) -> Option<u64> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        is_file.then(|| u64::try_from(stat.st_size).unwrap_or(0))
    }

    /// Closes it to everybody but its owner.
    pub fn make_private(&self) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, PRIVATE)?)
    }

    /// When it was last changed.
    pub fn changed(&self) -> io::Result<SystemTime> {
        let stat = rustix::fs::fstat(&self.0)?;
        let since = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        Ok(UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH))
    }

    /// Says that it was changed at that time.
    pub fn set_changed(&self, at: SystemTime) -> io::Result<()> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = Timespec::try_from(since).map_err(|_| io::ErrorKind::InvalidInput)?;
        let accessed = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: accessed, last_modification: changed };
        Ok(rustix::fs::futimens(&self.0, &times)?)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
