//! Real children for the tests of processes: launched by the real binary,
//! reaped by the real thread, read from with a deadline.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use amurg_runtime::agent::process::end::{Ended, end};
use amurg_runtime::agent::process::family::Family;
use amurg_runtime::agent::process::launch::{Child, Launcher};
use amurg_runtime::agent::process::mark::Mark;
use amurg_runtime::agent::process::original::Original;
use amurg_runtime::agent::process::plan::{Request, SpawnPlan, Stdio};
use amurg_runtime::agent::process::procfs::{self, Process};
use amurg_runtime::agent::process::reaper::{ExitWatch, Reaper};
use amurg_runtime::config::{Endpoint, Job, Limits, Profile, Program, Security};
use amurg_runtime::signals::{self, SignalThread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Nothing in these tests takes so long, on however loaded a machine.
pub const LONG: Duration = Duration::from_secs(30);

/// The one reaper of this test binary, with its thread.
pub fn reaper() -> Reaper {
    static REAPER: OnceLock<(Reaper, SignalThread)> = OnceLock::new();
    let (reaper, _) = REAPER.get_or_init(|| {
        let reaper = Reaper::new();
        let thread = signals::start(reaper.clone(), |_| {}).unwrap();
        (reaper, thread)
    });
    reaper.clone()
}

/// A launcher that is the real binary, without control groups.
pub fn launcher() -> Launcher {
    launcher_of(reaper())
}

/// The same with a reaper of its own. A process can only have one.
pub fn launcher_of(reaper: Reaper) -> Launcher {
    let program = env!("CARGO_BIN_EXE_amurg-runtime").into();
    Launcher { program, original: Original::default(), groups: None, reaper }
}

/// An endpoint that runs `command` in `/`.
pub fn endpoint(command: &str, args: &[&str]) -> (Endpoint, Program) {
    let program = Program {
        command: command.into(),
        args: args.iter().map(|&arg| arg.into()).collect(),
        work_dir: Some("/".into()),
        env: BTreeMap::new(),
    };
    let profile = Profile::Job(Job { program: program.clone(), max_runtime: LONG });
    let endpoint = Endpoint {
        id: "e".into(),
        name: "e".into(),
        tags: BTreeMap::new(),
        limits: Limits::default(),
        security: Security::default(),
        profile,
    };
    (endpoint, program)
}

/// A plan of `command` with pipes.
pub fn plan(command: &str, args: &[&str]) -> SpawnPlan {
    let (endpoint, program) = endpoint(command, args);
    SpawnPlan::new(&Request {
        endpoint: &endpoint,
        program: &program,
        owner: None,
        given: &[],
        mark: &Mark::next(),
        hub_variables: &[],
        stdio: Stdio::Pipes,
    })
    .unwrap()
}

/// A plan of `command` on a terminal.
pub fn plan_on_terminal(command: &str, args: &[&str]) -> SpawnPlan {
    SpawnPlan { stdio: Stdio::TERMINAL, ..plan(command, args) }
}

/// A running child and what it has written.
pub struct Scene {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
    pub exit: ExitWatch,
    pub family: Family,
    written: Vec<u8>,
}

impl Scene {
    pub fn of(plan: &SpawnPlan) -> Self {
        Self::with(&launcher(), plan)
    }

    pub fn with(launcher: &Launcher, plan: &SpawnPlan) -> Self {
        let Child { stdin, stdout, stderr, exit, family } = launcher.launch(plan).unwrap();
        Self { stdin, stdout, stderr, exit, family, written: Vec::new() }
    }

    pub fn sh(script: &str) -> Self {
        Self::of(&plan("sh", &["-c", script]))
    }

    pub fn bash(script: &str) -> Self {
        Self::of(&plan("bash", &["-c", script]))
    }

    pub fn python(script: &str) -> Self {
        Self::of(&plan("python3", &["-c", script]))
    }

    pub fn terminal(&self) -> &OwnedFd {
        &self.stdout
    }

    pub fn write(&self, text: &str) {
        let to = self.stdin.as_ref().unwrap_or(&self.stdout);
        assert_eq!(rustix::io::write(to, text.as_bytes()).unwrap(), text.len());
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of stdout, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.written.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.written.drain(..=at).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            assert!(self.read_some(), "ended in mid-line: {:?}", self.text());
        }
    }

    /// Reads until `wanted` was written; drops what came until then.
    pub fn until(&mut self, wanted: &str) {
        loop {
            if let Some(at) = self.text().find(wanted) {
                self.written.drain(..at + wanted.len());
                return;
            }
            assert!(self.read_some(), "ended without {wanted:?}: {:?}", self.text());
        }
    }

    /// Everything until nobody holds the other end any more.
    pub fn rest(&mut self) -> String {
        while self.read_some() {}
        std::mem::take(&mut self.text())
    }

    /// The pids on the next line.
    pub fn pids(&mut self) -> Vec<Pid> {
        let line = self.line();
        line.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    fn read_some(&mut self) -> bool {
        readable(&self.stdout);
        let mut buffer = [0; 4096];
        match rustix::io::read(&self.stdout, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::IO) => false,
            Ok(count) => {
                self.written.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The exit code of a child that ends by itself.
    pub fn code(&self) -> i32 {
        let status = self.exit.wait(Instant::now() + LONG).expect("did not end");
        amurg_runtime::agent::process::reaper::exit_code(status)
    }

    /// Closes its stdin and ends it, with KILL after `grace`.
    pub fn end(self, grace: Duration) -> Ended {
        let Self { stdin, stdout, stderr, family, .. } = self;
        // A terminal is hung up; pipes stay readable until the end.
        let reading = (stdin.is_some()).then_some(stdout);
        drop(stdin);
        let ended = end(family, Instant::now() + grace);
        drop((reading, stderr));
        ended
    }
}

/// Waits until `fd` is readable or at its end.
pub fn readable(fd: impl AsFd) {
    let deadline = Instant::now() + LONG;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::try_from(left).unwrap())) {
            // Children end while we wait for something else.
            Err(rustix::io::Errno::INTR) => {}
            ready => return assert!(ready.unwrap() > 0, "nothing came for {LONG:?}"),
        }
    }
}

