//! One agent in the hands of a test, which plays its session's worker and the
//! writer to the hub: real processes, no hub.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use amurg_runtime::agent::cli::{self, shared::SharedProcesses};
use amurg_runtime::agent::external::{ExternalAgent, SharedAdapters};
use amurg_runtime::agent::job::JobAgent;
use amurg_runtime::agent::process::launch::Launcher;
use amurg_runtime::agent::process::original::Original;
use amurg_runtime::agent::process::reaper::Reaper;
use amurg_runtime::agent::process::start::{HubVariables, Kit};
use amurg_runtime::agent::{Agent, AgentContext, AgentEvent, AgentEvents, TurnEnd, TurnMessage};
use amurg_runtime::config::{
    Cli, Endpoint, External, Job, Limits, Profile, Program, Security, SpawnPolicy,
    TurnEnd as HowTurnsEnd,
};
use amurg_runtime::files::{FileLimits, Files};
use amurg_runtime::hub::outbox::{Budget, Command, LaneShared, Outbox};
use amurg_runtime::protocol::outbound::Frame;
use amurg_runtime::receive::{Nap, Sleeper};
use amurg_runtime::session::admission::Permit;
use amurg_runtime::session::output::SessionOutput;
use amurg_runtime::wake::{self, WakeFd, Waker};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Receiver, Sender, unbounded};

mod session_thread;

/// Nothing in a test takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

static REAPER: LazyLock<Reaper> = LazyLock::new(|| {
    let reaper = Reaper::new();
    let thread = amurg_runtime::signals::start(reaper.clone(), |_| {}).expect("a signal thread");
    std::mem::forget(thread);
    reaper
});

/// What starts the test's children.
pub fn kit() -> Kit {
    Kit {
        launcher: Launcher {
            program: PathBuf::from(env!("CARGO_BIN_EXE_amurg-runtime")),
            original: Original::default(),
            groups: None,
            reaper: REAPER.clone(),
        },
        hub_variables: HubVariables::default(),
        confine: Arc::new(|_, _, _| Ok(())),
    }
}

/// What a program is asked to be.
pub fn program(command: &[&str]) -> Program {
    Program {
        command: command[0].into(),
        args: command[1..].iter().map(|&arg| arg.into()).collect(),
        work_dir: Some("/tmp".into()),
        env: BTreeMap::from([("PS1".into(), "$ ".into())]),
    }
}

/// A CLI endpoint as most have it.
pub fn cli(command: &[&str]) -> Cli {
    Cli {
        program: program(command),
        spawn_policy: SpawnPolicy::PerSession,
        turn_end: HowTurnsEnd::Auto,
        tty: false,
    }
}

/// An adapter of each session's own.
pub fn external(command: &[&str]) -> External {
    External { program: program(command), spawn_policy: SpawnPolicy::PerSession }
}

/// A store of uploads that goes when the test ends, as far as that is possible.
fn files() -> &'static Files {
    static FILES: LazyLock<Files> = LazyLock::new(|| {
        let root = std::env::temp_dir().join(format!("amurg-files-{}", std::process::id()));
        let limits = FileLimits {
            max_file_bytes: 1 << 20,
            max_stored_bytes: 1 << 30,
            retention: Duration::ZERO,
        };
        Files::open(&root, limits).expect("a store")
    });
    &FILES
}

/// A job endpoint.
pub fn job(command: &[&str]) -> Job {
    Job { program: program(command), max_runtime: Duration::from_secs(2) }
}

fn endpoint(profile: Profile) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        id: "test".into(),
        name: "test".into(),
        tags: BTreeMap::new(),
        limits: Limits::default(),
        security: Security::default(),
        profile,
    })
}

/// What the test saw, in the order in which it happened.
#[derive(Debug)]
pub enum Seen {
    /// A chunk of output.
    Output(String, String),
    /// A file: its name, its type, its content.
    File(String, String, Vec<u8>),
    /// The agent's word.
    Event(AgentEvent),
}

/// An agent and everything it said.
pub struct Scene {
    /// The agent.
    pub agent: Box<dyn Agent>,
    /// What it wrote into.
    pub output: Arc<SessionOutput>,
    commands: Receiver<Command>,
    events: Receiver<AgentEvent>,
    total: Arc<Budget>,
    // Held open, as the writer would.
    _writer: WakeFd,
    /// Who waits for room.
    waiting: Vec<Waker>,
    turn: u64,
    /// A hub that takes nothing: output is seen, but its room is not given back.
    stalled: bool,
    unconfirmed: Vec<(Arc<LaneShared>, usize)>,
}

