//! The conversation: one loop over what the agent says, what the person types
//! and Ctrl-C.
//!
//! | state   | a line is                                      | Ctrl-C            | Ctrl-D |
//! |---------|------------------------------------------------|-------------------|--------|
//! | opening | kept                                           | leaves            | kept   |
//! | idle    | a message: a turn begins                       | a new prompt      | leaves |
//! | turn    | typed: more input, where the agent takes it;   | stops it; a       | leaves |
//! |         | else kept until the turn is over               | second one leaves |        |
//! | asked   | typed: the answer to a permission request      | as in a turn      | leaves |
//!
//! Nobody who is not at a terminal can be asked: there a permission is denied.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select};

use super::super::exit::INTERRUPTED;
use super::super::progress::Progress;
use super::input::{Input, Interrupt};
use super::screen::Screen;
use crate::commands::exit;
use crate::config::{Endpoint, Profile};
use crate::loopback::{Client, Frame};

/// How long a session may take to open: longer than the launch of its process.
const OPENING: Duration = Duration::from_secs(20);
/// The user of this hub.
const USER: &str = "you";

pub(super) struct Conversation<'a> {
    client: Client,
    /// Everything the runtime says, as it is handled.
    frames: Receiver<Arc<Frame>>,
    input: Input,
    interrupts: &'a Receiver<Interrupt>,
    screen: Screen,
    endpoint: Arc<Endpoint>,
    session: String,
    state: State,
    /// Shown while the agent starts.
    progress: Option<Progress>,
    /// Exit code of the last turn that had one.
    exit_code: Option<i64>,
    /// The last thing the gateway said, which may also be why it refuses the session.
    last_note: String,
}

enum State {
    Opening { until: Receiver<std::time::Instant> },
    Idle,
    Turn { message: String, stopped: bool, asked: Option<String> },
}

