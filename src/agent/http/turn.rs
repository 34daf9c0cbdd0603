//! One turn: takes what an [`Exchange`] brings and gives it to the session's
//! output, in a thread that waits on a descriptor only: progress, room for
//! output and cancelling all wake it.
//!
//! It reads nothing of the body's content, and takes nothing while the output
//! has no room, so that the service is held back and not memory filled.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use super::client::Client;
use super::exchange::{Exchange, Progress};
use super::failure::Failure;
use super::origin::shown;
use super::request::{Asker, Head};
use crate::agent::excerpt::excerpt;
use crate::agent::{AgentContext, AgentEvent, TurnEnd, TurnMessage};
use crate::config::Http;
use crate::protocol::outbound::Channel;
use crate::session::stream::OutputStream;
use crate::threads;
use crate::wake::{self, WakeFd, Waker};

/// Bytes of an error's body that are looked at.
const EXCERPT_BYTES: usize = 2048;
/// Characters of them that are told.
const EXCERPT_CHARS: usize = 512;
/// How long an error's body is waited for.
const EXCERPT_WAIT: Duration = Duration::from_secs(2);
/// How long a cancelled exchange may take to end before it is let go.
const PARTING: Duration = Duration::from_millis(50);

/// A turn under way, as its agent holds it. Dropped, it is cancelled.
#[derive(Debug)]
pub struct Turn {
    state: Arc<AtomicU8>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Nobody has cancelled it.
const RUNNING: u8 = 0;
/// To be ended.
const STOPPED: u8 = 1;
/// To be ended, and the session with it.
const CLOSED: u8 = 2;
/// Its end has been told.
const OVER: u8 = 3;

impl Turn {
    /// Starts the turn's thread. It tells `TurnEnded` when all output was given.
    ///
    /// # Errors
    /// [`Failure::System`]: nothing was started, and nothing will be told.
    pub fn start(
        context: AgentContext,
        http: Http,
        client: Arc<Client>,
        message: TurnMessage,
    ) -> Result<Self, Failure> {
        let (waker, wake) = wake::pair().map_err(Failure::System)?;
        let state = Arc::new(AtomicU8::new(RUNNING));
        let runner = Runner {
            url: String::new(),
            http,
            client,
            state: Arc::clone(&state),
            waker: waker.clone(),
            wake,
            stream: context.output.stream(Channel::Stdout),
            context,
        };
        let name = format!("http {}", runner.context.endpoint.id);
        let thread = threads::spawn(name, move || runner.run(message)).map_err(Failure::System)?;
        Ok(Self { state, waker, thread: Some(thread) })
    }

    /// Cancels the request; the turn ends.
    pub fn stop(&self) {
        self.cancel(STOPPED);
    }

    /// Cancels the request; the turn ends, and after it `Closed` is told. `false`
    /// where the turn was over already and tells nothing more.
    pub fn close(&self) -> bool {
        self.cancel(CLOSED)
    }

    /// Waits for the thread's last instructions, after its last event.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn cancel(&self, how: u8) -> bool {
        let raise = |state| (state < how).then_some(how);
        let raised = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
        self.waker.wake();
        raised.unwrap_or_else(|state| state) != OVER
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

/// What the exchange brought so far.
enum Answer {
    /// No head yet. Name resolution is given up at this moment.
    None { resolved_by: Option<Instant> },
    /// The body, being forwarded.
    Body,
    /// An error: the start of its body is gathered until this moment.
    Error { status: StatusCode, start: Vec<u8>, until: Instant },
}

struct Runner {
    url: String,
    http: Http,
    client: Arc<Client>,
    state: Arc<AtomicU8>,
    waker: Waker,
    wake: WakeFd,
    stream: OutputStream,
    context: AgentContext,
}

impl Runner {
    fn run(mut self, message: TurnMessage) {
        let turn = message.turn;
        let note = match self.start_exchange(message) {
            Ok(exchange) => {
                let note = self.forward(&exchange);
                exchange.finish(PARTING);
                note
            }
            Err(failure) => Some(failure.told(&self.url, self.http.timeout)),
        };
        self.stream.finish();
        self.context.events.tell(AgentEvent::TurnEnded(TurnEnd {
            turn,
            exit_code: None,
            note,
            running: false,
        }));
        if self.state.swap(OVER, Ordering::AcqRel) == CLOSED {
            self.context.events.tell(AgentEvent::Closed);
        }
    }

