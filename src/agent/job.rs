//! `generic-job`: a process for each message.
//!
//! The content is its standard input, exactly, then the end of input. The turn
//! ends when it has exited and its output is read to the end. Between messages
//! there is no process and no thread; daemons that runs leave behind end with
//! the session.
//!
//! A run finds `AMURG_MESSAGE_ID` in its environment, and in `AMURG_FILES` the
//! paths of what was uploaded since the last run, one on each line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::bounded;
use log::warn;

use super::process::child::{self, Child, Rest};
use super::process::end::{self, GRACE};
use super::process::family::Family;
use super::process::inbox::{self, Handle, Inbox};
use super::process::mark::Mark;
use super::process::piece::Piece;
use super::process::plan::{Owner, SpawnPlan, Stdio};
use super::process::pump::{self, Duty};
use super::process::start::{Kit, StartError, Wanted};
use super::process::stream::Stream;
use super::{
    Agent, AgentContext, AgentEvent, AgentEvents, FileUse, StoredFile, TurnEnd, TurnMessage,
};
use crate::config::{self, Endpoint, Profile};
use crate::logging::Quoted;
use crate::protocol::outbound::Channel;
use crate::session::admission::Permit;
use crate::session::output::SessionOutput;
use crate::session::stream::OutputStream;
use crate::threads;
use crate::wake::Waker;

/// Longest `AMURG_FILES`, in bytes: the kernel takes no variable above 128 KiB.
const MOST_FILES: usize = 64 * 1024;

/// What runs of a job leave behind.
type Left = Vec<Family>;

/// One session's jobs, one after the other.
pub struct JobAgent {
    context: AgentContext,
    kit: Kit,
    mark: Mark,
    /// The last run; its thread may have ended.
    run: Option<Running>,
    /// Paths for the next run.
    files: Vec<PathBuf>,
    left: Left,
    /// Ends everything, once the session is closed.
    ending: Option<JoinHandle<()>>,
}

struct Running {
    handle: Handle<Command>,
    thread: JoinHandle<Left>,
}

/// What the session says to a run.
enum Command {
    /// End it.
    Stop,
    /// End it, and say that it ran too long.
    Expire(String),
    /// End it, whatever it still has to say.
    Close,
}

impl JobAgent {
    /// Checks that the job could be started; nothing runs yet.
    ///
    /// # Errors
    /// Why it could not, in words for the user.
    pub fn open(context: AgentContext, kit: &Kit) -> Result<Self, String> {
        let kit = kit.clone();
        let agent = Self {
            context,
            kit,
            mark: Mark::next(),
            run: None,
            files: Vec::new(),
            left: Vec::new(),
            ending: None,
        };
        agent.plan(&[]).map_err(|error| error.to_string())?;
        Ok(agent)
    }

    fn job(&self) -> &config::Job {
        match &self.context.endpoint.profile {
            Profile::Job(job) => job,
            // Checked where endpoints come in: by who opens an agent, and in `reconfigure`.
            _ => unreachable!("a job agent of another profile"),
        }
    }

