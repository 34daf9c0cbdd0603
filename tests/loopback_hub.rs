//! The loopback hub does on the wire what real hubs of each dialect do.

mod support;

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use amurg_runtime::loopback::{
    Client, Direction, Event, Frame, Incoming, Keep, LoopbackHub, Options, Received, SessionState,
    Verdict,
};
use amurg_runtime::protocol::Dialect;
use crossbeam_channel::bounded;
use serde_json::json;
use support::bare_runtime::{BareRuntime, Ending};
use support::soon;
use tungstenite::protocol::frame::coding::CloseCode;

const BOTH: [Dialect; 2] = [Dialect::Endpoint, Dialect::Agent];
const TOKEN: &str = "lab-token";

fn hub(dialect: Dialect) -> LoopbackHub {
    LoopbackHub::start(Options::new(dialect, TOKEN)).expect("a hub")
}

fn registered(hub: &LoopbackHub) -> BareRuntime {
    BareRuntime::registered(hub.address(), "lab", "sh", TOKEN)
}

/// Waits until the hub has handled a message of this kind.
fn handled(client: &Client, kind: &str) -> Arc<Frame> {
    client.wait_for(soon(), |frame| frame.is(kind).then(|| Arc::clone(frame))).expect(kind)
}

#[test]
fn a_message_is_spelled_as_its_dialect_has_it() {
    for (dialect, id_field, metadata) in
        [(Dialect::Endpoint, "endpoint_id", false), (Dialect::Agent, "agent_id", true)]
    {
        let hub = hub(dialect);
        let mut runtime = registered(&hub);
        let client = hub.client();

        let session = client.create_session("sh", "ann");
        let create = runtime.read();
        assert_eq!(create["type"], "session.create");
        assert_eq!(create["payload"]["session_id"], session.as_str());
        assert_eq!(create["payload"][id_field], "sh");
        assert_eq!(create["payload"]["user_id"], "ann");

        let message = client.send_message(&session, "echo hi");
        let user_message = runtime.read();
        assert_eq!(user_message["type"], "user.message");
        assert_eq!(user_message["payload"]["message_id"], message.as_str());
        assert_eq!(user_message["payload"]["content"], "echo hi");
        assert_eq!(user_message["payload"]["user_id"] == "ann", metadata);

        client.config_update("sh", None, Some(json!({ "max_sessions": 3 })));
        let push = runtime.read();
        assert_eq!(push["type"] == "agent.config_update", dialect == Dialect::Agent);
        assert_eq!(push["payload"][id_field], "sh");

        client.upload(&session, "a.txt", "text/plain", b"content");
        let upload = runtime.read();
        assert_eq!(upload["payload"]["data"], "Y29udGVudA==");
        assert_eq!(upload["payload"]["metadata"]["size"], 7);
    }
}

#[test]
fn a_turn_is_followed_and_its_output_shown_once() {
    for dialect in BOTH {
        let hub = hub(dialect);
        let mut runtime = registered(&hub);
        let client = hub.client();
        let session = client.create_session("sh", "ann");
        let message = client.send_message(&session, "echo hi");

        let turn = json!({ "session_id": session, "in_response_to": message, "exit_code": 0 });
        let chunk = json!({
            "session_id": session, "message_id": "o1", "seq": 1, "channel": "stdout",
            "content": "hi\n", "final": false,
        });
        runtime.say("turn.started", &turn);
        runtime.say("agent.output", &chunk);
        handled(&client, "agent.output");
        assert_eq!(client.session_state(&session), Some(SessionState::Responding));

        runtime.say("agent.output", &chunk);
        runtime.say("turn.completed", &turn);
        assert_eq!(handled(&client, "turn.completed").field("exit_code"), 0);
        assert_eq!(client.session_state(&session), Some(SessionState::Active));

        let shown = client.output(&session);
        assert_eq!(shown.len(), 1, "the same message_id is the same entry: {shown:?}");
        assert_eq!((shown[0].channel.as_str(), shown[0].content.as_str()), ("stdout", "hi\n"));
        assert_eq!(hub.counts().output[&session].0, 2);
    }
}

#[test]
fn a_wrong_token_is_refused_with_an_ack_and_a_bare_close() {
    for dialect in BOTH {
        let hub = hub(dialect);
        let mut runtime = BareRuntime::connect(hub.address());
        runtime.hello("lab", "sh", "wrong");
        let ack = runtime.read();
        assert_eq!(ack["type"], "hello.ack");
        assert_eq!(ack["payload"]["ok"], false);
        assert_eq!(ack["payload"]["error"], "invalid runtime credentials");
        assert_eq!(runtime.read_ending(), Ending::Fin);
        hub.client().wait_offline(soon()).expect("never registered");
    }
}

