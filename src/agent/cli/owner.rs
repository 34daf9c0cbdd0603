//! The owner of a CLI process: of its open turn, and of those who hear it.
//!
//! It knows when a turn ends by mechanics: the process exited, or waits for
//! input again. `idle_timeout` is the session worker's to watch, and comes here
//! as a command. The owner outlives its process: the next message starts that
//! again, in here, so that no message can fall between an end and a start.
//! In which thread it does that is not its business.

mod duty;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};

use super::audience::Audience;
use super::command::{Command, Message};
use super::look::Input;
use super::waiting::schedule::Schedule;
use crate::agent::TurnEnd;
use crate::agent::process::child::{self, Child, Ended, Rest};
use crate::agent::process::end::{self, GRACE};
use crate::agent::process::family::Family;
use crate::agent::process::inbox::Inbox;
use crate::agent::process::mark::Mark;
use crate::agent::process::piece::Piece;
use crate::agent::process::plan::{Owner as Person, SpawnPlan, Stdio};
use crate::agent::process::pump;
use crate::agent::process::start::{Kit, StartError, Wanted};
use crate::config::{self, Endpoint, Profile};
use crate::logging::Quoted;
use crate::wake::Waker;

/// Whose process it is.
#[derive(Clone, Debug)]
pub enum Whose {
    /// One session's.
    Session {
        /// `AMURG_SESSION_ID`
        session_id: Arc<str>,
        /// `AMURG_USER_ID`
        user_id: Arc<str>,
        /// Where its uploads lie.
        upload_dir: Option<PathBuf>,
    },
    /// Every session's of the endpoint.
    Shared {
        /// Where the uploads of all of them lie.
        uploads: Option<PathBuf>,
    },
}

/// A turn without its end.
struct OpenTurn {
    from: u64,
    turn: u64,
    /// When to look whether the process waits for input; `None`: never.
    looks: Option<Schedule>,
    /// Its start has not been sent on its way.
    unannounced: bool,
}

/// How a turn ends.
#[derive(Default)]
struct End {
    exit_code: Option<i32>,
    note: Option<String>,
    /// Something it began may still run.
    running: bool,
    /// No character is cut short: what was read is all there is.
    whole: bool,
}

/// How a process ended that is no more.
struct Past {
    exit_code: Option<i32>,
}

/// Owns one CLI process at a time, and the list of those who hear it.
pub struct Owner {
    kit: Kit,
    endpoint: Arc<Endpoint>,
    whose: Whose,
    mark: Mark,
    /// Wakes the thread it is in.
    waker: Waker,
    audience: Audience,
    turn: Option<OpenTurn>,
    /// The session whose last turn may have left something running.
    running_from: Option<u64>,
    /// What the running process reads.
    input: Option<Input>,
    /// The message a process is started for.
    opening: Option<Message>,
    /// Lines about files that came while there was no process.
    files: Vec<Piece>,
    /// What came while the process was on its way out.
    later: VecDeque<Command>,
    /// How the last process ended, once one has.
    past: Option<Past>,
    /// Daemons that earlier processes left behind; they end with the session.
    left: Vec<Family>,
    closing: bool,
}

impl Owner {
    /// An owner without a process; `waker` wakes the thread it will run in.
    pub fn new(kit: Kit, endpoint: Arc<Endpoint>, whose: Whose, waker: Waker) -> Box<Self> {
        let audience = Audience::new(matches!(whose, Whose::Shared { .. }));
        Box::new(Self {
            kit,
            endpoint,
            whose,
            mark: Mark::next(),
            waker,
            audience,
            turn: None,
            running_from: None,
            input: None,
            opening: None,
            files: Vec::new(),
            later: VecDeque::new(),
            past: None,
            left: Vec::new(),
            closing: false,
        })
    }

    /// Looks whether the process could be started.
    ///
    /// # Errors
    /// In words for the user.
    pub fn check(&self) -> Result<(), StartError> {
        self.plan().map(|_| ())
    }

    /// Starts the process.
    ///
    /// # Errors
    /// In words for the user.
    #[inline(never)]
    pub fn start(&self) -> Result<Child, StartError> {
        self.kit.launch(&self.plan()?, self.waker.clone())
    }

    fn plan(&self) -> Result<SpawnPlan, StartError> {
        let (owner, upload_dir) = match &self.whose {
            Whose::Session { session_id, user_id, upload_dir } => {
                (Some(Person { session_id, user_id }), upload_dir.as_deref())
            }
            Whose::Shared { uploads } => (None, uploads.as_deref()),
        };
        let cli = self.cli();
        self.kit.plan(&Wanted {
            endpoint: &self.endpoint,
            program: &cli.program,
            owner,
            upload_dir,
            given: &[],
            mark: &self.mark,
            stdio: if cli.tty { Stdio::TERMINAL } else { Stdio::Pipes },
        })
    }

