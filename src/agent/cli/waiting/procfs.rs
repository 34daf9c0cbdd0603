//! Processes as `/proc` shows them: five small looks, some 16 µs of CPU in the
//! common case of a program without children.

use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::path::Arg;
use rustix::process::Pid;

use super::{Blocked, FileId, View};
use crate::agent::process::census::session_processes;
use crate::agent::process::mark::Mark;
use crate::agent::process::procfs;

/// Longer than any line of `syscall`; a `children` that fills it is too many.
const LINE: usize = 256;

/// The processes of this machine, seen for one session.
pub struct Procfs<'a> {
    /// What the session's processes carry.
    pub mark: &'a Mark,
}

impl View for Procfs<'_> {
    fn blocked_in(&self, pid: i32) -> Option<Blocked> {
        read_line(pid, "syscall", Blocked::parse)?
    }

    fn threads(&self, pid: i32) -> Option<u64> {
        // A directory's link count is two and one for each entry, and here the
        // entries are threads: cheaper than the line of `stat`.
        let task = stat(path(pid, "task").as_str(), StatxFlags::NLINK)?;
        u64::from(task.stx_nlink).checked_sub(2)
    }

    fn live_children(&self, pid: i32) -> Option<Vec<i32>> {
        let file = format!("task/{pid}/children");
        let children: Option<Vec<i32>> = read_line(pid, &file, |line| {
            line.split_ascii_whitespace().map(|p| p.parse().ok()).collect()
        })?;
        let mut live = Vec::new();
        for child in children? {
            if !has_ended(child)? {
                live.push(child);
            }
        }
        Some(live)
    }

    fn file(&self, pid: i32, fd: i32) -> Option<FileId> {
        stat(path(pid, &format!("fd/{fd}")).as_str(), FileId::WANTED).map(|s| FileId::of(&s))
    }

    fn has_strays(&self, root: i32, found: usize) -> bool {
        // Strays are adopted by this process, and mostly it has adopted nobody.
        let Some(root) = Pid::from_raw(root) else { return true };
        has_adopted() && session_processes(root, self.mark).len() > found
    }
}

impl FileId {
    const WANTED: StatxFlags = StatxFlags::TYPE.union(StatxFlags::INO);

    /// What an open file is recognised by.
    pub fn of_open(file: impl AsFd) -> Option<Self> {
        rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, Self::WANTED).ok().map(|s| Self::of(&s))
    }

    fn of(stat: &Statx) -> Self {
        let number = |major: u32, minor: u32| (u64::from(major) << 32) | u64::from(minor);
        let is_terminal =
            FileType::from_raw_mode(stat.stx_mode.into()) == FileType::CharacterDevice;
        Self {
            device: number(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            terminal: if is_terminal {
                number(stat.stx_rdev_major, stat.stx_rdev_minor)
            } else {
                0
            },
        }
    }
}

/// Whether this process has children it did not start. Orphans are given to its
/// main thread, which starts none; the list is kept open, as every look asks.
fn has_adopted() -> bool {
    static LIST: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let list = LIST.get_or_init(|| {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        open(own, &format!("task/{own}/children"))
    });
    let mut first = [0; 16];
    list.as_ref().is_none_or(|list| rustix::io::pread(list, &mut first, 0) != Ok(0))
}

/// Whether a process is only waiting to be reaped; `None` when it is not there.
fn has_ended(pid: i32) -> Option<bool> {
    Pid::from_raw(pid).and_then(procfs::process).map(|process| !process.is_alive())
}

fn path(pid: i32, file: &str) -> String {
    let mut path = String::with_capacity(40);
    // Writing into a String does not fail.
    let _ = write!(path, "/proc/{pid}/{file}");
    path
}

/// Gives the text of a small file to `parse`; `None` when it cannot be read whole.
fn read_line<T>(pid: i32, file: &str, parse: impl FnOnce(&str) -> T) -> Option<T> {
    let mut text = [0; LINE];
    let length = rustix::io::read(open(pid, file)?, &mut text).ok().filter(|n| *n < LINE)?;
    Some(parse(str::from_utf8(&text[..length]).ok()?))
}

fn open(pid: i32, file: &str) -> Option<OwnedFd> {
    rustix::fs::open(path(pid, file).as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn stat(path: impl Arg, wanted: StatxFlags) -> Option<Statx> {
    rustix::fs::statx(CWD, path, AtFlags::empty(), wanted).ok()
}
