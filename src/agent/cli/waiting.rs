//! Whether a program waits for input again: the instant end of a CLI turn.
//!
//! Derived from mechanics, never from content. The turn of a program that was
//! written to is over when
//!
//! 1. all of it was read (nothing of ours waits, and the pipe holds nothing),
//! 2. nothing was written by it for [`QUIET`], and its pipes are empty,
//! 3. one single-threaded process of the session is blocked in `read` on that
//!    very standard input (same inode; on a terminal, same device), or in
//!    `select`/`pselect` with `nfds` 1, a read set and no timeout, which is how
//!    readline waits,
//! 4. and every other process of the session is an ancestor of it, with one
//!    thread, blocked in `wait4`/`waitid`.
//!
//! A wrong *yes* tells a user that a running command is done; a wrong *no*
//! costs them `idle_timeout`. So whatever cannot be seen, has two threads, or
//! is caught between two system calls is a *no*, and it is looked at again.
//!
//! What was tried (Linux 6.18 on `x86_64`; numbers are system calls as
//! `/proc/PID/syscall` gives them):
//!
//! | program | on a pipe | on a terminal | verdict |
//! |---|---|---|---|
//! | `cat`, `sed`, `awk`, `perl`, `ed` | `0 0x0 …` | `0 0x0 …` | at once |
//! | `dash`, `sh -i` | `0 0x0 …` | `0 0x0 …` | at once |
//! | `bash` | `0 0x0 … 0x1` | `270 0x1 …` | at once |
//! | `bash -i` | `270 0x1 …` (readline) | `270 0x1 …` | at once |
//! | `python3 -i` up to 3.12 | `0 0x0 …` | `270 0x1 …` | at once |
//! | `python3 -i` 3.13 | `0 0x0 …` | `7 …` (`poll`, 100 ms) | pipe at once, terminal idle |
//! | `sqlite3`, `bc` | `0 0x0 …` | `270 0x1 …` | at once |
//! | `bash -i` running `cat`, `(cat)` | bash `61`, cat `0 0x0` | the same | at once |
//! | `unshare -fp bash -i`, `su -s /bin/sh` | parent `61`, shell waits | the same | at once, if both may be seen |
//! | `bash -i`, `read x` | `0 0x0 … 0x1` | `0 0x0 …` | at once: it does wait for input |
//! | `bash -i`, `read -t 4 x` | `270 0x1 … timeout` | the same | no: it goes on by itself |
//! | `bash -i`, `sleep 3` | bash `61`, sleep `230` | the same | no |
//! | `bash -i`, `sleep 5 &` | bash `270 0x1`, sleep `230` | the same | no while it runs |
//! | `cat \| sort` | bash `61`, both `0 0x0` | the same | no: `sort` is nobody's ancestor |
//! | `timeout 5 cat` | `130` (`rt_sigsuspend`), cat `0 0x0` | the same | no |
//! | `python3 -i` with a second thread | `0 0x0 …`, threads 2 | `270 0x1` | no |
//! | `gdb` | `7` (`poll`), threads 3 | the same | no |
//! | `node -i`, asyncio | `281` (`epoll_wait`) | the same | no, never |
//! | `script -c bash` | `7`; bash reads another terminal | the same | no |
//! | standard input closed, or replaced by a file | `0 0x0`, another inode | the same | no |
//! | standard input duplicated to 10 and read there | `0 0xa`, the same inode | the same | at once |
//! | an executable that may not be read (0711) | `syscall`: permission denied | the same | no, unless root |
//! | another user's process (`su`, `sudo`), `hidepid` | permission denied, or not there | the same | no, unless root |
//! | Yama's `ptrace_scope` 2 or 3 | permission denied | the same | no, never (2: unless root) |
//! | stopped (`SIGSTOP`) while it computes | `-1 …` | the same | no |
//! | a daemon of the session (adopted by the runtime) | found among our own children | the same | no while it runs |

#[cfg(target_os = "linux")]
pub mod procfs;
pub mod schedule;

use std::time::Duration;

/// How long a program must have been silent before it is looked at.
pub const QUIET: Duration = Duration::from_millis(20);

/// More ancestors than anybody's shell has: beyond it nothing is said.
const DEEPEST: usize = 64;

/// What a file is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The device it lies on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
    /// The device it *is*, for a terminal; 0 for a pipe.
    pub terminal: u64,
}

