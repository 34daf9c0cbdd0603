//! A story from outside: the real binary with a configuration of its own,
//! against a loopback hub, and a user who writes to its agents.
//!
//! Every wait has a deadline, and where one passes or an assertion fails, the
//! whole scene is printed: configuration, what the hub saw, the log, the
//! process tree.
//!
//! ```ignore
//! let scene = Scene::new("a_shell_keeps_its_state").agent(cli("sh", "bash", &[])).start();
//! let session = scene.session("sh");
//! session.say("x=6").ended(None);
//! assert_eq!(session.say("echo $((x*7))").output(), "42\n");
//! ```

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amurg_runtime::ids;
use amurg_runtime::loopback::{Client, Direction, Frame, LoopbackHub, ScratchDir};
use rustix::process::Signal;
use serde_json::Value;

use super::fault_proxy::FaultProxy;
use super::process::{self, Log, Process, RuntimeProcess, Usage};
use super::session::Session;
pub use super::setup::{Setup, TOKEN, cli, external, http, job};
use super::soon;

/// Names the scene in the environment of the runtime, and so of its children.
const MARK: &str = "AMURG_TEST_SCENE";

/// Whether a message is the hub's acceptance of a hello.
fn is_welcome(frame: &Frame) -> bool {
    frame.direction == Direction::ToRuntime
        && frame.kind() == "hello.ack"
        && frame.field("ok") == &Value::Bool(true)
}

/// A running scene. Dropping it ends the runtime, then the hub.
pub struct Scene {
    name: String,
    config: PathBuf,
    mark: String,
    variables: Vec<(String, String)>,
    log: Arc<Log>,
    /// Before the hub: the runtime is ended first.
    runtime: Mutex<Option<RuntimeProcess>>,
    sessions: Mutex<BTreeSet<String>>,
    /// Registrations before the last launch.
    registered_before: AtomicUsize,
    printed: Cell<bool>,
    pub client: Client,
    proxy: Option<FaultProxy>,
    pub hub: LoopbackHub,
    pub dir: ScratchDir,
}

fn binary() -> PathBuf {
    let other = std::env::var_os("AMURG_TEST_BINARY");
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_amurg-runtime").into()).into()
}

/// Whether the runtime is built for another processor, so that an emulator runs it.
/// What it reads of its agents in `/proc` is the machine's own then: it cannot tell
/// that one waits for input, and an emulated kernel may have no pseudo-terminals.
pub fn is_emulated() -> bool {
    let machines = [binary(), "/proc/self/exe".into()].map(|path| machine(&path));
    let emulated = matches!(machines, [Some(its), Some(own)] if its != own);
    if emulated {
        println!("skipped: under an emulator, which does not show what an agent waits for");
    }
    emulated
}

/// `e_machine` of elf(5); `None`: it is a script.
fn machine(binary: &Path) -> Option<[u8; 2]> {
    let mut head = [0; 20];
    std::fs::File::open(binary).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    head.starts_with(b"\x7fELF").then_some([head[18], head[19]])
}

impl Scene {
    /// Begins a scene; its name is the claim it proves.
    #[expect(clippy::new_ret_no_self, reason = "a scene begins with its setup")]
    pub fn new(name: &str) -> Setup {
        Setup::new(name)
    }

