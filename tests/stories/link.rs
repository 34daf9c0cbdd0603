//! The link to the hub: credentials, garbage, loss and return.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use amurg_runtime::loopback::{Incoming, Verdict};
use amurg_runtime::protocol::Dialect;
use serde_json::json;

use crate::support::scene::{Scene, TOKEN, cli, job};
use crate::support::soon;

#[test]
fn a_wrong_token_is_told_clearly_and_never_printed() {
    let scene = Scene::new("link_wrong_token")
        .set("/hub/token", json!("a-very-wrong-token"))
        .set("/hub/max_reconnect_delay", json!("200ms"))
        .agent(job("j", "true", &[]))
        .start_unregistered();
    let line = scene.logged("refused");
    assert!(line.contains("ERROR") && line.contains("link_wrong_token"), "{line}");
    // It tries again, at the longest delay.
    let mut hellos = 0;
    let again = scene.client.wait_for(soon(), |frame| {
        hellos += usize::from(frame.is("runtime.hello"));
        (hellos > 2).then_some(())
    });
    assert!(again.is_ok(), "it went on trying");
    for line in scene.log() {
        assert!(!line.contains("a-very-wrong-token"), "{line}");
    }
    assert!(scene.terminate().success());
}

#[test]
fn nothing_but_the_hello_is_sent_before_the_ack() {
    let scene = Scene::new("link_hello_first").agent(cli("sh", "sh", &["-c", "echo up; exec cat"]));
    let scene = scene.start();
    let early = r#"{"type":"session.create","ts":"2026-01-01T00:00:00Z","payload":{"session_id":"early","agent_id":"sh","user_id":"ann"}}"#;
    scene.hub.set_script(Some(Arc::new(move |incoming: &Incoming<'_>| {
        if incoming.is("runtime.hello") {
            // Handled before the ack: a hub registers first.
            incoming.reply(early);
            return Verdict::Delay(Duration::from_millis(200));
        }
        Verdict::Handle
    })));
    scene.client.know_session("early", "sh", "ann");
    scene.hub.drop_connections(false);
    scene.adopt("early").created().expect("made before the ack");
    let frames = scene.hub.frames();
    let mut kinds =
        frames.iter().filter(|frame| frame.is("hello.ack") || frame.is("session.created"));
    assert!(kinds.next_back().is_some_and(|frame| frame.is("session.created")));
}

#[test]
fn a_hub_that_restarts_in_mid_turn_is_told_the_end() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = Scene::new("link_restart")
            .dialect(dialect)
            .agent(job("j", "sh", &["-c", "echo one; read x; echo two; exit 5"]))
            .agent(cli("sh", "bash", &[]))
            .start();
        let session = scene.session("sh");
        let turn = session.say("echo one; sleep 0.6; echo two; exit 5");
        session.shows("stdout", "one\n");
        scene.hub.drop_connections(true);
        turn.ended(5);
        scene.registered();
        assert_eq!(session.output_on("stdout"), "one\ntwo\n");
        scene.every_turn_ended();
        assert_eq!(session.say("echo three").output(), "three\n");
    }
}

#[test]
fn garbage_frames_change_nothing() {
    let scene = Scene::new("link_garbage").agent(job("cat", "cat", &[])).start();
    let session = scene.session("cat");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!(r#"{{"type":"user.message","payload":{{"session_id":{deep}}}}}"#);
    let large = format!(
        r#"{{"type":"stop.request","payload":{{"session_id":"{}"}}}}"#,
        "x".repeat(1 << 20)
    );
    for garbage in [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        r#"{"type":7}"#,
        r#"{"type":"user.message"}"#,
        r#"{"type":"user.message","payload":null}"#,
        r#"{"type":"user.message","payload":{"session_id":3,"message_id":"m","content":"c"}}"#,
        r#"{"type":"user.message","payload":{"session_id":"s","message_id":"m"}}"#,
        r#"{"type":"session.create","payload":{"session_id":"","agent_id":"cat","user_id":"u"}}"#,
        r#"{"type":"file.upload","payload":{"session_id":"s","metadata":{"name":"x"},"data":"%%%"}}"#,
        r#"{"type":"agent.config_update","payload":{"agent_id":"cat","limits":{"idle_timeout":[]}}}"#,
        r#"{"type":"from.the.future","payload":{"a":1}}"#,
        r#"{"type":"user.message","payload":{"session_id":"\ud800","message_id":"m","content":"c"}}"#,
        &deep,
        &nested,
        &large,
    ] {
        scene.client.raw(garbage);
    }
    assert_eq!(session.say("still here").output(), "still here");
    let registrations = scene.hub.frames().iter().filter(|frame| frame.is("runtime.hello")).count();
    assert_eq!(registrations, 1, "the connection was kept");
}

#[test]
fn a_refreshed_token_is_used_for_the_next_connection_and_kept() {
    let scene = Scene::new("link_refresh").agent(job("cat", "cat", &[])).start();
    scene.client.token_refresh("fresh-token");
    let token = scene.dir.path().join("state/link_refresh/token");
    assert_eq!(scene.session("cat").say("x").output(), "x");
    scene.hub.drop_connections(false);
    let used = scene.client.wait_for(soon(), |frame| {
        (frame.is("runtime.hello") && frame.text_of("token") == "fresh-token").then_some(())
    });
    assert!(used.is_ok(), "the next hello carries it");
    scene.registered();
    scene.terminate();
    let mode = std::fs::metadata(&token).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for line in scene.log() {
        assert!(!line.contains("fresh-token") && !line.contains(TOKEN), "{line}");
    }
}

#[test]
fn an_agents_own_sessions_are_an_empty_list() {
    let scene = Scene::new("link_native").agent(job("cat", "cat", &[])).start();
    let request = scene.client.native_sessions_list("cat");
    let answer = scene.client.wait_for(soon(), |frame| {
        (frame.is("native.sessions.response") && frame.text_of("request_id") == request)
            .then(|| frame.field("sessions").clone())
    });
    assert_eq!(answer.ok(), Some(json!([])));
}