/// Why the conversation is over.
enum End {
    Left(u8),
    /// Nobody reads our output any more, or it cannot be written.
    Output(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl<'a> Conversation<'a> {
    pub fn new(
        client: Client,
        frames: Receiver<Arc<Frame>>,
        input: Input,
        interrupts: &'a Receiver<Interrupt>,
        screen: Screen,
        endpoint: Arc<Endpoint>,
    ) -> Self {
        let session = client.create_session(&endpoint.id, USER);
        Self {
            client,
            frames,
            input,
            interrupts,
            screen,
            endpoint,
            session,
            state: State::Opening { until: after(OPENING) },
            progress: Some(Progress::begin("the agent to start")),
            exit_code: None,
            last_note: String::new(),
        }
    }

    /// Talks until somebody leaves; the exit code is the last turn's.
    pub fn hold(mut self) -> u8 {
        loop {
            match self.step() {
                Ok(()) => {}
                Err(End::Left(exit)) => {
                    self.screen.begin_line();
                    return exit;
                }
                Err(End::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return self.code();
                }
                Err(End::Output(error)) => {
                    self.screen.note(&format!("the output cannot be written: {error}"));
                    return exit::INTERNAL;
                }
            }
        }
    }

    fn step(&mut self) -> Result<(), End> {
        self.prompt();
        let no_lines = never();
        let lines = if self.takes_a_line() { &self.input.lines } else { &no_lines };
        let no_limit = never();
        let limit = match &self.state {
            State::Opening { until } => until,
            State::Idle | State::Turn { .. } => &no_limit,
        };
        select! {
            recv(self.frames) -> frame => match frame {
                Ok(frame) => self.hear(&frame),
                Err(_) => Err(End::Left(exit::INTERNAL)),
            },
            recv(lines) -> line => match line {
                Ok(line) => {
                    if self.input.typed {
                        self.screen.typed();
                    }
                    self.say(&line);
                    Ok(())
                }
                Err(_) => Err(End::Left(self.code())),
            },
            recv(self.interrupts) -> interrupt => match interrupt {
                Ok(Interrupt::Stop) => {
                    self.progress = None;
                    self.interrupt()
                }
                Ok(Interrupt::End(code)) => Err(End::Left(code)),
                Err(_) => Err(End::Left(exit::INTERNAL)),
            },
            recv(limit) -> _ => {
                self.progress = None;
                self.screen.note("the agent did not start in time; is its program well?");
                Err(End::Left(exit::UNAVAILABLE))
            },
        }
    }

    fn prompt(&mut self) {
        match &self.state {
            State::Idle => self.screen.prompt(&self.endpoint.id),
            State::Turn { asked: Some(_), .. } => self.screen.prompt("allow? [y/N]"),
            State::Opening { .. } | State::Turn { .. } => {}
        }
    }

    fn takes_a_line(&self) -> bool {
        match &self.state {
            State::Opening { .. } => false,
            State::Idle => true,
            State::Turn { asked, .. } => {
                self.input.typed && (asked.is_some() || self.takes_input())
            }
        }
    }

    /// Whether the agent reads more input while its turn is open.
    fn takes_input(&self) -> bool {
        matches!(self.endpoint.profile, Profile::Cli(_) | Profile::External(_))
    }

    fn say(&mut self, line: &str) {
        // To a shell an empty line means something; it would run a job.
        let slipped = line.is_empty() && self.input.typed && !self.takes_input();
        match &mut self.state {
            State::Opening { .. } => {}
            State::Idle if slipped => {}
            State::Idle => {
                let message = self.client.send_message(&self.session, line);
                self.state = State::Turn { message, stopped: false, asked: None };
            }
            State::Turn { asked, .. } => match asked.take() {
                Some(request) => {
                    let yes = matches!(line.trim(), "y" | "Y" | "yes");
                    self.client.permission_response(&self.session, &request, yes, false);
                }
                None => {
                    self.client.interactive_input(&self.session, line);
                }
            },
        }
    }

    fn interrupt(&mut self) -> Result<(), End> {
        match &mut self.state {
            State::Turn { stopped, .. } if !*stopped => {
                *stopped = true;
                self.client.stop(&self.session);
                if self.input.typed {
                    self.screen.echoed();
                    self.screen.note("stopping; Ctrl-C again leaves");
                }
                Ok(())
            }
            State::Idle if self.input.typed => {
                self.screen.echoed();
                self.screen.note("Ctrl-D leaves");
                Ok(())
            }
            State::Opening { .. } | State::Idle | State::Turn { .. } => {
                if self.input.typed {
                    self.screen.echoed();
                }
                Err(End::Left(INTERRUPTED))
            }
        }
    }

    fn hear(&mut self, frame: &Frame) -> Result<(), End> {
        if frame.session() != Some(&self.session) {
            return Ok(());
        }
        self.progress = None;
        match frame.kind() {
            "session.created" => return self.opened(frame),
            "agent.output" => self.show(frame.text_of("channel"), frame.text_of("content"))?,
            "turn.completed" => self.completed(frame),
            "permission.request" => self.asked(frame),
            "file.available" => {
                let metadata = frame.field("metadata");
                let name = metadata["name"].as_str().unwrap_or_default();
                let size = metadata["size"].as_u64().unwrap_or(0);
                self.screen.note(&format!("a file: {name:?}, {size} bytes"));
            }
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, frame: &Frame) -> Result<(), End> {
        if frame.field("ok").as_bool() == Some(true) {
            if matches!(self.state, State::Opening { .. }) {
                self.state = State::Idle;
                self.greet();
            }
            return Ok(());
        }
        let error = frame.text_of("error");
        if error != self.last_note {
            self.screen.note(error);
        }
        Err(End::Left(exit::UNAVAILABLE))
    }

    fn greet(&mut self) {
        if self.input.typed {
            let Endpoint { name, profile, .. } = &*self.endpoint;
            let keys = "Ctrl-C stops a turn, Ctrl-D leaves";
            self.screen.note(&format!(
                "{name} ({}: {}); {keys}",
                profile.name(),
                super::what(profile)
            ));
        }
    }

    fn show(&mut self, channel: &str, content: &str) -> io::Result<()> {
        match channel {
            "system" => {
                content.trim_end_matches('\n').clone_into(&mut self.last_note);
                self.screen.note(content);
            }
            "stderr" => self.screen.err(content),
            _ => self.screen.out(content)?,
        }
        Ok(())
    }

    fn completed(&mut self, frame: &Frame) {
        let ours = matches!(&self.state, State::Turn { message, .. }
            if *message == frame.text_of("in_response_to"));
        if ours {
            self.exit_code = frame.field("exit_code").as_i64();
            self.state = State::Idle;
        }
    }

    fn asked(&mut self, frame: &Frame) {
        let request = frame.text_of("request_id");
        let [tool, description, resource] =
            ["tool", "description", "resource"].map(|field| frame.text_of(field));
        self.screen.note(format!("{tool} wants: {description} {resource}").trim_end());
        match &mut self.state {
            State::Turn { asked, .. } if self.input.typed && asked.is_none() => {
                *asked = Some(request.to_owned());
            }
            _ => {
                self.screen.note("denied: there is nobody to ask");
                self.client.permission_response(&self.session, request, false, false);
            }
        }
    }

    /// The last turn's exit code as a process's own.
    fn code(&self) -> u8 {
        match self.exit_code {
            None => exit::OK,
            Some(code) => u8::try_from(code).unwrap_or(u8::MAX),
        }
    }
}