    /// A scene where nothing runs but the hub.
    pub(super) fn at(
        dir: ScratchDir,
        name: &str,
        variables: Vec<(String, String)>,
        hub: LoopbackHub,
        proxy: Option<FaultProxy>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            config: dir.path().join("config.json"),
            mark: ids::next_id(),
            variables,
            log: Arc::default(),
            runtime: Mutex::default(),
            sessions: Mutex::default(),
            registered_before: AtomicUsize::new(0),
            printed: Cell::new(false),
            client: hub.client(),
            proxy,
            hub,
            dir,
        }
    }

    /// The proxy; only in a scene that was set up with one.
    pub fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("a scene with a proxy")
    }

    /// Writes another configuration, for the next start or SIGHUP.
    pub fn configure(&self, config: &Value) {
        std::fs::write(&self.config, format!("{config:#}\n")).expect("it is written");
        // A token that everybody may read is worth a warning.
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&self.config, private).expect("it is private");
    }

    /// The configuration as it stands on disk.
    pub fn configuration(&self) -> Value {
        let text = std::fs::read_to_string(&self.config).expect("the configuration");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Starts the runtime, which must not be running. `AMURG_TEST_BINARY` names
    /// another build of it, for instance a static one.
    pub fn launch(&self) {
        let mut command = Command::new(binary());
        command.arg("-config").arg(&self.config).current_dir(self.dir.path());
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        command.env(MARK, &self.mark);
        self.registered_before.store(self.registrations(), Ordering::Relaxed);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        *self.runtime() = Some(RuntimeProcess::spawn(command, &self.log));
    }

    fn runtime(&self) -> MutexGuard<'_, Option<RuntimeProcess>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime's process id.
    pub fn pid(&self) -> i32 {
        self.runtime().as_ref().expect("a running runtime").pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.runtime().as_ref().expect("a running runtime").signal(signal);
    }

    /// Waits for the runtime's end.
    pub fn exited(&self) -> ExitStatus {
        let status = self.runtime().as_mut().expect("a runtime").wait(soon());
        *self.runtime() = None;
        status.unwrap_or_else(|| self.fail("the runtime's end"))
    }

    /// SIGTERM, and its end.
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited()
    }

    /// SIGKILL, and its end.
    pub fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.exited()
    }

    /// Waits until the hub has registered the runtime that was launched last.
    pub fn registered(&self) {
        self.registered_again(self.registered_before.load(Ordering::Relaxed));
    }

    /// How often a runtime of this scene was registered so far.
    pub fn registrations(&self) -> usize {
        self.hub.frames().iter().filter(|frame| is_welcome(frame)).count()
    }

    /// Waits until it was registered more often than `before`.
    pub fn registered_again(&self, before: usize) {
        let mut seen = 0;
        let again = self.client.wait_for(soon(), |frame| {
            seen += usize::from(is_welcome(frame));
            (seen > before).then_some(())
        });
        if again.is_err() {
            self.fail("the runtime's registration");
        }
    }

    /// Waits for a line of the log that holds `text`.
    pub fn logged(&self, text: &str) -> String {
        self.logged_after(0, text)
    }

    /// The same, behind the first `count` lines.
    pub fn logged_after(&self, count: usize, text: &str) -> String {
        let line = self.log.wait_for(text, count, soon());
        line.unwrap_or_else(|| self.fail(&format!("a line of the log with {text:?}")))
    }

    /// Every line of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// A session of the user `ann` on an endpoint, made and confirmed.
    pub fn session(&self, endpoint: &str) -> Session<'_> {
        let session = self.try_session(endpoint);
        session
            .unwrap_or_else(|error| self.fail(&format!("a session, but it was refused: {error}")))
    }

    /// The same, or the error with which it was refused.
    pub fn try_session(&self, endpoint: &str) -> Result<Session<'_>, String> {
        let session = self.adopt(&self.client.create_session(endpoint, "ann"));
        session.created().map(|()| session)
    }

    /// A session that exists under this id; the scene only remembers it.
    pub fn adopt(&self, id: &str) -> Session<'_> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        Session { scene: self, id: id.to_owned() }
    }

    /// Waits until every turn that was started is completed, with the same
    /// `in_response_to`, and none twice under another envelope id.
    pub fn every_turn_ended(&self) {
        let turns = |kind: &str| -> Vec<(String, String)> {
            let frames = self.hub.frames();
            let mut turns: Vec<_> = frames
                .iter()
                .filter(|frame| frame.is(kind))
                .map(|frame| {
                    let id = frame.value()["id"].as_str().unwrap_or_default();
                    (frame.text_of("in_response_to").to_owned(), id.to_owned())
                })
                .collect();
            turns.sort();
            turns.dedup();
            turns
        };
        for (turn, _) in turns("turn.started") {
            let ended = |frame: &Arc<Frame>| {
                (frame.is("turn.completed") && frame.text_of("in_response_to") == turn)
                    .then_some(())
            };
            if self.client.wait_for(soon(), ended).is_err() {
                self.fail(&format!("the end of the turn {turn}"));
            }
        }
        let mut ended: Vec<_> = turns("turn.completed").into_iter().map(|(turn, _)| turn).collect();
        let all = ended.len();
        ended.dedup();
        assert_eq!(ended.len(), all, "a turn was completed twice");
    }

    /// What the runtime has used so far, and holds.
    pub fn usage(&self) -> Usage {
        process::usage(self.pid())
    }

    /// What is left of this scene's processes, the runtime itself excepted:
    /// what descends from it, and what carries its mark or one of its sessions'
    /// ids. Zombies included: those descend from it, or are nobody's any more.
    pub fn processes(&self) -> Vec<Process> {
        let runtime = self.runtime().as_ref().map(RuntimeProcess::pid);
        let below = runtime.map(process::descendants).unwrap_or_default();
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let marked = |pid: i32| {
            process::has_variable(pid, MARK, &self.mark)
                || sessions.iter().any(|id| process::has_variable(pid, "AMURG_SESSION_ID", id))
        };
        let mut all = process::processes();
        all.retain(|one| Some(one.pid) != runtime && (below.contains(one) || marked(one.pid)));
        all
    }

    /// Waits until none of them runs any more. Whether the zombies among them
    /// are reaped is another question, which nothing can be waited on for.
    pub fn no_process_left(&self) {
        let deadline = soon();
        loop {
            let mut left = self.processes();
            left.retain(|process| process.state != 'Z');
            let Some(first) = left.first() else { return };
            if !process::wait_gone(first.pid, deadline) {
                self.fail(&format!("the end of every process; left are {left:?}"));
            }
        }
    }

    /// Ends the test: what was waited for did not come. Prints the scene.
    pub fn fail(&self, what: &str) -> ! {
        self.print();
        panic!("{}: waited in vain for {what}", self.name);
    }

    fn print(&self) {
        if self.printed.replace(true) {
            return;
        }
        eprintln!("=== {}: configuration", self.name);
        eprintln!("{}", std::fs::read_to_string(&self.config).unwrap_or_default());
        eprintln!("=== {}: what the hub saw\n{}", self.name, self.hub.transcript());
        eprintln!("=== {}: log", self.name);
        for line in self.log() {
            eprintln!("  {line}");
        }
        eprintln!("=== {}: processes", self.name);
        let runtime = self.runtime().as_ref().map(RuntimeProcess::pid);
        eprint!("{}", runtime.map(process::tree).unwrap_or_default());
        for process in self.processes() {
            eprintln!("  {process:?}");
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print();
        }
    }
}