/// Waits until these processes have ended; they may still have to be reaped.
pub fn await_ends(pids: &[Pid]) {
    for &pid in pids {
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            readable(pidfd);
        }
    }
}

/// Every one of `pids` is gone, and reaped, and with it whatever was in a
/// `setsid` session of its. Those that ended unseen by an [`end`] are the
/// reaper's, which may be about to do it.
pub fn assert_gone(pids: &[Pid]) {
    reaper().reap();
    let is_left = |process: &Process| {
        pids.contains(&process.pid) || process.session.is_some_and(|leader| pids.contains(&leader))
    };
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = numbers
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter_map(procfs::process);
    let left: Vec<Process> = processes.filter(is_left).collect();
    assert!(left.is_empty(), "left: {left:?}");
}

/// Processes anywhere that carry `mark`.
pub fn carriers(mark: &Mark) -> Vec<String> {
    let wanted = format!("{}={mark}", Mark::VARIABLE);
    let carries = |path: &std::path::Path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| carries(&entry.path()))
        .map(|entry| std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default())
        .collect()
}

/// Writes a program that can be started at once.
pub fn write_program(path: &Path, text: &str) {
    let source = tempfile::NamedTempFile::new().unwrap();
    fs::write(&source, text).unwrap();
    install_program("755", source.path(), path);
}

/// Copies a program so that it can be started at once: in a process of its own. What this
/// one has open for writing, a child that another test starts has open as well for a
/// moment, and what somebody may write to is not started (`ETXTBSY`, execve(2)).
pub fn install_program(mode: &str, source: impl AsRef<Path>, path: &Path) {
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let args = ["-m", mode, &name(source.as_ref()), &name(path)];
    assert_eq!(Scene::of(&plan("install", &args)).code(), 0);
}
