//! A turn begins with its message and ends with its agent, once.

use amurg_runtime::protocol::Dialect;
use serde_json::json;

use crate::support::scene::{Scene, job};

#[test]
fn a_job_ends_its_turn_with_its_exit_code_in_either_dialect() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = Scene::new("job_exit_code")
            .dialect(dialect)
            .agent(job("ok", "sh", &["-c", "echo done"]))
            .agent(job("bad", "sh", &["-c", "echo wrong >&2; exit 7"]))
            .start();
        let turn = scene.session("ok").say("");
        assert_eq!(turn.output(), "done\n");
        turn.ended(0);
        let turn = scene.session("bad").say("");
        assert_eq!(turn.output_on("stderr"), "wrong\n");
        turn.ended(7);
        scene.every_turn_ended();
    }
}

#[test]
fn a_job_ended_by_a_signal_says_so_in_its_exit_code() {
    let scene = Scene::new("job_signal").agent(job("j", "sh", &["-c", "kill -KILL $$"])).start();
    scene.session("j").say("").ended(128 + 9);
}

#[test]
fn a_job_reads_the_message_as_its_input_exactly() {
    let scene = Scene::new("job_input").agent(job("cat", "cat", &[])).start();
    let session = scene.session("cat");
    for content in ["no newline", "two\nlines\n", "", "ü \u{1f980} \u{0} \r\n"] {
        assert_eq!(session.say(content).output(), content);
    }
}

#[test]
fn a_job_knows_whose_it_is() {
    let print = "echo $AMURG_SESSION_ID $AMURG_USER_ID $AMURG_ENDPOINT_ID $AMURG_MESSAGE_ID $TERM";
    let scene = Scene::new("job_environment").agent(job("env", "sh", &["-c", print])).start();
    let session = scene.session("env");
    let turn = session.say("");
    let expected = format!("{} ann env {}", session.id, turn.message);
    assert!(turn.output().starts_with(&expected), "{}", turn.output());
}

#[test]
fn messages_behind_a_running_job_wait_and_run_in_order() {
    let scene = Scene::new("job_queue").agent(job("slow", "sh", &["-c", "sleep 0.2; cat"])).start();
    let session = scene.session("slow");
    let turns: Vec<_> = ["a", "b", "c"].iter().map(|text| session.say(text)).collect();
    for (turn, text) in turns.iter().zip(["a", "b", "c"]) {
        assert_eq!(turn.output(), text);
        turn.ended(0);
    }
    scene.every_turn_ended();
}

#[test]
fn the_queue_is_bounded_and_says_so() {
    let scene = Scene::new("job_queue_full").agent(job("wait", "sh", &["-c", "read x"])).start();
    let session = scene.session("wait");
    // An endless first turn: its input is the pipe's end, so it is made to wait for a signal.
    let first = session.say("");
    first.ended(1);
    let scene = Scene::new("job_queue_full").agent(job("wait", "sleep", &["1000"])).start();
    let session = scene.session("wait");
    let first = session.say("");
    first.started();
    for _ in 0..64 {
        session.say("");
    }
    let refused = session.say("");
    refused.ended(None);
    session.shows("system", "64 messages are waiting already");
    session.stop();
    first.ended(128 + 15);
}

#[test]
fn a_stopped_job_ends_at_once_and_only_it() {
    let scene = Scene::new("job_stop").agent(job("j", "sh", &["-c", "cat; sleep 1000"])).start();
    let session = scene.session("j");
    let (first, second) = (session.say("one"), session.say("two"));
    session.shows("stdout", "one");
    session.stop();
    first.ended(128 + 15);
    second.started();
    session.shows("stdout", "onetwo");
    session.stop();
    second.ended(128 + 15);
    scene.no_process_left();
}

#[test]
fn a_message_seen_before_is_not_executed_again() {
    let scene = Scene::new("duplicate").agent(job("cat", "cat", &[])).start();
    let session = scene.session("cat");
    scene.client.send_message_as(&session.id, "m-1", "once");
    scene.client.send_message_as(&session.id, "m-1", "once");
    session.say("after").ended(0);
    // Nor by the session's next life.
    session.close();
    scene.logged("session ended");
    scene.client.send_message_as(&session.id, "m-1", "once");
    session.say("again").ended(0);
    assert_eq!(session.output_on("stdout"), "onceafteragain");
}

#[test]
fn a_job_that_cannot_start_ends_its_turn_with_a_reason() {
    let scene = Scene::new("job_gone")
        .agent(job("j", "./tool", &[]))
        .set("/runtime/log_level", json!("debug"));
    let scene = scene.start();
    let error = scene.try_session("j").err().expect("refused");
    assert!(error.contains("tool"), "{error}");
}
