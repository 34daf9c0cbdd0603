//! Starts children: suspended, put into their job object, then let go, so that
//! nothing they start can be outside of it.

use std::fmt;
use std::io;
use std::os::windows::process::CommandExt;
use std::process::{Child as Process, ChildStderr, ChildStdin, ChildStdout, Command};
use std::time::Instant;

use windows_sys::Win32::System::Threading::{CREATE_NO_WINDOW, CREATE_SUSPENDED};

use super::calls::{self, Job};
use super::end::Ended;
use super::family::Family;
use super::original::Original;
use super::pipes::Pipes;
use super::reaper::{ExitWatch, Reaper};
use super::stdin::Stdin;
use crate::agent::process::plan::{SpawnPlan, Stdio};
use crate::wake::Waker;

/// What starts children. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Who hears of their ends.
    pub reaper: Reaper,
}

/// Whether memory and processes of a session can be bounded as one: its job
/// object does.
pub fn bounds_offered() -> (bool, bool) {
    (true, true)
}

/// A running child.
#[derive(Debug)]
pub struct Child {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    exit: ExitWatch,
    family: Family,
}

impl Child {
    /// What a pipe thread, woken by the waker, takes over.
    ///
    /// # Errors
    /// When there can be no threads; the child is ended then.
    pub fn into_parts(self, waker: &Waker) -> io::Result<(Pipes, ExitWatch, Family)> {
        let Self { stdin, stdout, stderr, exit, family } = self;
        let pipes = Pipes::start(Stdin::start(stdin)?, stdout, stderr, waker)?;
        Ok((pipes, exit, family))
    }
}

impl Launcher {
    /// A launcher, whose children can be interrupted.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(reaper: Reaper, _original: Original) -> io::Result<Self> {
        calls::hear_interrupts()?;
        Ok(Self { reaper })
    }

    /// Whether memory and processes of a session are bounded as one.
    #[allow(clippy::unused_self, reason = "elsewhere it depends")]
    pub fn bounds(&self) -> (bool, bool) {
        bounds_offered()
    }

    /// What a runtime leaves behind that is killed: its job objects, and all
    /// that was in them, ended with it.
    #[allow(clippy::unused_self, reason = "elsewhere they have to be looked for")]
    pub fn sweep_leftovers(&self, _nonce: &str, _kill_at: Instant) -> Ended {
        Ended::default()
    }

    /// Starts a child; returns when its program runs, or with what prevented it.
    ///
    /// # Errors
    /// [`LaunchError`], in words for the user.
    pub fn launch(&self, plan: &SpawnPlan) -> Result<Child, LaunchError> {
        if let Stdio::Pty { .. } = plan.stdio {
            return Err(LaunchError::NoTerminal);
        }
        let limits = &plan.sandbox;
        let job = Job::new(limits.max_memory_bytes, limits.max_processes)
            .map_err(LaunchError::scarce("a job object"))?;
        let mut process = start(plan)?;
        let (stdin, stdout, stderr) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take());
        if let Err(error) = job.take(&process).and_then(|()| calls::resume(process.id())) {
            // Never ran; that it cannot be ended either is nobody's to hear.
            let _ = process.kill();
            return Err(LaunchError::Scarce { what: "use of a job object", source: error });
        }
        // Should there be no thread, the job goes, and the process with it.
        let (exit, waiter) = ExitWatch::start(process).map_err(LaunchError::scarce("a thread"))?;
        let family = Family::new(exit.clone(), job, waiter);
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            unreachable!("all three are pipes");
        };
        Ok(Child { stdin, stdout, stderr, exit, family })
    }
}

fn start(plan: &SpawnPlan) -> Result<Process, LaunchError> {
    use std::process::Stdio;

    let mut command = Command::new(plan.cwd.join(&plan.program));
    command.args(&plan.args).env_clear().envs(plan.env.iter().cloned()).current_dir(&plan.cwd);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A console of its own, which has no window; see `interrupt`.
    let flags = CREATE_SUSPENDED | CREATE_NO_WINDOW;
    command.creation_flags(flags).spawn().map_err(|source| LaunchError::Failed {
        command: plan.command.clone(),
        program: plan.program.display().to_string(),
        source,
    })
}

/// Why a child could not be started.
#[derive(Debug)]
pub enum LaunchError {
    /// The runtime itself lacks something.
    Scarce {
        /// What could not be had.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program could not be started.
    Failed {
        /// The command as configured.
        command: String,
        /// The file that was found for it.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The endpoint has `cli.tty`.
    NoTerminal,
}

impl LaunchError {
    fn scarce(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Scarce { what, source }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scarce { what, source } => {
                write!(f, "the runtime cannot have {what}: {source}; end some sessions")
            }
            Self::Failed { command, program, source } => {
                write!(f, "cannot start {command:?} ({program:?}): {source}")
            }
            Self::NoTerminal => f.write_str("there are no terminals (cli.tty) on Windows"),
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Scarce { source, .. } | Self::Failed { source, .. } => Some(source),
            Self::NoTerminal => None,
        }
    }
}
