//! Conversations with a runtime played by hand.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::conversation::Conversation;
use super::input::{Input, Interrupt};
use super::list;
use super::screen::tests::Paper;
use crate::commands::exit;
use crate::config::{Cli, Endpoint, Http, Job, Limits, Profile, Program, Security};
use crate::config::{SpawnPolicy, TurnEnd};
use crate::loopback::{Keep, LoopbackHub, Options};
use crate::protocol::Dialect;

const TOKEN: &str = "t";

/// The runtime's side of the socket.
struct Played(WebSocket<TcpStream>);

impl Played {
    fn connect(hub: &LoopbackHub) -> Self {
        let stream = TcpStream::connect(hub.address()).expect("the hub listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let (socket, _) = tungstenite::client(hub.url(), stream).expect("a handshake");
        let mut played = Self(socket);
        let registrations = json!([{ "id": "agent" }]);
        let hello = json!({ "runtime_id": "r", "token": TOKEN, "agents": registrations });
        played.say("runtime.hello", &hello);
        assert_eq!(played.hear("hello.ack")["ok"], true);
        played
    }

    fn say(&mut self, kind: &str, payload: &Value) {
        let text = json!({ "type": kind, "payload": payload }).to_string();
        self.0.send(Message::text(text)).expect("said");
    }

    /// The payload of the next message, which must be of this kind.
    fn hear(&mut self, kind: &str) -> Value {
        let message = self.0.read().expect("a message");
        let envelope: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
        assert_eq!(envelope["type"], kind, "{envelope}");
        envelope["payload"].clone()
    }

    /// Opens the session that is asked for; answers its id.
    fn open(&mut self) -> Value {
        let session = self.hear("session.create")["session_id"].clone();
        self.say("session.created", &json!({ "session_id": session, "ok": true }));
        session
    }

    /// The next message, its turn started.
    fn turn(&mut self) -> Value {
        let message = self.hear("user.message");
        self.say("turn.started", &ids(&message));
        message
    }

    fn output(&mut self, session: &Value, channel: &str, content: &str) {
        let output = json!({ "session_id": session, "channel": channel, "content": content });
        self.say("agent.output", &output);
    }

    fn complete(&mut self, message: &Value, exit_code: Option<i64>) {
        let mut ids = ids(message);
        if let Some(exit_code) = exit_code {
            ids["exit_code"] = exit_code.into();
        }
        self.say("turn.completed", &ids);
    }
}

fn ids(message: &Value) -> Value {
    json!({ "session_id": message["session_id"], "in_response_to": message["message_id"] })
}

fn endpoint(profile: Profile) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        id: "agent".to_owned(),
        name: "Agent".to_owned(),
        tags: BTreeMap::new(),
        limits: Limits::default(),
        security: Security::default(),
        profile,
    })
}

fn cli() -> Arc<Endpoint> {
    endpoint(Profile::Cli(Cli {
        program: Program { command: "bash".to_owned(), ..Program::default() },
        spawn_policy: SpawnPolicy::default(),
        turn_end: TurnEnd::default(),
        tty: false,
    }))
}

/// A conversation in a thread of its own, and everything around it.
struct Talk {
    _hub: LoopbackHub,
    runtime: Played,
    lines: Option<Sender<String>>,
    interrupts: Sender<Interrupt>,
    paper: Paper,
    talking: JoinHandle<u8>,
}

fn talk(endpoint: Arc<Endpoint>, typed: bool) -> Talk {
    let (tap, frames) = bounded(16);
    let mut options = Options::new(Dialect::Agent, TOKEN);
    options.keep = Keep::Nothing;
    options.tap = Some(tap);
    let hub = LoopbackHub::start(options).expect("a hub");
    let runtime = Played::connect(&hub);
    let (lines_sender, lines) = bounded(16);
    let (interrupts, told): (_, Receiver<Interrupt>) = bounded(2);
    let paper = Paper::default();
    let client = hub.client();
    client.wait_registered(Instant::now() + Duration::from_secs(20)).expect("registered");
    let talking = thread::spawn({
        let paper = paper.clone();
        move || {
            // A screen is not made to be sent to another thread.
            let screen = paper.screen(typed);
            Conversation::new(client, frames, Input { lines, typed }, &told, screen, endpoint)
                .hold()
        }
    });
    Talk { _hub: hub, runtime, lines: Some(lines_sender), interrupts, paper, talking }
}

impl Talk {
    fn line(&self, text: &str) {
        self.lines.as_ref().expect("still open").send(text.to_owned()).expect("read");
    }

    /// Ctrl-D.
    fn end_input(&mut self) {
        self.lines = None;
    }

    fn ends(self) -> u8 {
        self.talking.join().expect("no panic")
    }
}

#[test]
fn a_message_prints_its_output_and_nothing_else() {
    let mut talk = talk(cli(), false);
    talk.line("echo $((6*7))");
    talk.end_input();
    let session = talk.runtime.open();
    let message = talk.runtime.turn();
    assert_eq!(message["content"], "echo $((6*7))");
    talk.runtime.output(&session, "stdout", "42\n");
    talk.runtime.complete(&message, Some(0));
    let paper = talk.paper.clone();
    assert_eq!(talk.ends(), (0));
    assert_eq!((paper.out().as_str(), paper.err().as_str()), ("42\n", ""));
}

