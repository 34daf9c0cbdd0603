//! Which sessions exist: made, refused, made again, making room.

use std::time::Instant;

use amurg_runtime::protocol::Dialect;
use serde_json::json;

use crate::support::scene::{Scene, cli, job};
use crate::support::soon;

#[test]
fn an_unknown_agent_is_refused_in_words() {
    let scene = Scene::new("session_unknown_agent").agent(job("a", "true", &[])).start();
    scene.client.raw(
        &json!({
            "type": "session.create", "ts": "2026-01-01T00:00:00Z",
            "payload": { "session_id": "s", "agent_id": "gone\u{1b}[31m", "user_id": "ann" },
        })
        .to_string(),
    );
    let error = scene.adopt("s").created().expect_err("refused");
    assert!(error.contains("no agent") && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn what_is_missing_is_named_at_creation() {
    let scene = Scene::new("session_missing")
        .agent(cli("command", "no-such-command", &[]))
        .agent(json!({
            "id": "directory", "profile": "generic-cli",
            "cli": { "command": "cat", "work_dir": "/no/such/directory" },
        }))
        .start();
    for (agent, word) in [("command", "no-such-command"), ("directory", "/no/such/directory")] {
        let session = scene.adopt(&scene.client.create_session(agent, "ann"));
        let error = session.created().expect_err("refused");
        assert!(error.contains(word), "{error}");
        // Older hubs show nobody the error of a session.created.
        session.shows("system", word);
    }
}

#[test]
fn the_same_session_again_is_a_reattach() {
    let scene =
        Scene::new("session_reattach").agent(cli("sh", "sh", &[])).agent(job("j", "true", &[]));
    let scene = scene.start();
    let session = scene.session("sh");
    session.say("x=1").ended(None);
    scene.client.create_session_as(&session.id, "sh", "ann");
    let answers = |ok: bool| {
        let mut seen = 0;
        session.wait_for("session.created", "a second answer", |frame| {
            seen += 1;
            seen > 1 && frame.field("ok") == &json!(ok)
        });
    };
    answers(true);
    assert_eq!(session.say("echo $x").output(), "1\n");
    scene.client.create_session_as(&session.id, "j", "ann");
    answers(false);
}

#[test]
fn a_closed_session_goes_on_with_its_next_message() {
    // An older hub's messages say nothing about their session: it is remembered.
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene =
            Scene::new("session_again").dialect(dialect).agent(cli("sh", "sh", &[])).start();
        let session = scene.session("sh");
        session.say("x=1").ended(None);
        session.close();
        scene.no_process_left();
        assert_eq!(session.say("echo new$x").output(), "new\n");
    }
}

#[test]
fn a_session_from_before_is_made_again_from_its_message() {
    let scene = Scene::new("session_metadata").agent(job("cat", "cat", &[])).start();
    scene.client.know_session("older", "cat", "ann");
    assert_eq!(scene.adopt("older").say("hello").output(), "hello");
}

#[test]
fn a_message_for_nobody_is_answered() {
    let scene =
        Scene::new("session_nobody").dialect(Dialect::Endpoint).agent(job("cat", "cat", &[]));
    let scene = scene.start();
    scene.client.know_session("forgotten", "cat", "ann");
    let session = scene.adopt("forgotten");
    session.say("hello").ended(None);
    session.shows("system", "does not know this session");
}

#[test]
fn the_caps_hold_and_say_what_they_are() {
    let scene = Scene::new("session_caps")
        .set("/runtime/max_sessions", json!(2))
        .agent(json!({
            "id": "one", "profile": "generic-cli", "cli": { "command": "cat" },
            "limits": { "max_sessions": 1 },
        }))
        .agent(cli("many", "cat", &[]))
        .start();
    scene.session("one");
    let error = scene.try_session("one").err().expect("refused");
    assert!(error.contains("limits.max_sessions"), "{error}");
    scene.session("many");
    let error = scene.try_session("many").err().expect("refused");
    assert!(error.contains("runtime.max_sessions"), "{error}");
}

#[test]
fn a_quiet_session_makes_room_and_comes_back() {
    let scene = Scene::new("session_reclaim")
        .set("/runtime/max_sessions", json!(1))
        .set("/runtime/reclaim_after", json!("1ms"))
        .agent(cli("sh", "sh", &[]))
        .start();
    let first = scene.session("sh");
    first.say("true").ended(None);
    let deadline = soon();
    let second = loop {
        match scene.try_session("sh") {
            Ok(session) => break session,
            // Not quiet for a millisecond yet.
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    first.shows("system", "made room for another one");
    second.say("true").ended(None);
    // Refused while the second was busy less than a millisecond ago.
    while !first.output_on("stdout").contains("back\n") {
        assert!(Instant::now() < deadline, "{:?}", first.output());
        first.say("echo back").end();
    }
}

#[test]
fn a_session_in_use_makes_no_room() {
    let scene = Scene::new("session_busy")
        .set("/runtime/max_sessions", json!(1))
        .set("/runtime/reclaim_after", json!("1ms"))
        .agent(job("sleep", "sleep", &["1000"]))
        .start();
    let busy = scene.session("sleep");
    let turn = busy.say("");
    turn.started();
    assert!(scene.try_session("sleep").is_err());
    busy.stop();
    turn.end();
}

#[test]
fn a_slow_start_holds_up_nobody_else() {
    let scene = Scene::new("session_slow_start")
        .agent(cli("slow", "sh", &["-c", "sleep 0.5; exec sh"]))
        .agent(job("quick", "echo", &["quick"]))
        .start();
    let slow = scene.adopt(&scene.client.create_session("slow", "ann"));
    let quick = scene.session("quick");
    assert_eq!(quick.say("").output(), "quick\n");
    assert_eq!(slow.say("echo late").output(), "late\n");
}

#[test]
fn hostile_ids_are_only_ids() {
    let scene = Scene::new("session_hostile").agent(job("pwd", "sh", &["-c", "cat"])).start();
    for id in ["../../etc", "a\nb", "\u{1b}[2J", "/", "..", "x\u{0}y", &"i".repeat(256)] {
        scene.client.create_session_as(id, "pwd", "../ann");
        let session = scene.adopt(id);
        let turn = session.say("fine");
        turn.end();
        scene.client.close_session(id, "");
    }
    for line in scene.log() {
        assert!(!line.contains('\u{1b}') && !line.contains('\u{0}'), "{line:?}");
    }
}
