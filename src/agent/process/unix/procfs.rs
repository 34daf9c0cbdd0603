//! What `/proc` says about one process. No opinion about whose it is.

use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

/// One process, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
    /// One letter, as in `ps`: `R`, `S`, `D`, `T`, `Z`, ….
    pub state: char,
    /// Its parent; `None` for one outside this pid namespace.
    pub parent: Option<Pid>,
    /// Its process group.
    pub group: Option<Pid>,
    /// Its session in the sense of `setsid`.
    pub session: Option<Pid>,
    /// How many threads it has.
    pub threads: u32,
}

impl Process {
    /// For a process group of which nothing is known but its leader: without a
    /// `/proc` nothing tells of the others.
    pub(super) fn of_group(leader: Pid) -> Self {
        Self {
            pid: leader,
            start: 0,
            state: '?',
            parent: None,
            group: Some(leader),
            session: Some(leader),
            threads: 1,
        }
    }

    /// Whether this stands for a group; see [`Process::of_group`].
    pub(super) fn is_group(&self) -> bool {
        self.state == '?'
    }

    /// Whether anything of it still runs. A process whose main thread has
    /// ended before others looks like a zombie, but is none.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Whether both are the same process, not just the same number.
    pub fn is(&self, other: &Self) -> bool {
        self.pid == other.pid && self.start == other.start
    }

    /// Looks again: this process as it is now, `None` when it is gone.
    pub(super) fn again(&self) -> Option<Self> {
        process(self.pid).filter(|now| now.is(self))
    }
}

/// Whether there is a `/proc` of the kind read here.
pub(super) fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    *IS_THERE.get_or_init(|| process(getpid()).is_some())
}

/// Looks at a process; `None` when there is none, or `hidepid` hides it.
pub fn process(pid: Pid) -> Option<Process> {
    // The longest line is a few hundred bytes; a name has at most 64.
    let mut buffer = [0u8; 1024];
    let file = open(&format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let count = rustix::io::read(&file, &mut buffer).ok()?;
    parse_stat(&buffer[..count])
}

/// Whether there is a process of this number that `/proc` does not show (`hidepid`).
pub(super) fn is_hidden(pid: Pid) -> bool {
    process(pid).is_none() && test_kill_process(pid) != Err(Errno::SRCH)
}

/// The number of the first field after the name.
const FIRST_FIELD: usize = 3;

/// The fields after the name of a line of `/proc/PID/stat`. The name stands in
/// parentheses and may hold any byte, parentheses and spaces too: the last one ends it.
fn fields(line: &[u8]) -> Option<Vec<&str>> {
    let end = line.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    Some(rest.split_ascii_whitespace().collect())
}

fn parse_stat(line: &[u8]) -> Option<Process> {
    let name = line.iter().position(|&byte| byte == b'(')?;
    let pid = to_pid(std::str::from_utf8(line.get(..name)?).ok()?.trim())?;
    let fields = fields(line)?;
    let field = |number: usize| fields.get(number - FIRST_FIELD).copied();
    let pid_at = |number: usize| Some(to_pid(field(number)?));
    Some(Process {
        pid,
        state: field(3)?.chars().next()?,
        parent: pid_at(4)?,
        group: pid_at(5)?,
        session: pid_at(6)?,
        threads: field(20)?.parse().ok()?,
        start: field(22)?.parse().ok()?,
    })
}

/// The children of one thread. The kernel goes through their list in steps, and
/// skips some when one is reaped in between: so it is read until nothing new comes.
pub(super) fn children_of_thread(process: Pid, thread: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for _ in 0..LISTINGS {
        let known = found.len();
        for child in list_children(process, thread).unwrap_or_default() {
            if !found.contains(&child) {
                found.push(child);
            }
        }
        if found.len() == known {
            break;
        }
    }
    found
}

/// Readings of a list that goes on changing.
const LISTINGS: usize = 5;

/// The list of one thread's children, read once: whole as long as none of them
/// is reaped meanwhile. `None` where the kernel keeps no such list
/// (`CONFIG_PROC_CHILDREN`), or the thread is gone.
pub(super) fn list_children(process: Pid, thread: Pid) -> Option<Vec<Pid>> {
    let (process, thread) = (process.as_raw_nonzero(), thread.as_raw_nonzero());
    let list = read(&format!("/proc/{process}/task/{thread}/children")).ok()?;
    let list = String::from_utf8(list).ok()?;
    Some(list.split_ascii_whitespace().filter_map(to_pid).collect())
}

/// The threads of a process.
pub(super) fn threads(process: Pid) -> Vec<Pid> {
    numbers_in(&format!("/proc/{}/task", process.as_raw_nonzero()))
}

/// Every process there is.
pub(super) fn all() -> Vec<Pid> {
    numbers_in("/proc")
}

fn numbers_in(directory: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| to_pid(entry.file_name().to_str()?)).collect()
}

