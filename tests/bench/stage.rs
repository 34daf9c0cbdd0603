//! A running binary with its hub, as every scenario needs one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amurg_runtime::loopback::{Client, Keep, LoopbackHub, Options, ScratchDir};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Outcome;
use super::observer::{Observer, PATIENCE};
use super::procfs::{self, Cpu};
use super::subject::Subject;
use super::support::process::{self, RuntimeProcess};

/// The token of every stage.
pub const TOKEN: &str = "bench-token";

/// A runtime, its hub and its user.
pub struct Stage<'a> {
    subject: &'a Subject,
    // In the order in which they end.
    runtime: RuntimeProcess,
    pub observer: Arc<Observer>,
    pub client: Client,
    _hub: LoopbackHub,
    config: PathBuf,
    log: PathBuf,
    /// When it was started.
    pub started: Instant,
    _dir: ScratchDir,
}

/// A hub that remembers nothing, and what watches it.
pub fn hub(subject: &Subject) -> Outcome<(LoopbackHub, Arc<Observer>)> {
    let mut options = Options::new(subject.dialect, TOKEN);
    options.keep = Keep::Nothing;
    let hub = LoopbackHub::start(options)?;
    let observer = Arc::<Observer>::default();
    hub.set_script(Some(observer.script()));
    Ok((hub, observer))
}

/// Writes a configuration into `dir`.
pub fn configure(dir: &Path, url: &str, id: &str, endpoints: &[Value]) -> Outcome<PathBuf> {
    let config = json!({
        "hub": { "url": url, "token": TOKEN },
        "runtime": {
            "id": id,
            "max_sessions": 100_000,
            "state_dir": dir.join("state"),
            "file_storage_path": dir.join("files"),
        },
        "endpoints": endpoints,
    });
    let path = dir.join("config.json");
    std::fs::write(&path, config.to_string())?;
    // One that others may read is worth a warning to some.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(path)
}

/// Starts a binary; its log goes to a file, as a service's does.
pub fn launch(subject: &Subject, config: &Path, log: &Path) -> Outcome<RuntimeProcess> {
    let mut command = subject.command(config);
    command.current_dir(config.parent().unwrap_or(Path::new("/"))).stderr(File::create(log)?);
    Ok(RuntimeProcess::start(command))
}

/// An agent that answers with what it is told.
pub fn cat() -> Value {
    json!({ "id": "cat", "profile": "generic-cli", "cli": { "command": "cat" } })
}

/// This binary as an agent of a profile.
pub fn flood(id: &str, profile: &str, pattern: &str) -> Outcome<Value> {
    let program = json!({ "command": std::env::current_exe()?, "args": ["--agent", pattern] });
    let block = profile.trim_start_matches("generic-");
    Ok(json!({ "id": id, "profile": profile, block: program }))
}

impl<'a> Stage<'a> {
    /// Starts it all and waits for the hello.
    pub fn start(subject: &'a Subject, endpoints: &[Value]) -> Outcome<Self> {
        let (hub, observer) = hub(subject)?;
        let dir = ScratchDir::new("amurg-bench")?;
        let config = configure(dir.path(), &hub.url(), "bench", endpoints)?;
        let log = dir.path().join("log");
        let started = Instant::now();
        let runtime = launch(subject, &config, &log)?;
        let client = hub.client();
        let stage =
            Self { subject, runtime, observer, client, _hub: hub, config, log, started, _dir: dir };
        if let Err(error) = stage.registered() {
            return Err(format!("{error}\n{}", stage.log()).into());
        }
        Ok(stage)
    }

    fn registered(&self) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        if self.client.wait_registered(deadline).is_err() {
            return Err("the runtime did not register".into());
        }
        Ok(())
    }

    /// The end of its log.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub fn pid(&self) -> i32 {
        self.runtime.pid()
    }

    pub fn cpu(&self) -> Cpu {
        Cpu::of(self.pid())
    }

    /// Proportional share of memory, in bytes.
    pub fn memory(&self) -> Outcome<f64> {
        let bytes = procfs::pss(self.pid()).or_else(|| self.subject.own_memory(&self.config));
        Ok(bytes.ok_or("no memory figures: not even its own")? as f64)
    }

    /// Makes sessions, at most 32 at a time in the making, and waits for them.
    pub fn sessions(&self, endpoint: &str, count: u32) -> Outcome<Vec<String>> {
        const AT_A_TIME: usize = 32;
        let mut sessions: Vec<String> = Vec::new();
        let before = self.observer.seen().created.len();
        for _ in 0..count {
            sessions.push(self.client.create_session(endpoint, "ann"));
            let wanted = (before + sessions.len()).saturating_sub(AT_A_TIME);
            self.created(wanted)?;
        }
        self.created(before + sessions.len())?;
        Ok(sessions)
    }

    fn created(&self, wanted: usize) -> Outcome<()> {
        self.observer.wait("sessions", |seen| (seen.created.len() >= wanted).then_some(()))
    }

    /// Says a line in every session and waits for output of each.
    pub fn echo(&self, sessions: &[String]) -> Outcome<()> {
        let before = self.observer.seen().outputs.clone();
        for session in sessions {
            self.client.send_message(session, "hello");
        }
        let mut waiting: Vec<(&String, u64)> = sessions
            .iter()
            .map(|session| (session, before.get(session).copied().unwrap_or(0)))
            .collect();
        self.observer.wait("answers", |seen| {
            waiting.retain(|(session, before)| {
                seen.outputs.get(*session).is_none_or(|now| now <= before)
            });
            waiting.is_empty().then_some(())
        })
    }

    /// Says a line and waits for the end of its turn. False when that takes
    /// longer than `limit`.
    pub fn turn(&self, session: &str, limit: Duration) -> Outcome<bool> {
        let asked = Instant::now();
        let message = self.client.send_message(session, "hello");
        self.observer
            .wait("the end of a turn", |seen| seen.completed.contains(&message).then_some(()))?;
        Ok(asked.elapsed() <= limit)
    }

    /// Closes sessions and waits until the processes that live now are gone.
    pub fn close(&self, sessions: &[String]) -> Outcome<()> {
        let children = process::descendants(self.pid());
        for session in sessions {
            self.client.close_session(session, "measured");
        }
        let deadline = Instant::now() + PATIENCE;
        for child in children {
            if !process::wait_gone(child.pid, deadline) {
                return Err(format!("{} outlives its session", child.command).into());
            }
        }
        Ok(())
    }

    /// SIGTERM; how long it took to end.
    pub fn shut_down(mut self) -> Outcome<Duration> {
        let asked = Instant::now();
        self.runtime.signal(Signal::TERM);
        match self.runtime.wait(asked + PATIENCE) {
            Some(_) => Ok(asked.elapsed()),
            None => Err("it did not end".into()),
        }
    }
}

/// The measured interval in which nothing happens.
pub fn idle(interval: Duration) {
    std::thread::sleep(interval);
}