#[test]
fn tokens_come_and_go() {
    let hub = hub(Dialect::Agent);
    let mut runtime = registered(&hub);
    hub.client().token_refresh("fresh");
    assert_eq!(runtime.read()["payload"]["token"], "fresh");
    BareRuntime::registered(hub.address(), "lab", "sh", "fresh");

    hub.forbid_token("fresh");
    let mut refused = BareRuntime::connect(hub.address());
    refused.hello("lab", "sh", "fresh");
    assert_eq!(refused.read()["payload"]["ok"], false);
}

#[test]
fn whoever_does_not_begin_with_a_hello_is_refused() {
    let hub = hub(Dialect::Agent);
    let mut stranger = BareRuntime::connect(hub.address());
    stranger.say("agent.output", &json!({}));
    assert_eq!(stranger.read()["payload"]["ok"], false);
    assert_eq!(stranger.read_ending(), Ending::Fin);
}

#[test]
fn a_newer_hub_closes_the_connection_that_is_replaced() {
    let hub = hub(Dialect::Agent);
    let mut old = registered(&hub);
    let mut new = registered(&hub);
    assert_eq!(old.read_ending(), Ending::Fin);
    let ended = |event: &Event| matches!(event, Event::Ended { connection: 1, .. }).then_some(());
    hub.client().wait_for_event(soon(), ended).expect("the old one ended");

    let session = hub.client().create_session("sh", "ann");
    assert_eq!(new.read()["payload"]["session_id"], session.as_str());
}

#[test]
fn an_older_hub_goes_deaf_to_the_new_connection_when_the_old_one_ends() {
    let hub = hub(Dialect::Endpoint);
    let client = hub.client();
    let mut old = registered(&hub);
    let mut new = registered(&hub);
    client.create_session("sh", "ann");
    assert_eq!(new.read()["type"], "session.create");
    old.ping(b"still open");
    assert_eq!(old.read_pong(), b"still open");

    drop(old);
    client.wait_offline(soon()).expect("the registration went with the old connection");
    let lost = client.create_session("sh", "ann");
    new.ping(b"connected");
    assert_eq!(new.read_pong(), b"connected", "nothing else was sent");
    let dropped = |event: &Event| match event {
        Event::Dropped(frame) => Some(frame.session().map(str::to_owned)),
        _ => None,
    };
    assert_eq!(client.wait_for_event(soon(), dropped).expect("dropped"), Some(lost));
}

#[test]
fn a_pong_comes_after_what_was_sent_before_its_ping() {
    let hub = hub(Dialect::Agent);
    let (held, is_held) = bounded(1);
    let (release, released) = bounded::<()>(0);
    hub.set_script(Some(Arc::new(move |incoming: &Incoming<'_>| {
        if incoming.is("agent.output") {
            held.send(()).expect("the test waits");
            return Verdict::Hold(released.clone());
        }
        Verdict::Handle
    })));
    let mut runtime = registered(&hub);
    runtime.say("agent.output", &json!({ "session_id": "s" }));
    runtime.ping(b"p");

    is_held.recv_timeout(support::PATIENCE).expect("the message is held");
    assert_eq!(hub.counts().pings, 0, "nothing behind a held message is read");
    drop(release);
    assert_eq!(runtime.read_pong(), b"p");
    let order: Vec<_> = hub.events().iter().map(ToString::to_string).collect();
    assert!(order[order.len() - 2].contains("agent.output"), "{order:?}");
    assert!(order[order.len() - 1].contains("ping"), "{order:?}");
}

