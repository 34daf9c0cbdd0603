//! The hello, its answer, and which token is used when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amurg_runtime::config::{Endpoint, Job, Limits, Profile, Program, Security};
use amurg_runtime::hub::dial::Step;
use amurg_runtime::hub::probe::{Extent, probe};
use amurg_runtime::hub::{HubEvent, LinkState, TokenStore};
use amurg_runtime::protocol::inbound::Inbound;
use amurg_runtime::protocol::registration::Registration;
use amurg_runtime::secret::Secret;
use crossbeam_channel::{Sender, unbounded};
use serde_json::json;

use crate::fake::{
    Event, FakeHub, LIMIT, Peer, Runtime, TOKEN, logged, number_of, output, settings, unread,
};

#[test]
fn the_token_is_in_the_hello_and_in_the_header() {
    let hub = FakeHub::new();
    let _runtime = Runtime::start(settings(hub.address));
    let (peer, hello) = hub.hello();
    assert_eq!(peer.authorization, format!("Bearer {TOKEN}"));
    assert_eq!(hello["payload"]["token"], TOKEN);
    assert_eq!(hello["payload"]["runtime_id"], "test-runtime");
}

#[test]
fn nothing_is_sent_before_a_late_ack_and_what_came_before_it_is_handed_on() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let lane = runtime.lane("s");
    lane.send(output("s", 0, 1));
    let (mut peer, _) = hub.hello();
    peer.say("session.create", json!({ "session_id": "early", "agent_id": "sh", "user_id": "u" }));
    peer.socket.get_ref().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(peer.socket.read().is_err(), "something was sent before the ack");
    peer.socket.get_ref().set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(runtime.hub.status().state, LinkState::Connecting);
    peer.ack();
    assert!(matches!(runtime.event(), Event::Registered { first: true }));
    let Inbound::SessionCreate(create) = runtime.expect_message() else { panic!("not a session") };
    assert_eq!(create.session_id, "early");
    assert_eq!(number_of(&peer.read().unwrap()), 0);
}

#[test]
fn an_ack_that_does_not_come_is_a_failure_and_early_messages_are_not_lost() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.dial.ack = Duration::from_millis(200);
    let runtime = Runtime::start(settings);
    let (mut silent, _) = hub.hello();
    silent
        .say("session.create", json!({ "session_id": "early", "agent_id": "sh", "user_id": "u" }));
    let (mut peer, _) = hub.hello();
    assert!(matches!(runtime.expect_message(), Inbound::SessionCreate(_)));
    peer.ack();
    runtime.expect_registered();
    let error = runtime.hub.status().last_error.unwrap();
    assert!(error.contains("did not answer the hello within 200ms"), "{error}");
}

#[test]
fn a_refusal_names_the_runtime_and_never_the_token() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.runtime_id = "refused-runtime".into();
    settings.hub.max_reconnect_delay = Duration::from_secs(60);
    let runtime = Runtime::start(settings);
    let (mut peer, _) = hub.hello();
    peer.say("hello.ack", json!({ "ok": false, "error": format!("bad token {TOKEN}") }));
    drop(peer);
    runtime.until("refused", |status| status.state == LinkState::Refused);
    let status = runtime.hub.status();
    let next = status.next_dial.unwrap();
    assert!(next > Duration::from_secs(40) && next < Duration::from_secs(76), "{next:?}");
    assert!(status.last_error.unwrap().contains("bad token (token)"));
    let lines = logged();
    assert!(lines.iter().any(|line| line.starts_with("ERROR") && line.contains("refused-runtime")));
    assert!(!lines.iter().any(|line| line.contains(TOKEN)), "the token is in the log");
    assert!(runtime.events.is_empty(), "nobody was registered");
}

/// Keeps a token for the life of a test, and says when it got one.
struct Memory(Mutex<Option<Secret>>, Sender<()>);

impl TokenStore for Memory {
    fn current(&self) -> Option<Secret> {
        self.0.lock().unwrap().clone()
    }
    fn store(&self, token: &Secret) {
        *self.0.lock().unwrap() = Some(token.clone());
        self.1.send(()).unwrap();
    }
    fn forget(&self) {
        *self.0.lock().unwrap() = None;
    }
}

#[test]
fn a_refreshed_token_is_tried_first_and_a_refusal_makes_the_configured_one_next() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    let (keeping, kept) = unbounded();
    let memory = Arc::new(Memory(Mutex::default(), keeping));
    settings.tokens = memory.clone();
    let runtime = Runtime::start(settings);
    let (mut peer, hello) = hub.hello();
    assert_eq!(hello["payload"]["token"], TOKEN);
    peer.ack();
    runtime.expect_registered();
    peer.say("runtime.token_refresh", json!({ "token": "given" }));
    let Inbound::TokenRefresh { token } = runtime.expect_message() else { panic!("not a token") };
    let sink = runtime.hub.token_sink();
    sink(token);
    sink(Secret::new("not a token".into()));
    kept.recv_timeout(LIMIT).expect("it is kept");
    peer.reset();
    let (mut peer, hello) = hub.hello();
    assert_eq!(hello["payload"]["token"], "given");
    peer.say("hello.ack", json!({ "ok": false, "error": "expired" }));
    drop(peer);
    let (_peer, hello) = hub.hello();
    assert_eq!(hello["payload"]["token"], TOKEN);
    assert!(memory.current().is_none(), "what was refused is forgotten");
}