    /// The whole life of a thread that does nothing else.
    /// In a box, for the stack to stay small.
    pub fn run(mut self: Box<Self>, inbox: &Inbox<Command>) {
        while !self.closing {
            let Some(command) = self.next().or_else(|| inbox.wait()) else { break };
            if let Some(child) = self.without_process(command) {
                let ended = pump::run(child, &mut *self, inbox);
                self.ended(ended);
            }
        }
        self.leave_nothing();
    }

    /// What came while the last process was on its way out, once that is gone.
    pub fn next(&mut self) -> Option<Command> {
        self.later.pop_front()
    }

    /// Whether a command that comes once the process is gone has to wait behind what
    /// came before. An end of the session has not.
    pub fn goes_behind(&self, command: &Command) -> bool {
        !self.later.is_empty() && self.is_for_the_next(command)
    }

    /// Puts a command off until the next process, behind what came before.
    pub fn put_off(&mut self, command: Command) {
        // That takes a while.
        if let Command::Turn(message) = &command
            && let Some(listener) = self.audience.listener(message.from)
        {
            listener.hasten();
        }
        self.later.push_back(command);
    }

    /// Whether nothing is left to do but to [`Owner::leave_nothing`].
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    fn cli(&self) -> &config::Cli {
        match &self.endpoint.profile {
            Profile::Cli(cli) => cli,
            // Checked where endpoints come in: `open` and `reconfigure`.
            _ => unreachable!("a CLI agent of another profile"),
        }
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        if matches!(endpoint.profile, Profile::Cli(_)) {
            self.endpoint = endpoint;
        }
    }

    // Turns.

    fn open_turn(&mut self, message: Message, child: &mut Child) {
        let now = Instant::now();
        let Message { from, turn, piece } = message;
        self.end_turn(End::default(), now);
        if let Some(listener) = self.audience.listener(from) {
            listener.turn_begins();
        }
        child.pipes.stdin.push(piece);
        self.running_from = None;
        let looks = self.input.is_some().then(|| Schedule::starting(now));
        self.turn = Some(OpenTurn { from, turn, looks, unannounced: true });
        if self.input.is_none() {
            self.announce();
        }
    }

    /// The turn's start goes out, if it has not: with the first output, or when
    /// the process is first looked at. A quick answer costs one packet so.
    fn announce(&mut self) {
        if let Some(open) = &mut self.turn
            && std::mem::take(&mut open.unannounced)
            && let Some(listener) = self.audience.listener(open.from)
        {
            listener.hasten();
        }
    }

    /// Ends the open turn, if there is one.
    fn end_turn(&mut self, end: End, now: Instant) {
        let End { exit_code, note, running, whole } = end;
        if let Some(OpenTurn { from, turn, .. }) = self.turn.take()
            && let Some(listener) = self.audience.listener(from)
        {
            self.running_from = running.then_some(from);
            listener.turn_ended(TurnEnd { turn, exit_code, note, running }, whole, now);
        }
    }

    fn idle_expired(&mut self, from: u64, turn: u64, child: &Child) {
        let is_open = self.turn.as_ref().is_some_and(|open| (open.from, open.turn) == (from, turn));
        // What was not read yet, because the session is full, is not silence.
        if is_open && !child.pipes.has_output() {
            let deaf = !child.pipes.stdin.is_open();
            let note = deaf
                .then(|| "The agent has closed its input and takes no more messages.".to_owned());
            let running = child.has_company();
            self.end_turn(End { note, running, ..End::default() }, Instant::now());
        }
    }

    /// Something was written or read: what is quiet now has to be found out anew.
    fn stirred(&mut self, now: Instant) {
        if let Some(OpenTurn { looks: Some(looks), .. }) = &mut self.turn {
            *looks = Schedule::starting(now);
        }
    }

    fn look(&mut self, child: &Child, now: Instant) {
        let Some(OpenTurn { looks: Some(looks), .. }) = &mut self.turn else { return };
        if looks.next() > now {
            return;
        }
        looks.looked(now);
        let waits = self.input.as_ref().is_some_and(|input| {
            // Asked last: what it wrote before it began to wait is there by now.
            input.is_awaited_by(child, &self.mark) && !child.pipes.has_output()
        });
        if waits {
            self.end_turn(End { whole: true, ..End::default() }, now);
        }
    }

