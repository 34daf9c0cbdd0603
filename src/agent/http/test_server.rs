//! For tests: an HTTP server on loopback that does what a closure says, and a
//! session of the agent in front of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::HttpAgent;
use crate::agent::{Agent, AgentContext, AgentEvent, AgentEvents, TurnEnd, TurnMessage};
use crate::config::{Endpoint, Http, Limits, Profile, Security};
use crate::hub::outbox::{Budget, Command, Outbox};
use crate::session::admission::Permit;
use crate::session::output::SessionOutput;
use crate::wake::{self, WakeFd};

/// No wait of a test lasts longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, in the server's eyes.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A server whose connections are each answered by a thread of its own.
pub struct Server {
    /// `http://127.0.0.1:port`
    pub url: String,
    /// One `()` for each connection.
    pub accepted: Receiver<()>,
    /// Every request that was read, head and body.
    pub requests: Receiver<String>,
}

/// Serves plain HTTP.
pub fn serve(answer: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Server {
    serve_through("http", |stream| Some(Box::new(stream)), answer)
}

/// Serves through what `wrap` makes of a connection.
pub fn serve_through(
    scheme: &str,
    wrap: impl Fn(TcpStream) -> Option<Box<dyn Wire>> + Send + Sync + 'static,
    answer: impl Fn(&mut Conversation) + Send + Sync + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let (accepted_in, accepted) = unbounded();
    let (requests_in, requests) = unbounded();
    let answer = Arc::new((wrap, answer));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = accepted_in.send(());
            let (answer, requests) = (Arc::clone(&answer), requests_in.clone());
            std::thread::spawn(move || {
                if let Some(wire) = answer.0(stream.unwrap()) {
                    answer.1(&mut Conversation { wire, requests });
                }
            });
        }
    });
    Server { url, accepted, requests }
}

/// What a server's closure talks through. The connection closes when it returns.
pub struct Conversation {
    wire: Box<dyn Wire>,
    requests: Sender<String>,
}

impl Conversation {
    /// Reads one request; `None` when the client closed.
    pub fn request(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            if self.wire.read(&mut byte).ok()? == 0 {
                return None;
            }
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.wire.read_exact(&mut body).ok()?;
        let text = head + &String::from_utf8(body).unwrap();
        let _ = self.requests.send(text.clone());
        Some(text)
    }

    /// Writes; `false` when the client is gone.
    pub fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.wire.write_all(text.as_ref()).and_then(|()| self.wire.flush()).is_ok()
    }

    /// A whole answer with its length.
    pub fn answer(&mut self, status: &str, body: &str) {
        self.say(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Waits until the client closes.
    pub fn until_closed(&mut self) {
        let _ = self.wire.read_to_end(&mut Vec::new());
    }
}

/// A session and what it said.
pub struct Scene {
    /// The agent in the session.
    pub agent: HttpAgent,
    /// Its events.
    pub events: Receiver<AgentEvent>,
    /// Frames and wishes that reach the link's writer.
    pub commands: Receiver<Command>,
    /// Bytes of output not confirmed.
    pub budget: Arc<Budget>,
    next_turn: u64,
    _writer: WakeFd,
}

/// The block of the profile for `url`.
pub fn http(url: &str) -> Http {
    Http {
        base_url: url.into(),
        method: "POST".into(),
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        tls_ca_file: None,
    }
}

/// An endpoint with that block.
pub fn endpoint(http: Http) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        id: "web".into(),
        name: "web".into(),
        tags: std::collections::BTreeMap::default(),
        limits: Limits::default(),
        security: Security::default(),
        profile: Profile::Http(http),
    })
}

/// A session of that service.
pub fn scene(http: Http) -> Scene {
    let (commands_in, commands) = unbounded();
    let (events_in, events) = unbounded();
    let (waker, writer) = wake::pair().unwrap();
    let budget = Arc::new(Budget::new(1 << 30));
    let outbox = Outbox::new(commands_in, waker, Arc::clone(&budget));
    let session_id: Arc<str> = "s1".into();
    let lane = outbox.lane(Arc::clone(&session_id), 1 << 30);
    let context = AgentContext {
        output: SessionOutput::new(Arc::clone(&session_id), lane),
        session_id,
        number: 1,
        user_id: "u1".into(),
        endpoint: endpoint(http),
        events: AgentEvents::new(move |event| {
            let _ = events_in.send(event);
        }),
        upload_dir: None::<PathBuf>,
    };
    let agent = HttpAgent::new(context);
    Scene { agent, events, commands, budget, next_turn: 0, _writer: writer }
}

impl Scene {
    /// Sends a message.
    pub fn message(&mut self, content: &str) {
        self.next_turn += 1;
        self.agent.message(TurnMessage {
            turn: self.next_turn,
            message_id: format!("m{}", self.next_turn).into(),
            content: content.into(),
            permit: Permit::default(),
        });
    }

    /// Waits for the end of the turn under way.
    pub fn end(&self) -> TurnEnd {
        match self.events.recv_timeout(PATIENCE).expect("the turn to end") {
            AgentEvent::TurnEnded(end) => {
                assert_eq!(end.turn, self.next_turn);
                assert_eq!(end.exit_code, None);
                end
            }
            other => panic!("instead of the turn's end: {other:?}"),
        }
    }

    /// What was said since the last look.
    pub fn said(&self) -> String {
        self.commands.try_iter().filter_map(content).collect()
    }

    /// Waits for the next piece of output.
    pub fn heard(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let command = self.commands.recv_deadline(deadline).expect("output");
            if let Some(text) = content(command) {
                return text;
            }
        }
    }

    /// A whole turn: what was said in it, and its note.
    pub fn turn(&mut self, message: &str) -> (String, Option<String>) {
        self.message(message);
        let note = self.end().note;
        (self.said(), note)
    }
}

/// The text of an output frame.
fn content(command: Command) -> Option<String> {
    let Command::Send { entry, .. } = command else { return None };
    let frame: serde_json::Value = serde_json::from_str(&entry.frame.text).unwrap();
    assert_eq!(frame["payload"]["channel"], "stdout");
    Some(frame["payload"]["content"].as_str().unwrap().to_owned())
}