#[test]
fn changed_registrations_are_told_at_once_and_unchanged_settings_change_nothing() {
    let hub = FakeHub::new();
    let settings = settings(hub.address);
    let runtime = Runtime::start(settings.clone());
    let mut peer = hub.registered();
    runtime.expect_registered();
    let lane = runtime.lane("s");
    lane.send(output("s", 0, 1));
    peer.read().unwrap();
    runtime.hub.update(settings.clone());
    lane.send(output("s", 1, 1));
    assert_eq!(number_of(&peer.read().unwrap()), 1, "on the same connection");

    let mut changed = settings;
    changed.registrations = Arc::new([registration("new")]);
    let closed = std::thread::spawn(move || peer.read_to_end());
    runtime.hub.update(changed);
    let (mut peer, hello) = hub.hello();
    assert_eq!(hello["payload"]["endpoints"][0]["id"], "new");
    assert!(closed.join().unwrap().is_empty());
    peer.ack();
    runtime.expect_lost();
    assert!(matches!(runtime.event(), Event::Registered { first: false }));
    lane.send(output("s", 2, 1));
    assert_eq!(number_of(&peer.read().unwrap()), 2, "what was confirmed is not repeated");
}

fn registration(id: &str) -> Registration {
    let program = Program { command: "cat".into(), ..Program::default() };
    Registration::of(&Endpoint {
        id: id.into(),
        name: id.into(),
        tags: BTreeMap::new(),
        limits: Limits::default(),
        security: Security::default(),
        profile: Profile::Job(Job { program, max_runtime: LIMIT }),
    })
}

#[test]
fn a_new_token_ends_the_wait_after_a_refusal() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.hub.max_reconnect_delay = Duration::from_secs(60);
    let runtime = Runtime::start(settings.clone());
    let (mut peer, _) = hub.hello();
    peer.say("hello.ack", json!({ "ok": false }));
    drop(peer);
    runtime.until("refused", |status| status.state == LinkState::Refused);
    settings.token = Secret::new("better".into());
    runtime.hub.update(settings);
    let (_, hello) = hub.hello();
    assert_eq!(hello["payload"]["token"], "better");
}

#[test]
fn a_hub_that_closes_each_connection_at_once_makes_another_process_suspected() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.runtime_id = "superseded-runtime".into();
    settings.hub.reconnect_interval = Duration::from_millis(100);
    settings.hub.max_reconnect_delay = Duration::from_millis(100);
    let _runtime = Runtime::start(settings);
    for _ in 0..4 {
        drop(hub.registered());
    }
    let warned =
        |line: &String| line.contains("another process") && line.contains("superseded-runtime");
    assert!(logged().iter().any(warned), "{:?}", logged());
}

#[test]
fn garbage_is_skipped_and_the_connection_stays() {
    use tungstenite::Message;
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let invalid = Frame::message(b"{\"type\":\"\xff\"}".to_vec(), OpCode::Data(Data::Text), true);
    let deep = "[".repeat(200_000);
    for message in [
        Message::text(""),
        Message::text("not JSON"),
        Message::text("[]"),
        Message::text("{}"),
        Message::text(r#"{"type":7}"#),
        Message::text(deep),
        Message::binary(vec![0; 100]),
        Message::Frame(invalid),
        Message::text("x".repeat(32 << 20)),
    ] {
        peer.socket.send(message).unwrap();
    }
    peer.say("session.create", json!({ "session_id": "after", "agent_id": "sh", "user_id": "u" }));
    let Inbound::SessionCreate(create) = runtime.expect_message() else { panic!("not a session") };
    assert_eq!(create.session_id, "after");
}

#[test]
fn a_probe_says_how_long_each_step_took_and_hangs_up() {
    let hub = FakeHub::new();
    let settings = settings(hub.address);
    let probing = std::thread::spawn(move || probe(&settings, Extent::Hello, |_| {}));
    assert!(hub.registered().read_to_end().is_empty());
    let probed = probing.join().unwrap();
    let report = probed.outcome.unwrap();
    assert_eq!(report.address, hub.address);
    let steps: Vec<Step> = probed.steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [Step::Resolve, Step::Connect, Step::Upgrade, Step::Hello]);
    assert!(probed.steps.iter().all(|(_, took)| *took > Duration::ZERO));
}

#[test]
fn a_probe_that_says_no_hello_leaves_before_it() {
    let hub = FakeHub::new();
    let settings = settings(hub.address);
    let probing = std::thread::spawn(move || probe(&settings, Extent::Reach, |_| {}));
    assert!(Peer::upgrade(hub.tcp()).read_to_end().is_empty());
    let probed = probing.join().unwrap();
    assert!(probed.outcome.is_ok());
    assert_eq!(probed.steps.last().map(|(step, _)| *step), Some(Step::Upgrade));
}

#[test]
fn a_probe_tells_at_which_step_it_failed() {
    let hub = FakeHub::new();
    let settings = settings(hub.address);
    let probing = std::thread::spawn(move || probe(&settings, Extent::Hello, |_| {}));
    let (mut peer, _) = hub.hello();
    peer.say("hello.ack", json!({ "ok": false, "error": format!("bad token {TOKEN}") }));
    let probed = probing.join().unwrap();
    assert_eq!(probed.steps.last().map(|(step, _)| *step), Some(Step::Hello));
    let error = probed.outcome.unwrap_err().to_string();
    assert!(error.contains("refused the hello") && !error.contains(TOKEN), "{error}");
}

#[test]
fn a_connection_that_nobody_reads_any_more_is_closed_and_made_anew() {
    let fake = FakeHub::new();
    let (hub, said) = unread(settings(fake.address), 1 << 20);
    for round in 0..2 {
        let peer = fake.registered();
        let event = said.recv_timeout(LIMIT).expect("a connection");
        let HubEvent::Registered { first, reader } = event else { panic!("not a connection") };
        assert_eq!(first, round == 0);
        drop(reader);
        assert!(peer.read_to_end().is_empty());
    }
    hub.shutdown(Instant::now() + LIMIT);
}
