//! A running service and what is asked of it from outside: signals, the control
//! socket, the service manager. One loop on the main thread; it decides nothing about
//! sessions or the link.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select, unbounded};
use log::{LevelFilter, error, info, warn};

use super::manager;
use crate::agent::process::reaper::Reaper;
use crate::config::Options;
use crate::control::server::Server;
use crate::control::{self, Answer, Request};
use crate::logging::{self, Quoted};
use crate::runtime::Runtime;
use crate::signals::{self, Notice, SignalThread};

/// Longest wait of the control socket for the main loop.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the main thread listens to.
pub struct Service {
    signals: SignalThread,
    notices: Receiver<Notice>,
    links: (Sender<bool>, Receiver<bool>),
}

/// A question from the control socket and where its answer goes.
type Asked = Box<(Request, Sender<Box<Answer>>)>;

impl Service {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When a handler cannot be set, or a thread cannot be had.
    pub fn listen(reaper: Reaper) -> io::Result<Self> {
        let (notice, notices) = unbounded();
        let signals = signals::start(reaper, move |told| {
            let _ = notice.send(told);
        })?;
        Ok(Self { signals, notices, links: unbounded() })
    }

    /// Told whenever the connection is registered or lost.
    pub fn link_changes(&self) -> Box<dyn Fn(bool) + Send> {
        let links = self.links.0.clone();
        Box::new(move |connected| {
            let _ = links.send(connected);
        })
    }

    /// Serves until a signal, or a drain, ends it. `level` wins over the file's.
    pub fn serve(
        self,
        runtime: Runtime,
        named: Option<&Path>,
        level: Option<LevelFilter>,
        state_dir: &Path,
    ) {
        let (ask, asked) = unbounded();
        let _server = control_server(state_dir, ask);
        let mut desk =
            Desk { runtime, named, level, connected: false, waiting: Vec::new(), drained: never() };
        manager::ready(false);
        let pulse = manager::pulse();
        let mut next_pulse = pulse.map(|period| Instant::now() + period);
        loop {
            let patience = desk.next_deadline().map_or_else(never, at);
            let beat = next_pulse.map_or_else(never, at);
            select! {
                recv(self.notices) -> notice => match notice {
                    // How it went was logged.
                    Ok(Notice::Reload) => drop(desk.reload()),
                    Ok(Notice::Terminate) | Err(_) => break,
                },
                recv(self.links.1) -> connected => desk.link_changed(connected == Ok(true)),
                recv(asked) -> asked => {
                    if let Ok(asked) = asked {
                        let (request, answer) = *asked;
                        desk.attend(request, answer);
                    }
                }
                recv(desk.drained) -> _ => {
                    info!("drained");
                    break;
                }
                recv(patience) -> _ => desk.give_up_waiting(),
                recv(beat) -> _ => {
                    // Only while the threads answer; a slow disk or an absent hub is no illness.
                    if desk.runtime.is_healthy() {
                        manager::alive();
                    } else {
                        error!("a thread does not answer; the service manager will restart this process");
                    }
                    next_pulse = pulse.map(|period| Instant::now() + period);
                }
            }
        }
        info!("stopping");
        manager::stopping();
        desk.runtime.shutdown();
        self.signals.stop();
    }
}

fn control_server(state_dir: &Path, ask: Sender<Asked>) -> Option<Server> {
    let runtime_directory = std::env::var_os("RUNTIME_DIRECTORY");
    let path = control::socket_path(state_dir, runtime_directory.as_deref().map(Path::new));
    let handler = move |request: Request| {
        let wait = match &request {
            Request::WaitConnected { timeout_ms } => Duration::from_millis(*timeout_ms),
            _ => Duration::ZERO,
        };
        let (answer, answered) = bounded(1);
        let busy = || Answer::Refused {
            reason: "the runtime is busy or stopping; try again in a moment".into(),
        };
        if ask.send(Box::new((request, answer))).is_err() {
            return busy();
        }
        answered.recv_timeout(wait + PATIENCE).map_or_else(|_| busy(), |answer| *answer)
    };
    Server::start(&path, std::sync::Arc::new(handler))
        .inspect_err(|error| warn!("no control socket path={} error={error}", path.display()))
        .ok()
}

/// What a request needs to be answered.
struct Desk<'a> {
    runtime: Runtime,
    named: Option<&'a Path>,
    /// What the command line says, for this run.
    level: Option<LevelFilter>,
    connected: bool,
    /// Who waits for a connection, and until when.
    waiting: Vec<(Instant, Sender<Box<Answer>>)>,
    drained: Receiver<()>,
}

impl Desk<'_> {
    fn attend(&mut self, request: Request, answer: Sender<Box<Answer>>) {
        let done = |text: &str| Answer::Done { text: text.into() };
        let reply = match request {
            Request::Status => self.status(),
            Request::WaitConnected { .. } if self.connected => self.status(),
            Request::WaitConnected { timeout_ms } => {
                let deadline = Instant::now() + Duration::from_millis(timeout_ms);
                return self.waiting.push((deadline, answer));
            }
            Request::Reload => match self.reload() {
                Ok(text) => Answer::Done { text },
                Err(reason) => Answer::Refused { reason },
            },
            Request::Drain => {
                self.drained = self.runtime.drain();
                done("open turns are finished, then the runtime stops")
            }
            Request::LogLevel { level } => match level.parse() {
                Ok(level) => {
                    logging::set_level(level);
                    info!("log level changed level={level}");
                    done("changed, until the next reload or start")
                }
                Err(_) => Answer::Refused {
                    reason: "there is no such level; give error, warn, info, debug or trace".into(),
                },
            },
            Request::Close { session } => {
                if self.runtime.close_session(session) {
                    done("the session is being closed")
                } else {
                    Answer::Refused { reason: "there is no such session; status lists them".into() }
                }
            }
        };
        // Whoever asked may have gone.
        let _ = answer.send(reply.into());
    }

    fn status(&self) -> Answer {
        Answer::Status(Box::new(self.runtime.report()))
    }

    /// Reads configuration and token again; says how it went.
    fn reload(&mut self) -> Result<String, String> {
        manager::reloading();
        let outcome = match super::load_for_reload(self.named, Options::default()) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    warn!("{}", warning.in_one_line());
                }
                logging::set_level(self.level.unwrap_or(loaded.config.runtime.log_level));
                let endpoints = loaded.config.endpoints.len();
                let warnings = loaded.warnings.len();
                self.runtime.reload(loaded.config);
                Ok(format!("read again: {endpoints} agents, {warnings} warnings"))
            }
            Err(problems) => {
                error!("configuration not read again: nothing changes");
                for problem in problems.lines() {
                    error!("{}", Quoted(problem));
                }
                let first = problems.lines().next().unwrap_or_default();
                Err(format!("nothing changes: {first}; amurg-runtime check tells all of it"))
            }
        };
        manager::ready(self.connected);
        outcome
    }

    fn link_changed(&mut self, connected: bool) {
        self.connected = connected;
        manager::connection(connected);
        if connected {
            self.answer_waiting(|_| true);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|(deadline, _)| *deadline).min()
    }

    fn give_up_waiting(&mut self) {
        let now = Instant::now();
        self.answer_waiting(|deadline| deadline <= now);
    }

    fn answer_waiting(&mut self, who: impl Fn(Instant) -> bool) {
        let (over, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(deadline, _)| who(*deadline));
        self.waiting = waiting;
        let over: Vec<(Instant, Sender<Box<Answer>>)> = over;
        for (_, answer) in over {
            let _ = answer.send(self.status().into());
        }
    }
}