#[test]
fn a_script_ignores_refuses_and_speaks_before_the_ack() {
    let hub = hub(Dialect::Agent);
    hub.set_script(Some(Arc::new(|incoming: &Incoming<'_>| match incoming.what {
        Received::Ping(b"lost") => Verdict::Ignore,
        Received::Frame(frame) if frame.text_of("runtime_id") == "unwanted" => {
            Verdict::Refuse("not you".to_owned())
        }
        Received::Frame(frame) if frame.is("runtime.hello") => {
            incoming.reply(r#"{"type":"runtime.token_refresh","payload":{"token":"t"}}"#);
            Verdict::Delay(Duration::from_millis(1))
        }
        _ => Verdict::Handle,
    })));

    let mut unwanted = BareRuntime::connect(hub.address());
    unwanted.hello("unwanted", "sh", TOKEN);
    assert_eq!(unwanted.read()["payload"]["error"], "not you");

    let mut runtime = BareRuntime::connect(hub.address());
    runtime.hello("lab", "sh", TOKEN);
    assert_eq!(runtime.read()["type"], "runtime.token_refresh");
    assert_eq!(runtime.read()["type"], "hello.ack");
    runtime.ping(b"lost");
    runtime.ping(b"found");
    assert_eq!(runtime.read_pong(), b"found");
}

#[test]
fn a_script_cuts_at_a_message_of_its_choice() {
    for (reset, ending) in [(true, Ending::Reset), (false, Ending::Fin)] {
        let hub = hub(Dialect::Agent);
        hub.set_script(Some(Arc::new(move |incoming: &Incoming<'_>| {
            if incoming.is("turn.started") { Verdict::Cut { reset } } else { Verdict::Handle }
        })));
        let mut runtime = registered(&hub);
        runtime.say("turn.started", &json!({ "session_id": "s" }));
        assert_eq!(runtime.read_ending(), ending);
        let handled = hub.frames();
        assert!(!handled.iter().any(|frame| frame.is("turn.started")), "it was not handled");
    }
}

#[test]
fn a_frame_above_the_limit_is_closed_with_1009() {
    for dialect in BOTH {
        let mut options = Options::new(dialect, TOKEN);
        options.max_file_bytes = 1;
        let hub = LoopbackHub::start(options).expect("a hub");
        let mut runtime = registered(&hub);
        runtime.say("agent.output", &json!({ "content": "x".repeat(900_000) }));
        runtime.ping(b"small enough");
        assert_eq!(runtime.read_pong(), b"small enough");
        runtime.say("agent.output", &json!({ "content": "x".repeat(1_100_000) }));
        assert_eq!(runtime.read_ending(), Ending::Close(Some(CloseCode::Size)));
    }
}

#[test]
fn connections_are_dropped_with_a_reset_or_a_plain_close() {
    for (reset, ending) in [(true, Ending::Reset), (false, Ending::Fin)] {
        let hub = hub(Dialect::Endpoint);
        let mut runtime = registered(&hub);
        hub.drop_connections(reset);
        assert_eq!(runtime.read_ending(), ending);
        hub.client().wait_offline(soon()).expect("unregistered");
        registered(&hub);
    }
}

#[test]
fn a_writer_that_hangs_in_a_full_socket_is_cut_all_the_same() {
    for reset in [true, false] {
        let hub = hub(Dialect::Agent);
        let _never_reads = registered(&hub);
        // More than any socket's buffers take, and more than the queue's 1,024 messages hold.
        let client = hub.client();
        let flood = "x".repeat(1 << 20);
        let flooding = thread::spawn(move || {
            for _ in 0..1100 {
                client.raw(&flood);
            }
        });
        let seen = |event: &Event| (event.frame()?.text().len() == 1 << 20).then_some(());
        hub.client().wait_for_event(soon(), seen).expect("the flood began");
        let (done, is_done) = bounded(1);
        thread::spawn(move || {
            hub.drop_connections(reset);
            done.send(()).expect("the test waits");
        });
        is_done.recv_timeout(support::PATIENCE).expect("the connection is gone");
        flooding.join().expect("nobody is left waiting");
    }
}

#[test]
fn a_hub_goes_down_and_comes_up_with_all_it_knew() {
    let hub = hub(Dialect::Agent);
    let mut runtime = registered(&hub);
    let session = hub.client().create_session("sh", "ann");
    assert_eq!(runtime.read()["type"], "session.create");
    hub.go_down();
    assert_eq!(runtime.read_ending(), Ending::Fin);
    assert!(BareRuntime::try_connect(hub.address()).is_err(), "nobody listens");

    hub.come_up().expect("the same port");
    let mut runtime = registered(&hub);
    assert_eq!(hub.client().session_state(&session), Some(SessionState::Created));
    hub.client().send_message(&session, "again");
    assert_eq!(runtime.read()["payload"]["content"], "again");
}

