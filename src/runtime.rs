//! Puts the boxes together: from a decided configuration to a running gateway,
//! and back to nothing.
//!
//! ```text
//! hub ──► dispatcher ───────────────────► session worker ◄──► agent (pipes / HTTP)
//! hub ◄── link writer ◄── outbox ◄────── session worker
//!                           watchdog ───► session worker      (deadlines)
//! ```
//!
//! It owns every fixed thread and ends them in order; what they say to each
//! other is their own business.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::{error, info, warn};

use crate::agent::process::end;
use crate::agent::process::launch::Launcher;
use crate::agent::process::reaper::Reaper;
use crate::agent::workshop::Workshop;
use crate::config::{self, Config};
use crate::control::report::{self, Report};
use crate::files::{FileLimits, Files, Keeper};
use crate::hub::outbox::{EntryKind, Outbox};
use crate::hub::{Hub, HubSettings, LinkState, LinkStatus, NoStore, TokenStore};
use crate::ids;
use crate::sandbox::support::{self, Means, Support};
use crate::session::dispatcher;
use crate::session::dispatcher::mailbox::{Happening, Mailbox};
use crate::session::notices;
use crate::session::output::SessionOutput;
use crate::session::registry::Remembered;
use crate::session::requests::{Request, SessionStatus};
use crate::session::seen::History;
use crate::session::worker;
use crate::state::token::Binding;
use crate::state::{Recovery, RememberedSession, Run, State, StateError, Undelivered};
use crate::threads;
use crate::wake;
use crate::watchdog::Watchdog;

// A shutdown takes eight seconds at most, because what sends TERM kills after ten.
/// What of them the sessions may take to close: a stubborn agent has five seconds.
const SESSIONS: Duration = Duration::from_millis(6500);
/// Until then from its beginning what is pending may be delivered.
const DELIVERY: Duration = Duration::from_millis(7250);
/// What delivery gets at least, and what writing down the rest may take at most.
const LAST_STEP: Duration = Duration::from_millis(500);
/// How long leftovers of a killed run may take to end at the start.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// How a runtime is started.
pub struct Options {
    /// Starts children, and knows who reaps them.
    pub launcher: Launcher,
    /// Whether the state directory is used; otherwise nothing outlives the process (`try`).
    pub persistent: bool,
    /// Told whenever the connection is registered or lost. Must not block.
    pub link_changed: Box<dyn Fn(bool) + Send>,
}