    fn plan(&self, given: &[(&'static str, OsString)]) -> Result<SpawnPlan, StartError> {
        let context = &self.context;
        self.kit.plan(&Wanted {
            endpoint: &context.endpoint,
            program: &self.job().program,
            owner: Some(Owner { session_id: &context.session_id, user_id: &context.user_id }),
            upload_dir: context.upload_dir.as_deref(),
            given,
            mark: &self.mark,
            stdio: Stdio::Pipes,
        })
    }

    fn start(&mut self, message: TurnMessage) -> Result<(), String> {
        let TurnMessage { turn, message_id, content, permit } = message;
        let mut given = vec![("AMURG_MESSAGE_ID", OsString::from(&*message_id))];
        if !self.files.is_empty() {
            given.push(("AMURG_FILES", lines(&self.files)));
        }
        let plan = self.plan(&given).map_err(|error| error.to_string())?;
        let scarce = |error: std::io::Error| {
            format!("no thread or descriptor for the job: {error}; try again later")
        };
        let (handle, inbox) = inbox::channel().map_err(scarce)?;
        let run = Run {
            turn,
            output: Arc::clone(&self.context.output),
            events: self.context.events.clone(),
            streams: [Channel::Stdout, Channel::Stderr].map(|c| self.context.output.stream(c)),
            content: Some(Piece { bytes: content.into_bytes(), permit }),
            expired: None,
        };
        let kit = self.kit.clone();
        let name = format!("pipe {}", self.context.endpoint.id);
        let thread = threads::spawn(name, move || run.run(&kit, &plan, &inbox)).map_err(scarce)?;
        self.files = Vec::new();
        self.run = Some(Running { handle, thread });
        Ok(())
    }

    fn tell_run(&self, command: Command) {
        if let Some(run) = &self.run {
            run.handle.send(command);
        }
    }

    /// Joins the last run, which has told its end and so is about to return.
    fn settle(&mut self) {
        if let Some(run) = self.run.take() {
            child::forget_extinct(&mut self.left);
            self.left.append(&mut joined(run.thread));
        }
    }
}

impl Agent for JobAgent {
    fn message(&mut self, message: TurnMessage) {
        self.settle();
        let turn = message.turn;
        if let Err(error) = self.start(message) {
            let note = Some(format!("The job could not be started: {error}"));
            let end = TurnEnd { turn, exit_code: None, note, running: false };
            self.context.events.tell(AgentEvent::TurnEnded(end));
        }
    }

    fn input(&mut self, _content: String, _permit: Permit) {
        // A run's input ended with its message; hubs send none to this profile.
    }

    fn stop(&mut self) {
        self.tell_run(Command::Stop);
    }

    fn time_expired(&mut self, _turn: u64) {
        let limit = humantime::format_duration(self.job().max_runtime);
        let note =
            format!("The job was ended after {limit}, the longest it may run (max_runtime).");
        self.tell_run(Command::Expire(note));
    }

    fn file(&mut self, file: &StoredFile) -> FileUse {
        if lines(&self.files).len() + file.path.as_os_str().len() > MOST_FILES {
            return FileUse::Refused(
                "too many files wait for the next run. Send a message first.".into(),
            );
        }
        self.files.push(file.path.clone());
        FileUse::Taken
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        if matches!(endpoint.profile, Profile::Job(_)) {
            self.context.endpoint = endpoint;
        }
    }

    fn close(&mut self) {
        if self.run.as_ref().is_some_and(|run| run.thread.is_finished()) {
            self.settle();
        }
        let events = self.context.events.clone();
        let (run, left) = (self.run.take(), std::mem::take(&mut self.left));
        if run.is_none() && left.is_empty() {
            return events.tell(AgentEvent::Closed);
        }
        let endpoint = Arc::clone(&self.context.endpoint);
        let ending = move || {
            end_all(run, left, &endpoint.id);
            events.tell(AgentEvent::Closed);
        };
        let name = format!("end {}", self.context.endpoint.id);
        let (give, take) = bounded::<Box<dyn FnOnce() + Send>>(1);
        match threads::spawn(name, move || take.recv().into_iter().for_each(|ending| ending())) {
            Ok(thread) => {
                let ending = Box::new(ending);
                // It waits for this and nothing else.
                let _ = give.send(ending);
                self.ending = Some(thread);
            }
            // Then the session's own thread waits: nothing is left for it to do.
            Err(_) => ending(),
        }
    }
}

impl Drop for JobAgent {
    fn drop(&mut self) {
        self.tell_run(Command::Close);
        self.settle();
        if let Some(ending) = self.ending.take() {
            // As above.
            let _ = ending.join();
        }
    }
}

/// Ends a run that is still going, and whatever earlier ones left behind.
fn end_all(run: Option<Running>, mut left: Left, endpoint: &str) {
    if let Some(run) = run {
        run.handle.send(Command::Close);
        left.append(&mut joined(run.thread));
    }
    let kill_at = Instant::now() + GRACE;
    for family in left {
        let ended = end::end(family, kill_at);
        if ended.left > 0 {
            warn!("session not ended whole endpoint={} reason=\"{ended}\"", Quoted(endpoint));
        }
    }
}

fn joined(thread: JoinHandle<Left>) -> Left {
    // A panic in there has been told already, and ends the process.
    thread.join().unwrap_or_default()
}

fn lines(paths: &[PathBuf]) -> OsString {
    let mut lines = OsString::new();
    for (number, path) in paths.iter().enumerate() {
        if number > 0 {
            lines.push("\n");
        }
        lines.push(path);
    }
    lines
}

/// One run, in its pipe thread.
struct Run {
    turn: u64,
    output: Arc<SessionOutput>,
    events: AgentEvents,
    streams: [OutputStream; 2],
    content: Option<Piece>,
    /// Why it was ended, when its time was over.
    expired: Option<String>,
}

impl Run {
    fn run(mut self, kit: &Kit, plan: &SpawnPlan, inbox: &Inbox<Command>) -> Left {
        let mut end = TurnEnd { turn: self.turn, exit_code: None, note: None, running: false };
        let mut left = Vec::new();
        match kit.launch(plan, inbox.waker()) {
            Err(error) => end.note = Some(format!("The job could not be started: {error}")),
            Ok(child) => {
                let ended = pump::run(child, &mut self, inbox);
                self.streams.iter_mut().for_each(OutputStream::finish);
                if ended.unread > 0 {
                    self.output.system(&format!(
                        "The session ended before the last {} bytes of output could be taken.",
                        ended.unread
                    ));
                }
                end.exit_code = ended.exit_code;
                end.note = self.expired.take();
                match ended.rest {
                    Rest::Nothing => {}
                    Rest::Alive(family) => left.push(family),
                    Rest::Unending(ended) => {
                        self.output.system(&format!("Of the job, {ended}."));
                    }
                }
            }
        }
        self.events.tell(AgentEvent::TurnEnded(end));
        left
    }
}

impl Duty for Run {
    type Command = Command;

    fn started(&mut self, child: &mut Child) {
        if let Some(content) = self.content.take() {
            child.pipes.stdin.push(content);
        }
        child.pipes.stdin.close_after_writing();
    }

    fn command(&mut self, command: Command, child: &mut Child) {
        match command {
            Command::Stop => child.end(),
            Command::Expire(note) => {
                // One that has ended meanwhile kept its limit.
                if !child.is_leaving() {
                    self.expired = Some(note);
                }
                child.end();
            }
            Command::Close => child.abandon(),
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], now: Instant) {
        self.streams[stream as usize].push(bytes, now);
    }

    fn has_room(&self) -> bool {
        self.output.has_room()
    }

    fn wake_when_room(&self, waker: Waker) {
        self.output.wake_when_room(waker);
    }

    fn due(&self) -> Option<Instant> {
        self.streams.iter().filter_map(OutputStream::due).min()
    }

    fn time(&mut self, _child: &mut Child, now: Instant) {
        for stream in &mut self.streams {
            if stream.due().is_some_and(|due| due <= now) {
                stream.flush(now);
            }
        }
    }
}