    // The process.

    /// A command while there is no process; the one that is started for it.
    #[inline(never)]
    pub fn without_process(&mut self, command: Command) -> Option<Child> {
        match command {
            Command::Join(listener) => self.audience.join(*listener),
            Command::Turn(message) => return self.start_for(message),
            Command::File { piece, .. } => self.files.push(piece),
            Command::Reconfigure(endpoint) => self.reconfigure(endpoint),
            Command::Leave { from } => self.leave(from),
            Command::Close => self.closing = true,
            // Of a turn that ended with the process.
            Command::Input { .. }
            | Command::Stop { .. }
            | Command::End { .. }
            | Command::IdleExpired { .. } => {}
        }
        None
    }

    fn start_for(&mut self, message: Message) -> Option<Child> {
        // A start takes a while.
        if let Some(listener) = self.audience.listener(message.from) {
            listener.hasten();
        }
        match self.start() {
            Ok(child) => {
                if let Some(Past { exit_code }) = self.past {
                    let code =
                        exit_code.map_or_else(String::new, |code| format!(" (exit code {code})"));
                    self.audience
                        .system(&format!("The agent had ended{code}; it was started again."));
                }
                self.opening = Some(message);
                Some(child)
            }
            Err(error) => {
                warn!(
                    "agent not started endpoint={} error={}",
                    Quoted(&self.endpoint.id),
                    Quoted(&error.to_string())
                );
                let Message { from, turn, .. } = message;
                let note = Some(format!("The agent could not be started: {error}"));
                if let Some(listener) = self.audience.listener(from) {
                    let end = TurnEnd { turn, exit_code: None, note, running: false };
                    listener.turn_ended(end, true, Instant::now());
                }
                None
            }
        }
    }

    /// The process has ended.
    #[inline(never)]
    pub fn ended(&mut self, ended: Ended) {
        let Ended { exit_code, unread, rest } = ended;
        info!(
            "agent ended endpoint={} exit_code={}",
            Quoted(&self.endpoint.id),
            exit_code.map_or_else(|| "none".into(), |code| code.to_string())
        );
        self.audience.finish();
        if unread > 0 {
            self.audience.system(&format!(
                "The session ended before the last {unread} bytes of output could be taken."
            ));
        }
        let mut note = None;
        match rest {
            Rest::Nothing => {}
            Rest::Alive(family) => {
                child::forget_extinct(&mut self.left);
                self.left.push(family);
            }
            Rest::Unending(ended) => note = Some(format!("Of the agent, {ended}.")),
        }
        self.end_turn(End { exit_code, note, running: false, whole: true }, Instant::now());
        if let Some(listener) =
            self.running_from.take().and_then(|from| self.audience.listener(from))
        {
            listener.at_rest();
        }
        self.input = None;
        self.past = Some(Past { exit_code });
    }

    /// Whether a command that comes while the process is on its way out is meant
    /// for the one that will be started: a message is, and what is said of it.
    fn is_for_the_next(&self, command: &Command) -> bool {
        let is_turn_of =
            |kept: &Command, from| matches!(kept, Command::Turn(message) if message.from == from);
        match command {
            Command::Turn(_) | Command::File { .. } => true,
            Command::Input { from, .. } | Command::Stop { from } | Command::End { from } => {
                self.later.iter().any(|kept| is_turn_of(kept, *from))
            }
            _ => false,
        }
    }

    // Sessions.

    fn leave(&mut self, from: u64) {
        if matches!(self.whose, Whose::Session { .. }) {
            self.closing = true;
            return;
        }
        if self.turn.as_ref().is_some_and(|turn| turn.from == from) {
            self.end_turn(End::default(), Instant::now());
        }
        self.later.retain(|command| command.from() != Some(from));
        if let Some(listener) = self.audience.leave(from) {
            listener.closed();
        }
    }

    fn close(&mut self, child: &mut Child) {
        self.closing = true;
        child.abandon();
    }

    /// Ends what a process that is gone may have left, and tells everybody.
    #[inline(never)]
    pub fn leave_nothing(&mut self) {
        let kill_at = Instant::now() + GRACE;
        for family in self.left.drain(..) {
            let ended = end::end(family, kill_at);
            if ended.left > 0 {
                warn!(
                    "session not ended whole endpoint={} reason=\"{ended}\"",
                    Quoted(&self.endpoint.id)
                );
            }
        }
        for listener in self.audience.all_leave() {
            listener.closed();
        }
    }
}