#[test]
fn only_a_silent_runtime_is_dropped() {
    let mut options = Options::new(Dialect::Agent, TOKEN);
    options.ping_every = Some(Duration::from_millis(500));
    let hub = LoopbackHub::start(options).expect("a hub");
    let silent = registered(&hub);
    let mut answers = BareRuntime::registered(hub.address(), "other", "sh", TOKEN);
    let socket = answers.socket.get_ref().try_clone().expect("a second handle");
    // Reading is what answers pings.
    let answering = thread::spawn(move || while answers.socket.read().is_ok() {});
    let ended = |event: &Event| match event {
        Event::Ended { connection, why, .. } => Some((*connection, *why)),
        _ => None,
    };
    let (connection, why) = hub.client().wait_for_event(soon(), ended).expect("one is dropped");
    assert_eq!((connection, why), (1, "nothing read for two ping intervals"));
    assert_eq!(hub.events().iter().filter(|event| ended(event).is_some()).count(), 1);
    drop(silent);
    socket.shutdown(Shutdown::Both).expect("still open");
    answering.join().expect("the other one");
}

#[test]
fn a_hub_ends_while_a_message_is_held() {
    let hub = hub(Dialect::Agent);
    let (_never, released) = bounded::<()>(0);
    let (held, is_held) = bounded(1);
    hub.set_script(Some(Arc::new(move |_: &Incoming<'_>| {
        held.send(()).expect("the test waits");
        Verdict::Hold(released.clone())
    })));
    let mut runtime = BareRuntime::connect(hub.address());
    runtime.hello("lab", "sh", TOKEN);
    is_held.recv_timeout(support::PATIENCE).expect("the hello is held");
    let (done, is_done) = bounded(1);
    thread::spawn(move || {
        drop(hub);
        done.send(()).expect("the test waits");
    });
    is_done.recv_timeout(support::PATIENCE).expect("every thread has ended");
}

#[test]
fn a_counting_hub_keeps_no_output() {
    let mut options = Options::new(Dialect::Agent, TOKEN);
    options.keep = Keep::AllButOutput;
    let (tap, tapped) = bounded(8);
    options.tap = Some(tap);
    let hub = LoopbackHub::start(options).expect("a hub");
    let mut runtime = registered(&hub);
    runtime.say("agent.output", &json!({ "session_id": "s", "content": "x" }));
    runtime.say("turn.completed", &json!({ "session_id": "s" }));
    handled(&hub.client(), "turn.completed");
    assert_eq!(hub.counts().output["s"].0, 1);
    assert!(!hub.frames().iter().any(|frame| frame.is("agent.output")));
    for kind in ["runtime.hello", "agent.output", "turn.completed"] {
        let frame = tapped.recv_timeout(support::PATIENCE).expect("every message");
        assert_eq!(frame.kind(), kind);
    }
}

#[test]
fn a_bearer_token_is_noticed_but_not_needed() {
    let hub = hub(Dialect::Agent);
    registered(&hub);
    let opened = |event: &Event| match event {
        Event::Opened { authorized, .. } => Some(*authorized),
        _ => None,
    };
    assert!(!hub.client().wait_for_event(soon(), opened).expect("opened"));
    let sent = hub.frames().into_iter().find(|frame| frame.direction == Direction::ToRuntime);
    assert_eq!(sent.expect("an ack").kind(), "hello.ack");
}

#[test]
fn what_asks_for_no_websocket_gets_no_answer() {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    let hub = hub(Dialect::Endpoint);
    let answer = |first: &str, headers: &[&str]| {
        let mut stream = TcpStream::connect(hub.address()).expect("a connection");
        stream.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
        let head = format!("{first}\r\nHost: hub\r\n{}\r\n\r\n", headers.join("\r\n"));
        stream.write_all(head.as_bytes()).expect("a request");
        let mut answer = [0; 12];
        // A reset says no as well as an end.
        let count = stream.read(&mut answer).unwrap_or_default();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    };
    let right = [
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    assert_eq!(answer("GET / HTTP/1.1", &right), "HTTP/1.1 101");
    for missing in 0..right.len() {
        let mut headers = right.to_vec();
        let without = headers.remove(missing);
        assert_eq!(answer("GET / HTTP/1.1", &headers), "", "without {without}");
    }
    assert_eq!(answer("POST / HTTP/1.1", &right), "");
    assert_eq!(answer("GET / HTTP/1.0", &right), "");
    let short = [right[0], right[1], right[2], "Sec-WebSocket-Key: c2hvcnQ="];
    assert_eq!(answer("GET / HTTP/1.1", &short), "");
}