    fn start_exchange(&mut self, message: TurnMessage) -> Result<Exchange, Failure> {
        let asker = Asker {
            session: Arc::clone(&self.context.session_id),
            user: Arc::clone(&self.context.user_id),
            endpoint: self.context.endpoint.id.clone(),
            message: Arc::clone(&message.message_id),
        };
        let head = Head::new(&self.http, &asker)?;
        self.url = shown(head.uri());
        Exchange::start(
            &asker.endpoint,
            Arc::clone(&self.client),
            head,
            message,
            self.waker.clone(),
        )
    }

    /// Forwards until the exchange is over, or as much of it as matters, and
    /// gives the line to tell then.
    fn forward(&mut self, exchange: &Exchange) -> Option<String> {
        let mut answer =
            Answer::None { resolved_by: Instant::now().checked_add(self.http.timeout) };
        loop {
            if self.state.load(Ordering::Acquire) != RUNNING {
                self.client.cancel();
                return None;
            }
            let held_back = matches!(answer, Answer::Body) && !self.context.output.has_room();
            if held_back {
                // Asked anew each time: other sessions may have taken the room that was there.
                self.context.output.wake_when_room(self.waker.clone());
            } else if let Some(progress) = exchange.next() {
                match self.take(progress, &mut answer) {
                    Break(note) => return note,
                    Continue(()) => continue,
                }
            }
            let now = Instant::now();
            if let Break(note) = self.give_up(&mut answer, now) {
                self.client.cancel();
                return Some(note);
            }
            if self.stream.due().is_some_and(|due| due <= now) {
                self.stream.flush(now);
            }
            let deadline = match &answer {
                Answer::None { resolved_by } => *resolved_by,
                Answer::Body => self.stream.due(),
                Answer::Error { until, .. } => Some(*until),
            };
            self.wake.wait_until(deadline);
        }
    }

    /// Takes one piece; breaks with the last.
    fn take(&mut self, progress: Progress, answer: &mut Answer) -> ControlFlow<Option<String>> {
        match (progress, &mut *answer) {
            (Progress::Answer(status), _) => {
                *answer = if status.is_client_error() || status.is_server_error() {
                    let until = Instant::now() + EXCERPT_WAIT;
                    Answer::Error { status, start: Vec::new(), until }
                } else {
                    Answer::Body
                };
            }
            (Progress::Data(bytes), Answer::Error { status, start, .. }) => {
                start.extend_from_slice(&bytes);
                if start.len() >= EXCERPT_BYTES {
                    self.client.cancel();
                    return Break(Some(self.error_line(*status, start)));
                }
            }
            (Progress::Data(bytes), _) => self.stream.push(&bytes, Instant::now()),
            (Progress::End(_), Answer::Error { status, start, .. }) => {
                return Break(Some(self.error_line(*status, start)));
            }
            (Progress::End(end), _) => {
                return Break(end.err().map(|why| why.told(&self.url, self.http.timeout)));
            }
        }
        Continue(())
    }

    /// Breaks where something took too long that has no timeout in the exchange itself.
    fn give_up(&self, answer: &mut Answer, now: Instant) -> ControlFlow<String> {
        match answer {
            Answer::None { resolved_by } if resolved_by.is_some_and(|at| at <= now) => {
                *resolved_by = None;
                if self.client.is_resolving() {
                    return Break(Failure::Resolving.told(&self.url, self.http.timeout));
                }
            }
            Answer::Error { status, start, until } if *until <= now => {
                return Break(self.error_line(*status, start));
            }
            _ => {}
        }
        Continue(())
    }

    fn error_line(&self, status: StatusCode, start: &[u8]) -> String {
        let start = excerpt(&String::from_utf8_lossy(start), EXCERPT_CHARS);
        let colon = if start.is_empty() { "" } else { ": " };
        format!("HTTP {status} from {}{colon}{start}", self.url)
    }
}
