//! Opens a file beneath a directory, without following any link.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::files::Refusal;

/// Opening a pipe must not wait for its writer, nor a terminal become ours.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const STEP: OFlags = SEARCH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way need only let us pass.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const SEARCH: OFlags = OFlags::RDONLY;

/// Opens `rest` beneath `root` for reading, without a link on the way from `/`
/// on; `confined`: as the confined agent could. Else why not.
pub fn open(root: &Path, rest: &Path, confined: bool) -> Result<File, String> {
    let open = || open_within(root, rest);
    match if confined { as_confined(open) } else { open() } {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::LOOP | Errno::NOTDIR) => Err("a link is on the way".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(target_os = "linux")]
fn as_confined(open: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    let opened = crate::sandbox::privileges::by_modes_alone(open);
    opened.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::PERM)))
}

/// Nothing is confined elsewhere.
#[cfg(not(target_os = "linux"))]
fn as_confined(open: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    open()
}

fn open_within(root: &Path, rest: &Path) -> Result<OwnedFd, Errno> {
    let mut at = rustix::fs::open("/", STEP, Mode::empty())?;
    for component in root.components().skip_while(|first| *first == Component::RootDir) {
        at = step(&at, component, STEP)?;
    }
    let mut components = rest.components().peekable();
    while let Some(component) = components.next() {
        let flags = if components.peek().is_some() { STEP } else { FILE };
        at = step(&at, component, flags)?;
    }
    Ok(at)
}

fn step(at: &OwnedFd, component: Component, flags: OFlags) -> Result<OwnedFd, Errno> {
    match component {
        Component::Normal(name) => rustix::fs::openat(at, name, flags, Mode::empty()),
        // `..` may lead out.
        _ => Err(Errno::ACCESS),
    }
}

/// Whether it is a regular file, and not one of `/proc`.
pub fn check(file: &File) -> Result<(), Refusal> {
    let stat = rustix::fs::fstat(file).map_err(std::io::Error::from)?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if is_of_proc(file) => "a file of /proc",
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(Refusal::NoFile(what.into()))
}

#[cfg(target_os = "linux")]
fn is_of_proc(file: &File) -> bool {
    // What cannot be told is refused.
    rustix::fs::fstatfs(file).map_or(true, |stat| stat.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_of_proc(_: &File) -> bool {
    false
}
