//! What the kernel says of processes, and the runtime as one of them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// `R`, `S`, `Z`, … as `ps` shows it.
    pub state: char,
    pub command: String,
}

/// Every process there is.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

fn read_process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the last one counts.
    let (head, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = if arguments.is_empty() {
        head.split_once('(').map_or_else(String::new, |(_, name)| format!("[{name}]"))
    } else {
        String::from_utf8_lossy(&arguments).replace('\0', " ").trim_end().to_owned()
    };
    Some(Process { pid, parent, state, command })
}

/// The processes below `root`, without it.
pub fn descendants(root: i32) -> Vec<Process> {
    let all = processes();
    let mut below = HashSet::from([root]);
    loop {
        let before = below.len();
        let children = all.iter().filter(|one| below.contains(&one.parent)).map(|one| one.pid);
        below.extend(children.collect::<Vec<_>>());
        if below.len() == before {
            break;
        }
    }
    all.into_iter().filter(|one| one.pid != root && below.contains(&one.pid)).collect()
}

/// Whether the process was started with this in its environment.
pub fn has_variable(pid: i32, name: &str, value: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("{name}={value}");
    environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// `root` and everything below it, drawn as a tree.
pub fn tree(root: i32) -> String {
    let below = descendants(root);
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in &below {
        children.entry(process.parent).or_default().push(process);
    }
    let mut text = String::new();
    let itself = read_process(root);
    let mut stack: Vec<_> = itself.iter().map(|process| (process, 1)).collect();
    while let Some((process, depth)) = stack.pop() {
        let Process { pid, state, command, .. } = process;
        let _ = writeln!(text, "{:1$}{pid} {state} {command}", "", depth * 2);
        stack.extend(children.remove(pid).into_iter().flatten().map(|child| (child, depth + 1)));
    }
    text
}

/// What a process has used so far, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In user and kernel mode, of all its threads; in steps of a clock tick.
    pub cpu: Duration,
    /// Context switches of its living threads, of their own will or not.
    pub switches: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
    pub threads: usize,
    /// Open descriptors.
    pub descriptors: usize,
}

/// Reads it from the kernel.
pub fn usage(pid: i32) -> Usage {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let fields: Vec<_> = stat.rsplit_once(')').expect("stat").1.split_whitespace().collect();
    // proc(5) counts from 1, and the two fields before these are cut off.
    let ticks: u64 =
        [14 - 3, 15 - 3].iter().map(|&at| fields[at].parse::<u64>().expect("ticks")).sum();
    let cpu = Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).expect("Hz");
    let tasks: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process is there")
        .map(|task| task.expect("a task").path())
        .collect();
    let switches = tasks
        .iter()
        .filter_map(|task| std::fs::read_to_string(task.join("status")).ok())
        .map(|status| {
            number(&status, "voluntary_ctxt_switches:")
                + number(&status, "nonvoluntary_ctxt_switches:")
        })
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Usage {
        cpu,
        switches,
        memory: number(&status, "VmRSS:") * 1024,
        threads: tasks.len(),
        descriptors,
    }
}

/// The number behind a name at the beginning of a line.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Waits until a process has ended, though it may be no child; false at the deadline.
pub fn wait_gone(pid: i32, deadline: Instant) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return true };
    pidfd_open(pid, PidfdFlags::empty()).map_or(true, |pidfd| wait_pidfd(&pidfd, deadline))
}

fn wait_pidfd(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a short time");
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// The runtime, started. Dropping it ends it: TERM, and KILL where that is not enough.
pub struct RuntimeProcess {
    child: Child,
    pidfd: OwnedFd,
    /// Set once it was reaped; its pid means nothing from then on.
    status: Option<ExitStatus>,
}

impl RuntimeProcess {
    /// Starts it; what it writes to stderr is appended to `log`, line by line.
    pub fn spawn(mut command: Command, log: &Arc<Log>) -> Self {
        command.stderr(Stdio::piped());
        let mut runtime = Self::start(command);
        let stderr = BufReader::new(runtime.child.stderr.take().expect("a pipe"));
        let log = Arc::clone(log);
        // Ends with the last process that holds the pipe.
        thread::Builder::new()
            .name("runtime-log".into())
            .spawn(move || {
                for line in stderr.split(b'\n').map_while(Result::ok) {
                    log.push(String::from_utf8_lossy(&line).into_owned());
                }
            })
            .expect("a thread");
        runtime
    }

    /// Starts it; its stderr goes where the command has it.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("the runtime starts");
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd");
        Self { child, pidfd, status: None }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            pidfd_send_signal(&self.pidfd, signal).expect("a signal is sent");
        }
    }

    /// Its end; `None` at the deadline.
    pub fn wait(&mut self, deadline: Instant) -> Option<ExitStatus> {
        if self.status.is_none() && wait_pidfd(&self.pidfd, deadline) {
            self.status = self.child.wait().ok();
        }
        self.status
    }
}

impl Drop for RuntimeProcess {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        if self.wait(super::soon()).is_none() {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = self.wait(super::soon());
        }
    }
}

/// Lines of a log, growing.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Log {
    fn push(&self, line: String) {
        self.lock().push(line);
        self.grown.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Waits for the first line that holds `text` behind the first `after` lines;
    /// `None` at the deadline.
    pub fn wait_for(&self, text: &str, after: usize, deadline: Instant) -> Option<String> {
        let mut lines = self.lock();
        loop {
            if let Some(line) = lines.iter().skip(after).find(|line| line.contains(text)) {
                return Some(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            lines = self.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