/// What one turn said.
#[derive(Debug, Default)]
pub struct Turn {
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// All `system` lines.
    pub system: String,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The note of its end.
    pub note: Option<String>,
    /// From the message to its end.
    pub took: Duration,
}

impl Scene {
    /// A CLI agent.
    pub fn cli(cli: &Cli) -> Self {
        Self::shared_cli(cli, &SharedProcesses::default())
    }

    /// A CLI agent whose process others may share.
    pub fn shared_cli(cli: &Cli, shared: &SharedProcesses) -> Self {
        Self::open_cli(cli, shared, session_thread::lend)
    }

    /// A CLI agent that does nothing but in [`Scene::attend`].
    pub fn unattended_cli(cli: &Cli) -> Self {
        Self::open_cli(cli, &SharedProcesses::default(), |agent| agent)
    }

    fn open_cli(
        cli: &Cli,
        shared: &SharedProcesses,
        lend: impl FnOnce(Box<dyn Agent>) -> Box<dyn Agent>,
    ) -> Self {
        let opened = Self::try_open(Profile::Cli(cli.clone()), |context| {
            cli::open(context, cli, &kit(), shared).map(lend)
        });
        opened.expect("the agent starts")
    }

    /// An adapter.
    pub fn external(external: External) -> Self {
        Self::shared_external(external, &SharedAdapters::default())
    }

    /// An adapter that others may share.
    pub fn shared_external(external: External, shared: &SharedAdapters) -> Self {
        Self::try_external(external, shared).expect("the adapter starts")
    }

    /// An adapter, or why there is none.
    pub fn try_external(external: External, shared: &SharedAdapters) -> Result<Self, String> {
        Self::try_open(Profile::External(external), |mut context| {
            let uploads = files().session_begins("test", &context.session_id);
            files().make_session_dir("test", &context.session_id).expect("a directory");
            context.upload_dir = Some(uploads);
            ExternalAgent::open(context, &kit(), files(), shared).map(|agent| Box::new(agent) as _)
        })
    }

    /// A job agent.
    pub fn job(job: Job) -> Self {
        Self::try_job(job).expect("the job could be started")
    }

    /// A job agent, or why there is none.
    pub fn try_job(job: Job) -> Result<Self, String> {
        Self::try_open(Profile::Job(job), |context| {
            JobAgent::open(context, &kit()).map(|agent| Box::new(agent) as _)
        })
    }