/// One numeric field of a `stat` file, counted as in its manual page: from 1.
pub(super) fn stat_field(path: &str, number: usize) -> Option<u64> {
    let line = read(path).ok()?;
    fields(&line)?.get(number.checked_sub(FIRST_FIELD)?)?.parse().ok()
}

/// The user a process runs as.
pub(super) fn user(pid: Pid) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{}", pid.as_raw_nonzero())).ok().map(|found| found.uid())
}

/// A process that is just being taken apart says 0 and -1.
pub(super) fn to_pid(digits: &str) -> Option<Pid> {
    digits.parse().ok().filter(|&number: &i32| number > 0).and_then(Pid::from_raw)
}

fn open(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Environments can be as large as the kernel lets them be, a few megabytes.
const MOST: u64 = 16 << 20;

pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Files of `/proc` have no size to ask for first.
    fs::File::from(open(path)?).take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 7 8 9 34816 8 4194304 1 2 3 4 5 6 7 8 20 0 3 0 4242 1 2";

    #[test]
    fn a_name_of_spaces_and_parentheses_does_not_confuse_the_fields() {
        for name in ["bash", "a b", ")", "x) S 1 1 1", "((", "", ") Z 0 0 0 0 "] {
            let line = format!("12 ({name}) {TAIL}");
            let process = parse_stat(line.as_bytes()).unwrap();
            assert_eq!(process.pid, Pid::from_raw(12).unwrap());
            assert_eq!(process.state, 'S', "{name}");
            assert_eq!(process.parent, Pid::from_raw(7));
            assert_eq!(process.group, Pid::from_raw(8));
            assert_eq!(process.session, Pid::from_raw(9));
            assert_eq!((process.threads, process.start), (3, 4242));
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_no_trouble_and_a_cut_line_is_nothing() {
        let line = [b"12 (\xff\xfe) ".as_slice(), TAIL.as_bytes()].concat();
        assert!(parse_stat(&line).is_some());
        assert_eq!(parse_stat(b"12 (bash) S 7"), None);
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b")("), None);
    }

    #[test]
    fn a_process_being_taken_apart_has_no_group_and_is_not_alive() {
        let line = format!("12 (x) {}", TAIL.replace("S 7 8 9", "X 0 -1 -1"));
        let process = parse_stat(line.replace("20 0 3", "20 0 0").as_bytes()).unwrap();
        assert_eq!((process.parent, process.group, process.session), (None, None, None));
        assert!(!process.is_alive());
    }

    #[test]
    fn a_zombie_with_other_threads_is_alive() {
        let process = |line: &str| parse_stat(line.as_bytes()).unwrap();
        let zombie = format!("12 (x) {}", TAIL.replace("S 7", "Z 7"));
        assert!(process(&zombie).is_alive());
        assert!(!process(&zombie.replace("20 0 3", "20 0 1")).is_alive());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_finds_itself() {
        let own = rustix::process::getpid();
        let process = process(own).unwrap();
        assert!(process.is_alive());
        assert!(process.again().is_some());
        assert!(!Process { start: 0, ..process }.is(&process));
        assert!(threads(own).contains(&own));
        assert!(all().contains(&own));
        assert!(!is_hidden(own));
        assert_eq!(user(own), Some(rustix::process::geteuid().as_raw()));
    }
}