impl FileId {
    /// Whether both are the same pipe, or the same terminal. A terminal has
    /// as many inodes as there are device nodes for it.
    fn is(self, other: Self) -> bool {
        if self.terminal != 0 || other.terminal != 0 {
            self.terminal == other.terminal
        } else {
            self.device == other.device && self.inode == other.inode
        }
    }
}

/// What is seen of processes; answers are `None` where nothing can be seen.
pub trait View {
    /// The system call `pid` is blocked in; `None` also when it runs.
    fn blocked_in(&self, pid: i32) -> Option<Blocked>;
    /// How many threads `pid` has.
    fn threads(&self, pid: i32) -> Option<u64>;
    /// The children of a single-threaded `pid` that have not ended.
    fn live_children(&self, pid: i32) -> Option<Vec<i32>>;
    /// What `pid` has open as `fd`.
    fn file(&self, pid: i32, fd: i32) -> Option<FileId>;
    /// Whether the session of `root` has a living process besides the `found`
    /// ones of its tree: a daemon, which is nobody's child any more.
    fn has_strays(&self, root: i32, found: usize) -> bool;
}

/// One line of `/proc/PID/syscall`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    number: i64,
    arguments: [u64; 6],
    /// Stack pointer and program counter: two equal lines are the same call.
    place: [u64; 2],
}

impl Blocked {
    /// Reads `NUMBER ARG×6 SP PC`. `running`, and `-1 SP PC` of a process that
    /// is blocked outside a system call, are `None`.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number = words.next()?.parse().ok().filter(|n| *n >= 0)?;
        let mut values = [0; 8];
        for value in &mut values {
            *value = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        let [arguments @ .., stack, counter] = values;
        Some(Self { number, arguments, place: [stack, counter] })
    }

    /// The descriptor whose input it waits for, and for nothing else.
    fn waits_for(&self) -> Option<i32> {
        let [first, second, third, _, fifth, _] = self.arguments;
        if self.number == numbers::READ {
            // Descriptors are ints; the upper half of the register is anything.
            return i32::try_from(first & 0xffff_ffff).ok();
        }
        let selects = self.number == numbers::PSELECT6 || numbers::SELECT == Some(self.number);
        // nfds 1, a read set, no write set, no timeout: descriptor 0.
        (selects && first == 1 && second != 0 && third == 0 && fifth == 0).then_some(0)
    }

    /// Whether it waits for a child. `WNOHANG` does not block, so is never seen.
    fn waits_for_child(&self) -> bool {
        self.number == numbers::WAIT4 || self.number == numbers::WAITID
    }
}

/// System call numbers of the machines this works on.
#[cfg(target_arch = "x86_64")]
mod numbers {
    pub const READ: i64 = 0;
    pub const SELECT: Option<i64> = Some(23);
    pub const PSELECT6: i64 = 270;
    pub const WAIT4: i64 = 61;
    pub const WAITID: i64 = 247;
}

/// System call numbers of the machines this works on.
#[cfg(not(target_arch = "x86_64"))]
mod numbers {
    // The generic table, which aarch64 uses: it has no plain select.
    pub const READ: i64 = 63;
    pub const SELECT: Option<i64> = None;
    pub const PSELECT6: i64 = 72;
    pub const WAIT4: i64 = 260;
    pub const WAITID: i64 = 95;
}

/// Whether the numbers above are this machine's, so that anything can be told at all.
pub const SUPPORTED: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Points 3 and 4 of the rule: whether the session of `root` as a whole waits
/// for `input`. The caller has seen to it that `input` holds nothing before it
/// asks, and looks at the output once more afterwards.
pub fn waits_for_input(view: &impl View, root: i32, input: FileId) -> bool {
    let Some(chain) = chain_to_reader(view, root, input) else { return false };
    // The reader was seen blocked before its threads and children were, and
    // cannot have moved since. Its ancestors can: their child may have ended
    // between two looks. Twice the same calls at the same places is standing still.
    let found = chain.len();
    let still = found == 1 || chain_to_reader(view, root, input) == Some(chain);
    still && !view.has_strays(root, found)
}