#[test]
fn piped_lines_wait_for_each_other_and_the_last_exit_code_counts() {
    let mut talk = talk(cli(), false);
    talk.line("one");
    talk.line("two");
    talk.end_input();
    talk.runtime.open();
    let one = talk.runtime.turn();
    // Were the second line sent already, it would be read here in place of the pong.
    talk.runtime.0.send(Message::Ping("p".into())).expect("sent");
    assert!(matches!(talk.runtime.0.read().expect("a pong"), Message::Pong(_)));
    talk.runtime.complete(&one, Some(1));
    let two = talk.runtime.turn();
    assert_eq!(two["content"], "two");
    talk.runtime.complete(&two, Some(3));
    assert_eq!(talk.ends(), (3));
}

#[test]
fn without_an_exit_code_all_is_well() {
    let mut talk = talk(cli(), false);
    talk.line("x");
    talk.end_input();
    talk.runtime.open();
    let message = talk.runtime.turn();
    talk.runtime.complete(&message, None);
    assert_eq!(talk.ends(), exit::OK);
}

#[test]
fn ctrl_c_stops_the_turn_and_a_second_one_leaves() {
    let mut talk = talk(cli(), true);
    let session = talk.runtime.open();
    talk.line("sleep 100");
    talk.runtime.turn();
    talk.interrupts.send(Interrupt::Stop).expect("heard");
    assert_eq!(talk.runtime.hear("stop.request")["session_id"], session);
    talk.interrupts.send(Interrupt::Stop).expect("heard");
    let paper = talk.paper.clone();
    assert_eq!(talk.ends(), (130));
    assert!(paper.err().contains("stopping; Ctrl-C again leaves"), "{}", paper.err());
}

#[test]
fn ctrl_c_in_a_later_turn_stops_again() {
    let mut talk = talk(cli(), true);
    talk.runtime.open();
    for turn in 1..=2 {
        talk.paper.wait_for("agent> ", turn);
        talk.line("sleep 100");
        let message = talk.runtime.turn();
        talk.interrupts.send(Interrupt::Stop).expect("heard");
        talk.runtime.hear("stop.request");
        talk.runtime.complete(&message, None);
    }
    talk.end_input();
    assert_eq!(talk.ends(), exit::OK);
}

#[test]
fn a_line_typed_into_a_turn_is_more_input() {
    let mut talk = talk(cli(), true);
    talk.runtime.open();
    talk.line("read x");
    let message = talk.runtime.turn();
    talk.line("typed");
    assert_eq!(talk.runtime.hear("interactive.input")["content"], "typed");
    talk.runtime.complete(&message, None);
    talk.end_input();
    assert_eq!(talk.ends(), exit::OK);
}

#[test]
fn a_line_typed_while_a_job_runs_is_the_next_message() {
    let program = Program { command: "make".to_owned(), ..Program::default() };
    let job = Job { program, max_runtime: Duration::from_secs(300) };
    let mut talk = talk(endpoint(Profile::Job(job)), true);
    talk.runtime.open();
    talk.line("one");
    let one = talk.runtime.turn();
    talk.line("two");
    talk.runtime.complete(&one, Some(0));
    let two = talk.runtime.turn();
    assert_eq!(two["content"], "two");
    talk.runtime.complete(&two, Some(0));
    talk.end_input();
    assert_eq!(talk.ends(), (0));
}

#[test]
fn a_refusal_is_told_once() {
    let mut talk = talk(cli(), false);
    let session = talk.runtime.hear("session.create")["session_id"].clone();
    talk.runtime.output(&session, "system", "no such command: bash\n");
    let refusal = json!({ "session_id": session, "ok": false, "error": "no such command: bash" });
    talk.runtime.say("session.created", &refusal);
    let paper = talk.paper.clone();
    assert_eq!(talk.ends(), exit::UNAVAILABLE);
    assert_eq!(paper.err(), "-- no such command: bash\n");
}

#[test]
fn only_a_person_can_grant_a_permission() {
    for (typed, answer) in [(true, true), (false, false)] {
        let mut talk = talk(cli(), typed);
        talk.line("go");
        let session = talk.runtime.open();
        let message = talk.runtime.turn();
        let request = json!({
            "session_id": session, "request_id": "q1", "tool": "Bash", "description": "run",
        });
        talk.runtime.say("permission.request", &request);
        if typed {
            talk.paper.wait_for("allow? [y/N]> ", 1);
            talk.line("y");
        }
        let response = talk.runtime.hear("permission.response");
        assert_eq!(response["request_id"], "q1");
        assert_eq!(response["approved"], answer);
        talk.runtime.complete(&message, None);
        talk.end_input();
        assert_eq!(talk.ends(), exit::OK);
    }
}

#[test]
fn a_list_shows_every_agent_and_no_secret() {
    let http = Http {
        base_url: "http://localhost:9000/chat?key=secret".to_owned(),
        method: "POST".to_owned(),
        headers: Vec::new(),
        timeout: Duration::from_secs(60),
        tls_ca_file: None,
    };
    let listed = list(&[cli(), endpoint(Profile::Http(http))]);
    assert_eq!(
        listed,
        "agent  generic-cli   bash  (Agent)\n\
         agent  generic-http  http://localhost:9000/chat  (Agent)\n"
    );
}
