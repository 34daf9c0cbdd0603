//! The state directory by its descriptor: names are opened in it and never
//! followed, so that nobody can put another in its place.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use log::{info, warn};
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};

use super::{Found, OpenError, odd};
use crate::state::lock::{Lock, LockError};

const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open, locked state directory.
#[derive(Debug)]
pub struct StateDir {
    fd: OwnedFd,
    path: PathBuf,
    /// The directory's owner and mode, as they were found.
    found: Stat,
    _lock: Option<Lock>,
}

impl StateDir {
    /// Makes the directory (and what is missing above it, mode 0700), opens and
    /// locks it, and takes group's and others' rights to it away.
    ///
    /// # Errors
    /// [`OpenError::Held`] when another process has the lock,
    /// [`OpenError::Unusable`] for everything else.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let shown = path.display();
        let unusable = |step| {
            move |error: io::Error| OpenError::Unusable { path: path.to_owned(), step, error }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable("making it"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|error| unusable("opening it")(error.into()))?;
        let stat = fs::fstat(&fd).map_err(|error| unusable("reading its owner")(error.into()))?;
        trust_owner(path, &stat).map_err(unusable("checking its owner"))?;
        if is_open_to_others(&stat) {
            match fs::fchmod(&fd, Mode::RWXU) {
                Ok(()) => info!("state directory made private path={shown}"),
                Err(error) => {
                    warn!("state directory is open to others path={shown} error={error}");
                }
            }
        }
        let dir = Self { fd, path: path.to_owned(), found: stat, _lock: None };
        match Lock::take(&dir) {
            Ok(lock) => Ok(Self { _lock: Some(lock), ..dir }),
            Err(LockError::Held(held)) => Err(OpenError::Held(held)),
            Err(LockError::Io(error)) => Err(unusable("locking it")(error)),
            Err(LockError::Unsupported(error)) => {
                warn!(
                    "state directory cannot be locked, make sure that no other process uses it \
                     path={shown} error={error}"
                );
                Ok(dir)
            }
        }
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a whole file of at most `limit` bytes and makes its mode private.
    ///
    /// # Errors
    /// `NotFound`; `InvalidData` when it is no plain file, is larger, or may be
    /// another user's; what the system says.
    pub fn read(&self, name: &str, limit: usize) -> io::Result<Found> {
        let (file, stat) = self.open_plain(name, OFlags::RDONLY)?;
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if size > limit {
            return Err(odd("it is too large"));
        }
        // One allocation: no copy of a secret stays behind in memory that grew.
        let mut bytes = Vec::with_capacity(size + 1);
        file.take(limit as u64).read_to_end(&mut bytes)?;
        let was_private = !is_open_to_others(&stat) && self.is_ours(&stat);
        Ok(Found { bytes, was_private })
    }

    /// Makes a new file for appending, mode 0600.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the system says.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let fd =
            fs::openat(&self.fd, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, PRIVATE_FILE)?;
        self.hand_to_owner(&fd);
        Ok(File::from(fd))
    }

    /// Removes a file; one that is not there counts as removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file within the directory, replacing what has the new name.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Names of everything in it that is valid UTF-8; other names are nobody's of ours.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes names that were added, renamed or removed survive a power cut. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&self) -> io::Result<()> {
        match fs::fsync(&self.fd) {
            // Some network file systems have nothing to sync here.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens or makes the lock's file; only for reading where it cannot be written.
    pub(in crate::state) fn open_lock(&self, name: &str) -> io::Result<File> {
        let open = |access| self.open_plain(name, access).map(|(file, _)| file);
        match open(OFlags::RDWR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.create(name) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        open(OFlags::RDWR)
                    }
                    made => made,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => open(OFlags::RDONLY),
            opened => opened,
        }
    }

    /// Opens a file that is there, and makes its mode private. The `Stat` is from before.
    fn open_plain(&self, name: &str, access: OFlags) -> io::Result<(File, Stat)> {
        // Non-blocking, so that a planted FIFO cannot hold us.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, OsStr::from_bytes(name.as_bytes()), flags, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(odd("it is not a regular file"));
        }
        if stat.st_nlink > 1 {
            return Err(odd("it has a second name elsewhere"));
        }
        if !self.is_ours(&stat) {
            // Where only we could put it, somebody restored or moved it for us.
            if Mode::from_raw_mode(self.found.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
                return Err(odd("it belongs to another user"));
            }
            let (path, uid) = (self.path.join(name), stat.st_uid);
            warn!("state file belongs to another user path={} uid={uid}", path.display());
        }
        if is_open_to_others(&stat) {
            match fs::fchmod(&fd, PRIVATE_FILE) {
                Ok(()) => info!("state file made private path={}", self.path.join(name).display()),
                Err(error) => {
                    warn!(
                        "state file is open to others path={} error={error}",
                        self.path.join(name).display()
                    );
                }
            }
        }
        Ok((File::from(fd), stat))
    }

    fn is_ours(&self, stat: &Stat) -> bool {
        stat.st_uid == rustix::process::geteuid().as_raw() || stat.st_uid == self.found.st_uid
    }

    /// A service run once as root must not leave files that its user cannot read.
    fn hand_to_owner(&self, fd: &OwnedFd) {
        let (uid, gid) = (Uid::from_raw(self.found.st_uid), Gid::from_raw(self.found.st_gid));
        if rustix::process::geteuid().is_root() && !uid.is_root() {
            let _ = fs::fchown(fd, Some(uid), Some(gid));
        }
    }
}

fn is_open_to_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(OTHERS)
}

/// Whoever owns the directory can swap what is in it.
fn trust_owner(path: &Path, stat: &Stat) -> io::Result<()> {
    let us = rustix::process::geteuid();
    if stat.st_uid == us.as_raw() {
        return Ok(());
    }
    if us.is_root() {
        let (path, uid) = (path.display(), stat.st_uid);
        warn!("state directory belongs to another user path={path} uid={uid}");
        return Ok(());
    }
    let text = format!("it belongs to uid {}, this process is uid {}", stat.st_uid, us.as_raw());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

#[cfg(test)]
mod tests;