    fn try_open(
        profile: Profile,
        open: impl FnOnce(AgentContext) -> Result<Box<dyn Agent>, String>,
    ) -> Result<Self, String> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (send, commands) = unbounded();
        let (waker, writer) = wake::pair().expect("a waker");
        let total = Arc::new(Budget::new(64 << 20));
        let outbox = Outbox::new(send.clone(), waker, Arc::clone(&total));
        let session_id: Arc<str> = format!("s{number}").into();
        let lane = outbox.lane(Arc::clone(&session_id), 1 << 20);
        let output = SessionOutput::new(Arc::clone(&session_id), lane);
        let (send_event, events) = unbounded();
        let context = AgentContext {
            session_id,
            number,
            user_id: "ann".into(),
            endpoint: endpoint(profile),
            output: Arc::clone(&output),
            events: events_in_order(send, send_event),
            upload_dir: None,
        };
        let mut agent = open(context)?;
        agent.ready();
        Ok(Self {
            agent,
            output,
            commands,
            events,
            total,
            _writer: writer,
            waiting: Vec::new(),
            turn: 0,
            stalled: false,
            unconfirmed: Vec::new(),
        })
    }

    /// Attends to the agent until something happens.
    pub fn attend(&mut self) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        let waker = self.agent.waker().expect("an agent without a thread");
        let attention = Sleeper::default().polls(waker);
        loop {
            if let Some(seen) = self.next_within(Duration::ZERO) {
                return seen;
            }
            assert!(Instant::now() < deadline, "nothing happens in time");
            self.agent.attend(Some(deadline), Nap::new(&attention, &|| true));
        }
    }

    /// Sends a message; returns its turn's number.
    pub fn send(&mut self, content: &str) -> u64 {
        self.turn += 1;
        self.agent.message(TurnMessage {
            turn: self.turn,
            message_id: format!("m{}", self.turn).into(),
            content: content.into(),
            permit: Permit::default(),
        });
        self.turn
    }

    /// A whole turn: the message, and everything up to its end.
    pub fn turn(&mut self, content: &str) -> Turn {
        let start = Instant::now();
        let number = self.send(content);
        self.rest_of_turn(number, start)
    }

    /// Everything up to the end of a turn.
    pub fn rest_of_turn(&mut self, number: u64, start: Instant) -> Turn {
        let mut turn = Turn::default();
        loop {
            match self.next() {
                Seen::Output(channel, content) => match channel.as_str() {
                    "stdout" => turn.stdout.push_str(&content),
                    "stderr" => turn.stderr.push_str(&content),
                    "system" => turn.system.push_str(&content),
                    other => panic!("a channel {other}"),
                },
                Seen::Event(AgentEvent::TurnEnded(TurnEnd {
                    turn: ended,
                    exit_code,
                    note,
                    ..
                })) => {
                    assert_eq!(ended, number, "{turn:?}");
                    return Turn { exit_code, note, took: start.elapsed(), ..turn };
                }
                other => panic!("{other:?} within {turn:?}"),
            }
        }
    }

    /// Waits until standard output holds `text`.
    pub fn until_output(&mut self, text: &str) -> String {
        let mut all = String::new();
        while !all.contains(text) {
            match self.next() {
                Seen::Output(channel, content) if channel == "stdout" => all.push_str(&content),
                Seen::Output(..) => {}
                other => panic!("{other:?} before {text:?}, after {all:?}"),
            }
        }
        all
    }

    /// Closes the agent and waits until it has closed; what it still said.
    pub fn close(&mut self) -> Vec<Seen> {
        self.agent.close();
        let mut said = Vec::new();
        loop {
            match self.next() {
                Seen::Event(AgentEvent::Closed) => return said,
                other => said.push(other),
            }
        }
    }

    /// The next thing that happens; output is confirmed as it is taken.
    pub fn next(&mut self) -> Seen {
        self.next_within(PATIENCE).expect("something happens in time")
    }

    /// The next thing that happens within `patience`.
    pub fn next_within(&mut self, patience: Duration) -> Option<Seen> {
        let deadline = Instant::now() + patience;
        loop {
            let command = self.commands.recv_deadline(deadline).ok()?;
            match command {
                Command::Send { lane, entry } => {
                    self.unconfirmed.push((lane, entry.frame.text.len()));
                    if !self.stalled {
                        self.confirm();
                    }
                    return Some(output_in(&entry.frame));
                }
                Command::NeedRoom { lane, waker } => {
                    if lane.budget.has_room() {
                        waker.wake();
                    } else {
                        self.waiting.push(waker);
                    }
                }
                Command::Answer(_) => {
                    return Some(Seen::Event(self.events.recv().expect("the event itself")));
                }
                Command::Release { .. } | Command::LimitChanged | Command::Link(_) => {}
            }
        }
    }

    /// The hub takes nothing from now on.
    pub fn hold(&mut self) {
        self.stalled = true;
    }

    /// The hub takes nothing from now on. Returns what still came on standard
    /// output until there was no more room, and the agent had to wait.
    pub fn stall(&mut self) -> String {
        self.hold();
        let mut said = String::new();
        while let Some(seen) = self.next_within(Duration::from_millis(300)) {
            match seen {
                Seen::Output(channel, content) if channel == "stdout" => said.push_str(&content),
                other => panic!("{other:?} while stalled"),
            }
        }
        said
    }

    /// The hub takes everything again.
    pub fn go_on(&mut self) {
        self.stalled = false;
        self.confirm();
    }

    fn confirm(&mut self) {
        for (lane, bytes) in self.unconfirmed.drain(..) {
            lane.budget.give(bytes);
            self.total.give(bytes);
        }
        self.waiting.drain(..).for_each(|waker| waker.wake());
    }
}

/// Events travel beside the output, so that their order is kept: a placeholder
/// goes through the output's own channel.
fn events_in_order(send: Sender<Command>, events: Sender<AgentEvent>) -> AgentEvents {
    AgentEvents::new(move |event| {
        let _ = events.send(event);
        let _ = send.send(Command::Answer(Frame { id: "event".into(), text: String::new() }));
    })
}

fn output_in(frame: &Frame) -> Seen {
    let envelope: serde_json::Value = serde_json::from_str(&frame.text).expect("JSON");
    let payload = &envelope["payload"];
    let text = |key: &str| payload[key].as_str().expect(key).to_owned();
    if envelope["type"] == "file.available" {
        let meta = |key: &str| payload["metadata"][key].as_str().expect(key).to_owned();
        let data = STANDARD.decode(text("data")).expect("base64");
        return Seen::File(meta("name"), meta("mime_type"), data);
    }
    Seen::Output(text("channel"), text("content"))
}

/// Living processes with this text in their command line.
pub fn processes_with(text: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc");
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
        })
        .collect()
}

/// Children of this process, also those that only wait to be reaped.
pub fn own_children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