/// Why a runtime cannot start.
#[derive(Debug)]
pub enum StartError {
    /// The state directory: another process holds it, or threads are short.
    State(StateError),
    /// Uploads cannot be stored.
    Files {
        /// `runtime.file_storage_path`
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or descriptor could not be had.
    Resources(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(error) => error.fmt(f),
            Self::Files { path, source } => write!(
                f,
                "runtime.file_storage_path {}: {source}; make it writable for this user or choose another",
                path.display()
            ),
            Self::Resources(error) => {
                write!(f, "threads or descriptors are short: {error}; raise this user's limits")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Resources(error)
    }
}

/// A running gateway.
pub struct Runtime {
    config: Config,
    started: Instant,
    hub: Hub,
    state: State,
    reaper: Reaper,
    workshop: Workshop,
    files: Files,
    means: Means,
    _keeper: Keeper,
    watchdog: Watchdog,
    mailbox: Arc<Mailbox>,
    dispatcher: JoinHandle<()>,
}

impl Runtime {
    /// Starts every fixed thread and dials the hub; returns without waiting for it.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(config: Config, options: Options) -> Result<Self, StartError> {
        let Options { launcher, persistent, link_changed } = options;
        let reaper = launcher.reaper.clone();
        let (state, recovery) = open_state(&config, persistent)?;
        end_leftovers(&recovery, &launcher, &state);
        let files = open_files(&config.runtime)?;
        let bell = wake::pair()?;
        let mailbox = Arc::new(Mailbox::default());
        let ear = {
            let mailbox = Arc::clone(&mailbox);
            Arc::new(move |event| mailbox.tell(Happening::Hub(event)))
        };
        let settings = hub_settings(&config, &state);
        let hub = crate::hub::start(settings, ear, config.runtime.max_buffered_bytes)?;
        let outbox = hub.outbox();
        close_what_was_open(&recovery, &outbox, &state, &config);

        // The first dial is under way while the rest is made.
        let keeper = Keeper::start(files.clone())?;
        let watchdog = Watchdog::start()?;
        let means = Means::with_groups(launcher.bounds());
        support::announce(&config.endpoints, Support::here(), means);
        let workshop = Workshop::new(launcher, &config.hub_variables, files.clone());

        let args = dispatcher::Args {
            mailbox: Arc::clone(&mailbox),
            bell,
            outbox,
            watchdog: watchdog.handle(),
            shared: worker::Shared {
                journal: state.journal(),
                files: files.clone(),
                agents: workshop.clone(),
            },
            remembered: remembered(recovery),
            token_refreshed: Box::new(hub.token_sink()),
            link_changed,
            config: config.clone(),
        };
        let dispatcher = threads::spawn_large("dispatcher", move || dispatcher::run(args))?;
        Ok(Self {
            config,
            started: Instant::now(),
            hub,
            state,
            reaper,
            workshop,
            files,
            means,
            _keeper: keeper,
            watchdog,
            mailbox,
            dispatcher,
        })
    }

    /// Takes a new configuration without ending sessions or the connection,
    /// where that is possible.
    pub fn reload(&mut self, mut config: Config) {
        self.keep_what_holds_for_a_run(&mut config.runtime);
        self.workshop.hide(&config.hub_variables);
        self.files.set_limits(file_limits(&config.runtime));
        self.hub.outbox().set_total_limit(config.runtime.max_buffered_bytes);
        self.hub.update(hub_settings(&config, &self.state));
        self.ask(Request::Reload(Box::new(config.clone())));
        support::announce(&config.endpoints, Support::here(), self.means);
        self.config = config;
        info!("configuration read again endpoints={}", self.config.endpoints.len());
    }

    /// Lock, socket, journal and uploads lie where they lay at the start.
    fn keep_what_holds_for_a_run(&self, new: &mut config::Runtime) {
        let old = &self.config.runtime;
        for (field, changed) in [
            ("id", new.id != old.id),
            ("state_dir", new.state_dir != old.state_dir),
            ("file_storage_path", new.file_storage_path != old.file_storage_path),
        ] {
            if changed {
                warn!("runtime.{field} stays as it was until the next start");
            }
        }
        new.id.clone_from(&old.id);
        new.state_dir.clone_from(&old.state_dir);
        new.file_storage_path.clone_from(&old.file_storage_path);
    }

    /// Ends one session. False when there is none of that id.
    pub fn close_session(&self, session_id: String) -> bool {
        let (done, answer) = bounded(1);
        self.ask(Request::CloseSession { session_id, done });
        answer.recv_timeout(Duration::from_secs(1)).unwrap_or(false)
    }

    /// Takes no new work; the receiver hears when no turn is open.
    pub fn drain(&self) -> Receiver<()> {
        let (done, drained) = bounded(1);
        self.ask(Request::Drain { done });
        drained
    }

    /// Whether dispatcher and watchdog answer within two seconds.
    pub fn is_healthy(&self) -> bool {
        let (reply, sessions) = bounded(1);
        self.ask(Request::Sessions { reply });
        let deadline = Instant::now() + Duration::from_secs(2);
        sessions.recv_deadline(deadline).is_ok() && self.watchdog.handle().ping(deadline)
    }

    /// What `status` shows.
    pub fn report(&self) -> Report {
        let (reply, sessions) = bounded(1);
        self.ask(Request::Sessions { reply });
        let sessions = sessions.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let link = self.hub.status();
        let now = Instant::now();
        Report {
            version: env!("CARGO_PKG_VERSION").into(),
            runtime_id: self.config.runtime.id.clone(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            sessions: sessions.live.iter().map(|session| shown(session, now)).collect(),
            process: report::Process::current(),
            connection: connection(&link, &self.config.hub.url.text),
            buffered_bytes: link.buffered as u64,
            unconfirmed_bytes: link.unconfirmed_bytes as u64,
            counters: report::Counters {
                messages_in: link.messages_in,
                bytes_in: link.bytes_in,
                messages_out: link.messages_out,
                bytes_out: link.bytes_out,
                reconnects: link.reconnects,
                turns: sessions.totals.turns,
                refused: sessions.totals.refused,
                dropped_bytes: sessions.totals.dropped_bytes,
                log_lines_dropped: crate::logging::dropped_lines(),
                deadlines: self
                    .watchdog
                    .handle()
                    .passed()
                    .map(|(reason, count)| (reason.name().into(), count.into()))
                    .collect(),
            },
        }
    }

    fn ask(&self, request: Request) {
        self.mailbox.tell(Happening::Asked(request));
    }

    /// Closes every session, delivers what is pending, closes the socket: all
    /// within eight seconds, and at once when agents end on TERM and nothing is pending.
    pub fn shutdown(self) {
        let begun = Instant::now();
        let (done, all_closed) = bounded(1);
        self.ask(Request::Shutdown { done });
        self.workshop.close();
        if all_closed.recv_deadline(begun + SESSIONS).is_err() {
            error!("some sessions did not end in time");
        }
        if !self.workshop.ended(begun + SESSIONS) {
            error!("some shared agents did not end in time");
        }
        // What shed every mark of its session is still beneath this process.
        let swept = end::sweep_descendants(&self.reaper, Instant::now());
        if swept.left > 0 {
            warn!("processes left behind count={}", swept.left);
        }
        // The dispatcher goes on reading until the connection is closed.
        self.ask(Request::PassOver);
        let undelivered = self.hub.shutdown((begun + DELIVERY).max(Instant::now() + LAST_STEP));
        let (left, leaving) = bounded::<Infallible>(0);
        self.mailbox.tell(Happening::Asked(Request::Leave { left }));
        // Nothing ever comes: it ends with the dispatcher.
        if leaving.recv_deadline(Instant::now() + LAST_STEP) == Err(RecvTimeoutError::Timeout) {
            error!("the dispatcher did not end in time");
        } else if self.dispatcher.join().is_err() {
            error!("the dispatcher panicked");
        }
        let journal = self.state.journal();
        if undelivered.entries > 0 {
            warn!(
                "messages not delivered count={} sessions={}",
                undelivered.entries, undelivered.sessions
            );
            let (entries, sessions) = (undelivered.entries, undelivered.sessions);
            journal.undelivered(Undelivered { entries, sessions });
        }
        journal.run_over(ids::process_nonce());
        self.state.shutdown(Instant::now() + LAST_STEP);
        info!("stopped after_ms={}", begun.elapsed().as_millis());
    }
}

fn open_state(config: &Config, persistent: bool) -> Result<(State, Recovery), StartError> {
    if !persistent {
        let state = State::in_memory().map_err(StartError::State)?;
        return Ok((state, Recovery::default()));
    }
    let run = Run { nonce: ids::process_nonce().into(), pid: std::process::id() };
    State::open(&config.runtime.state_dir, run).map_err(StartError::State)
}

fn open_files(runtime: &config::Runtime) -> Result<Files, StartError> {
    let path = &runtime.file_storage_path;
    Files::open(path, file_limits(runtime))
        .map_err(|source| StartError::Files { path: path.clone(), source })
}

fn file_limits(runtime: &config::Runtime) -> FileLimits {
    FileLimits {
        max_file_bytes: runtime.max_file_bytes,
        max_stored_bytes: runtime.max_stored_bytes,
        retention: runtime.file_retention,
    }
}

fn hub_settings(config: &Config, state: &State) -> HubSettings {
    let tokens: Arc<dyn TokenStore> = match &config.hub.token {
        Some(token) => {
            let binding = Binding::new(&config.hub.url.text, &config.runtime.id, token);
            Arc::new(state.token_store(binding))
        }
        None => Arc::new(NoStore),
    };
    HubSettings::new(config, tokens)
}

/// A run that was killed leaves its agents' processes behind; they belong to
/// nobody now.
fn end_leftovers(recovery: &Recovery, launcher: &Launcher, state: &State) {
    for run in &recovery.runs {
        let kill_at = Instant::now() + LEFTOVERS;
        let ended = launcher.sweep_leftovers(&run.nonce, kill_at);
        if ended.left > 0 {
            warn!("processes of an earlier run are left pid={} count={}", run.pid, ended.left);
        } else {
            state.journal().run_over(&run.nonce);
        }
    }
}

/// Says the end of every turn that was open, and of every message that waited,
/// when an earlier run was killed.
fn close_what_was_open(recovery: &Recovery, outbox: &Outbox, state: &State, config: &Config) {
    let output = |session_id: &str| {
        let session_id: Arc<str> = session_id.into();
        let lane = outbox.lane(Arc::clone(&session_id), config.runtime.max_output_bytes);
        SessionOutput::new(session_id, lane)
    };
    let confirmed = |session_id: &str, message_id: &str| {
        let journal = state.journal();
        let (session_id, message_id) = (session_id.to_owned(), message_id.to_owned());
        move || journal.turn_confirmed(&session_id, &message_id)
    };
    for turn in &recovery.ended_turns {
        let output = output(&turn.session_id);
        if let Some(note) = &turn.note {
            output.send_again(note.clone(), EntryKind::Output);
        }
        output
            .turn_completed(turn.completed.clone(), confirmed(&turn.session_id, &turn.message_id));
        output.release();
    }
    let mut ends = Vec::new();
    for turn in &recovery.open_turns {
        let output = output(&turn.session_id);
        output.system(&notices::interrupted_by_restart());
        let frame = output.prepare_turn_completed(&turn.message_id, None);
        state.journal().turn_ended(&turn.session_id, &turn.message_id, None, &frame, || {});
        ends.push((turn, output, frame));
    }
    // One wait for all of them: nothing is said that a kill right behind it would unsay.
    if !ends.is_empty() {
        state.journal().flush();
    }
    for (turn, output, frame) in ends {
        output.turn_completed(frame, confirmed(&turn.session_id, &turn.message_id));
        output.release();
    }
    for message in &recovery.queued {
        let output = output(&message.session_id);
        output.refuse_message(&message.message_id, &notices::queued_at_restart());
        output.release();
        state.journal().unqueued(&message.session_id, &message.message_id);
    }
    let closed = recovery.open_turns.len();
    if closed > 0 {
        info!("turns of an earlier run closed count={closed}");
    }
    if let Some(undelivered) = &recovery.undelivered {
        warn!(
            "messages of the last run were not delivered count={} sessions={}",
            undelivered.entries, undelivered.sessions
        );
    }
}

/// The sessions of earlier runs, with the messages they took.
fn remembered(recovery: Recovery) -> Vec<(String, Remembered, History)> {
    let mut recent: HashMap<String, Vec<String>> = recovery.recent.into_iter().collect();
    let known = |session: RememberedSession| {
        let messages = recent.remove(&session.session_id).unwrap_or_default();
        let identity =
            Remembered { endpoint_id: session.endpoint_id.into(), user_id: session.user_id.into() };
        let seen = History::of(messages.iter().map(String::as_str));
        (session.session_id, identity, seen)
    };
    recovery.sessions.into_iter().map(known).collect()
}

fn shown(session: &SessionStatus, now: Instant) -> report::Session {
    let age = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
    report::Session {
        id: session.session_id.to_string(),
        endpoint: session.endpoint_id.to_string(),
        busy: session.busy,
        turns: session.turns,
        age_seconds: age(session.started),
        turn_seconds: session.turn_since.map(age),
        quiet_seconds: age(session.last_active),
        buffered_bytes: session.buffered_bytes as u64,
    }
}

fn connection(link: &LinkStatus, hub: &str) -> report::Connection {
    let state = match link.state {
        LinkState::Connecting => "connecting",
        LinkState::Connected => "connected",
        LinkState::Waiting => "waiting",
        LinkState::Refused => "refused",
        LinkState::Stopped => "stopped",
    };
    report::Connection {
        connected: link.state == LinkState::Connected,
        state: state.into(),
        hub: hub.into(),
        since_seconds: link.since.as_secs_f64(),
        last_pong_seconds: link.last_pong.map(|age| age.as_secs_f64()),
        last_error: link.last_error.clone(),
    }
}