/// From `root` down through waiting parents to the process that reads `input`.
fn chain_to_reader(view: &impl View, root: i32, input: FileId) -> Option<Vec<(i32, Blocked)>> {
    let mut chain = Vec::with_capacity(1);
    let mut pid = root;
    while chain.len() < DEEPEST {
        let blocked = view.blocked_in(pid)?;
        let reads = match blocked.waits_for() {
            Some(fd) => view.file(pid, fd)?.is(input).then_some(true)?,
            None => blocked.waits_for_child().then_some(false)?,
        };
        if view.threads(pid)? != 1 {
            return None;
        }
        let children = view.live_children(pid)?;
        chain.push((pid, blocked));
        match (reads, children.as_slice()) {
            (true, []) => return Some(chain),
            (false, [child]) => pid = *child,
            _ => return None,
        }
    }
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    const STDIN: FileId = FileId { device: 14, inode: 34596, terminal: 0 };
    const OTHER: FileId = FileId { device: 14, inode: 34597, terminal: 0 };

    // As the kernel wrote them.
    const CAT: &str =
        "0 0x0 0x7f1c64f91000 0x20000 0x7f1c6502e4f0 0xffffffff 0x0 0x7ffc792fc468 0x7f1c6510d2ad";
    const READLINE: &str =
        "270 0x1 0x7fffd0229e60 0x0 0x0 0x0 0x7fffd0229d90 0x7fffd0229d50 0x7f040b8c2aec";
    const READ_T: &str = "270 0x1 0x7ffeb37dd9d0 0x0 0x0 0x7ffeb37dd8e0 0x7ffeb37dd8f0 0x7ffeb37dd8b0 0x7f4ae7e2faec";
    const BASH_WAITS: &str =
        "61 0xffffffff 0x7fffdf176790 0x0 0x0 0x1 0x8 0x7fffdf176768 0x7f971cc0ebd3";
    const SLEEP: &str =
        "230 0x0 0x0 0x7fffff3e45c0 0x7fffff3e4600 0x0 0x0 0x7fffff3e45a8 0x7f65c906b503";
    const SIGSUSPEND: &str =
        "130 0x7ffd007f2340 0x8 0x1 0x7f634a099828 0x0 0x0 0x7ffd007f2328 0x7f634a0ca2d5";
    const EPOLL: &str = "281 0xe 0x7ffc9ac8e590 0x400 0x1e0b 0x0 0x8 0x7ffc9ac8d830 0x7fce6d826cae";
    const POLL: &str =
        "7 0x7ffd892e0b40 0x3 0xffffffff 0x8 0x2b 0x19 0x7ffd892e0b08 0x7ffbb17ce230";

    #[derive(Clone)]
    struct Recorded {
        syscall: &'static str,
        threads: u64,
        children: Vec<i32>,
        files: Vec<FileId>,
    }

    /// Processes as they were found on a machine.
    #[derive(Default)]
    struct Table {
        processes: BTreeMap<i32, Recorded>,
        strays: bool,
        /// Replaces the syscall of a process when it is looked at the second time.
        moves: Option<(i32, &'static str)>,
        looks: Cell<u32>,
    }

    impl Table {
        fn with(mut self, pid: i32, syscall: &'static str, children: &[i32]) -> Self {
            let files = vec![STDIN, OTHER, OTHER];
            let recorded = Recorded { syscall, threads: 1, children: children.to_vec(), files };
            self.processes.insert(pid, recorded);
            self
        }

        fn change(mut self, pid: i32, change: impl FnOnce(&mut Recorded)) -> Self {
            change(self.processes.get_mut(&pid).expect("a recorded process"));
            self
        }

        fn waits(&self) -> bool {
            waits_for_input(self, 100, STDIN)
        }
    }

    impl View for Table {
        fn blocked_in(&self, pid: i32) -> Option<Blocked> {
            let mut line = self.processes.get(&pid)?.syscall;
            if let Some((mover, later)) = self.moves
                && mover == pid
            {
                self.looks.set(self.looks.get() + 1);
                if self.looks.get() > 1 {
                    line = later;
                }
            }
            Blocked::parse(line)
        }

        fn threads(&self, pid: i32) -> Option<u64> {
            self.processes.get(&pid).map(|p| p.threads)
        }

        fn live_children(&self, pid: i32) -> Option<Vec<i32>> {
            self.processes.get(&pid).map(|p| p.children.clone())
        }

        fn file(&self, pid: i32, fd: i32) -> Option<FileId> {
            self.processes.get(&pid)?.files.get(usize::try_from(fd).ok()?).copied()
        }

        fn has_strays(&self, _root: i32, _found: usize) -> bool {
            self.strays
        }
    }

    #[test]
    fn a_reader_and_a_readline_wait() {
        assert!(Table::default().with(100, CAT, &[]).waits());
        assert!(Table::default().with(100, READLINE, &[]).waits());
    }

    #[test]
    fn a_shell_with_a_reading_child_waits() {
        let table = Table::default().with(100, BASH_WAITS, &[101]).with(101, CAT, &[]);
        assert!(table.waits());
        let deeper = Table::default()
            .with(100, BASH_WAITS, &[101])
            .with(101, BASH_WAITS, &[102])
            .with(102, READLINE, &[]);
        assert!(deeper.waits());
    }

    #[test]
    fn a_timeout_a_command_and_a_foreign_wait_do_not() {
        for syscall in [READ_T, SLEEP, SIGSUSPEND, EPOLL, POLL, "running", "-1 0x7ffe 0x7f00", ""] {
            assert!(!Table::default().with(100, syscall, &[]).waits(), "{syscall}");
            let below = Table::default().with(100, BASH_WAITS, &[101]).with(101, syscall, &[]);
            assert!(!below.waits(), "{syscall} below a shell");
        }
    }

    #[test]
    fn a_parent_that_does_something_else_does_not() {
        for parent in [SIGSUSPEND, POLL, READLINE, CAT] {
            let table = Table::default().with(100, parent, &[101]).with(101, CAT, &[]);
            assert!(!table.waits(), "{parent}");
        }
    }

    #[test]
    fn a_background_job_and_a_pipeline_do_not() {
        let job = Table::default().with(100, READLINE, &[101]).with(101, SLEEP, &[]);
        assert!(!job.waits());
        let pipeline = Table::default()
            .with(100, BASH_WAITS, &[101, 102])
            .with(101, CAT, &[])
            .with(102, CAT, &[]);
        assert!(!pipeline.waits());
    }

    #[test]
    fn a_second_thread_anywhere_says_nothing() {
        let reader = Table::default().with(100, CAT, &[]).change(100, |p| p.threads = 2);
        assert!(!reader.waits());
        let parent = Table::default().with(100, BASH_WAITS, &[101]).with(101, CAT, &[]);
        assert!(!parent.change(100, |p| p.threads = 2).waits());
    }

    #[test]
    fn a_closed_or_replaced_standard_input_is_not_ours() {
        let closed = Table::default().with(100, CAT, &[]).change(100, |p| p.files.clear());
        assert!(!closed.waits());
        let replaced = Table::default().with(100, CAT, &[]).change(100, |p| p.files[0] = OTHER);
        assert!(!replaced.waits());
        let readline =
            Table::default().with(100, READLINE, &[]).change(100, |p| p.files[0] = OTHER);
        assert!(!readline.waits());
    }

    #[test]
    fn a_duplicate_of_standard_input_is_ours() {
        let line = "0 0x2 0x7f1c64f91000 0x20000 0x7f1c6502e4f0 0xffffffff 0x0 0x7ffc792fc468 0x7f1c6510d2ad";
        let table = Table::default().with(100, line, &[]).change(100, |p| p.files[2] = STDIN);
        assert!(table.waits());
    }

    #[test]
    fn what_cannot_be_seen_says_nothing() {
        // 0711, another user, hidepid: the child is there and shows nothing.
        let table = Table::default().with(100, BASH_WAITS, &[101]);
        assert!(!table.waits());
    }

    #[test]
    fn a_stray_of_the_session_says_nothing() {
        let mut table = Table::default().with(100, CAT, &[]);
        table.strays = true;
        assert!(!table.waits());
    }

    #[test]
    fn a_parent_that_moved_meanwhile_says_nothing() {
        let mut table = Table::default().with(100, BASH_WAITS, &[101]).with(101, CAT, &[]);
        table.moves = Some((100, SLEEP));
        assert!(!table.waits());
    }

    #[test]
    fn a_parent_of_itself_ends() {
        let table = Table::default().with(100, BASH_WAITS, &[100]);
        assert!(!table.waits());
    }

    #[test]
    fn terminals_are_compared_by_device() {
        let ours = FileId { device: 5, inode: 7, terminal: 0x8803 };
        assert!(ours.is(FileId { device: 9, inode: 1, terminal: 0x8803 }));
        assert!(!ours.is(FileId { device: 5, inode: 7, terminal: 0x8804 }));
        assert!(!ours.is(FileId { device: 5, inode: 7, terminal: 0 }));
    }
}
