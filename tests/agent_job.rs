//! `generic-job` with real programs: a process for each message, whose end is
//! the end of the turn.

mod agent_scene;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_scene::{Scene, job, processes_with};
use amurg_runtime::agent::{FileUse, StoredFile};

fn bash(script: &str) -> Scene {
    Scene::job(job(&["bash", "-c", script]))
}

#[test]
fn the_content_is_the_input_exactly_and_then_it_ends() {
    let mut scene = Scene::job(job(&["od", "-An", "-c"]));
    assert_eq!(scene.turn("a").stdout.split_whitespace().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        scene.turn("a\r\n").stdout.split_whitespace().collect::<Vec<_>>(),
        ["a", "\\r", "\\n"]
    );
    assert_eq!(scene.turn("").stdout, "");
}

#[test]
fn a_turn_ends_with_the_exit_code_when_the_output_is_drained() {
    let mut scene = bash("cat; echo oops >&2; exit 7");
    let turn = scene.turn("verbatim, no newline");
    assert_eq!(turn.stdout, "verbatim, no newline");
    assert_eq!((turn.stderr.as_str(), turn.exit_code), ("oops\n", Some(7)));
    let turn = bash("head -c 3000000 /dev/zero | tr '\\0' x").turn("");
    assert_eq!((turn.stdout.len(), turn.exit_code), (3_000_000, Some(0)));
}

#[test]
fn a_signal_is_128_and_its_number() {
    assert_eq!(bash("kill -TERM $$").turn("").exit_code, Some(143));
    assert_eq!(bash("kill -SEGV $$").turn("").exit_code, Some(139));
}

#[test]
fn an_incomplete_character_at_the_end_is_replaced() {
    assert_eq!(bash("printf 'x\\303'").turn("").stdout, "x\u{fffd}");
}

#[test]
fn a_large_input_reaches_a_slow_reader_and_is_no_trouble_for_one_that_does_not_read() {
    let content = "y".repeat(2_000_000);
    assert_eq!(bash("sleep 0.2; wc -c").turn(&content).stdout.trim(), "2000000");
    let turn = bash("exit 3").turn(&content);
    assert_eq!(turn.exit_code, Some(3));
}

#[test]
fn a_stop_ends_a_tree_that_dies_on_term_at_once() {
    let mut scene = bash("echo up; sleep 41.25 & sleep 41.25; echo never");
    let start = Instant::now();
    let turn = scene.send("");
    scene.until_output("up\n");
    let stopped = Instant::now();
    scene.agent.stop();
    let turn = scene.rest_of_turn(turn, start);
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    assert_eq!(turn.exit_code, Some(143), "{turn:?}");
    assert!(processes_with("sleep 41.25").is_empty());
}

#[test]
fn what_a_job_says_while_it_ends_is_still_heard() {
    // More than a pipe holds, so it has to be read meanwhile.
    let farewell = "trap 'head -c 300000 /dev/zero | tr \"\\0\" x; exit 9' TERM";
    let mut scene = bash(&format!("{farewell}; echo up; while :; do sleep 0.05; done"));
    let start = Instant::now();
    let turn = scene.send("");
    scene.until_output("up\n");
    scene.agent.stop();
    let turn = scene.rest_of_turn(turn, start);
    assert_eq!(turn.stdout.len(), 300_000, "{:?}", turn.exit_code);
    assert!(turn.took < Duration::from_secs(4), "{:?}", turn.took);
}

#[test]
fn what_ignores_term_is_killed_five_seconds_later() {
    let mut scene = bash("trap '' TERM; echo up; while :; do sleep 42.25; done");
    let start = Instant::now();
    let turn = scene.send("");
    scene.until_output("up\n");
    scene.agent.stop();
    let turn = scene.rest_of_turn(turn, start);
    assert_eq!(turn.exit_code, Some(137), "{turn:?}");
    assert!(
        turn.took > Duration::from_millis(4900) && turn.took < Duration::from_secs(7),
        "{turn:?}"
    );
    assert!(processes_with("sleep 42.25").is_empty());
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_that_is_said() {
    let mut scene = bash("echo up; sleep 43.25");
    let start = Instant::now();
    let turn = scene.send("");
    scene.until_output("up\n");
    scene.agent.time_expired(turn);
    let turn = scene.rest_of_turn(turn, start);
    let note = "The job was ended after 2s, the longest it may run (max_runtime).";
    assert_eq!((turn.exit_code, turn.note.as_deref()), (Some(143), Some(note)));
}

#[test]
fn a_grandchild_that_holds_the_output_gets_one_second() {
    let turn = bash("sleep 44.25 & exit 4").turn("");
    assert_eq!(turn.exit_code, Some(4));
    assert!(turn.took >= Duration::from_secs(1), "{turn:?}");
    assert!(processes_with("sleep 44.25").is_empty());
}

#[test]
fn a_daemon_outlives_its_run_but_not_the_session() {
    let until_it_runs = "until grep -qs ^sleep /proc/$!/cmdline; do :; done";
    let daemon = "setsid sleep 45.25 </dev/null >/dev/null 2>&1 &";
    let mut scene = bash(&format!("{daemon} {until_it_runs}"));
    scene.turn("");
    scene.turn("");
    assert_eq!(processes_with("sleep 45.25").len(), 2);
    scene.close();
    assert!(processes_with("sleep 45.25").is_empty());
}

#[test]
fn closing_ends_a_run_with_everything_of_it() {
    let mut scene = bash("(setsid sleep 46.25 &); sleep 46.25 & echo up; cat; sleep 46.25");
    scene.send("");
    scene.until_output("up\n");
    let start = Instant::now();
    scene.close();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(processes_with("sleep 46.25").is_empty());
}

#[test]
fn a_session_without_a_run_closes_at_once() {
    assert!(bash("true").close().is_empty());
    let mut scene = bash("true");
    scene.turn("");
    assert!(scene.close().is_empty());
}

#[test]
fn a_missing_command_is_told_before_anything_runs() {
    let refused = Scene::try_job(job(&["no-such-command"])).map(|_| ()).unwrap_err();
    assert!(refused.contains("no-such-command"), "{refused}");
    let mut nowhere = job(&["true"]);
    nowhere.program.work_dir = Some("/no/such/place".into());
    let refused = Scene::try_job(nowhere).map(|_| ()).unwrap_err();
    assert!(refused.contains("/no/such/place"), "{refused}");
}

#[test]
fn a_command_that_went_away_ends_its_turn_with_the_reason() {
    let place = std::env::temp_dir().join(format!("amurg-job-{}", std::process::id()));
    // By another process: what a test has open for writing cannot be started meanwhile.
    let program = place.to_str().expect("UTF-8");
    assert_eq!(Scene::job(job(&["cp", "/bin/true", program])).turn("").exit_code, Some(0));
    let mut scene = Scene::job(job(&[program]));
    assert_eq!(scene.turn("").exit_code, Some(0));
    std::fs::remove_file(&place).expect("removal");
    let turn = scene.turn("");
    assert_eq!(turn.exit_code, None);
    assert!(turn.note.expect("a note").starts_with("The job could not be started: "));
}

#[test]
fn a_run_gets_its_message_and_the_files_since_the_last_run() {
    let mut scene = bash("echo \"$AMURG_MESSAGE_ID\"; echo \"${AMURG_FILES-none}\"");
    assert_eq!(scene.turn("").stdout, "m1\nnone\n");
    for name in ["a b.txt", "c.png"] {
        let path = PathBuf::from("/uploads").join(name);
        let file = StoredFile { path, name: name.into(), mime_type: String::new() };
        assert_eq!(scene.agent.file(&file), FileUse::Taken);
    }
    assert_eq!(scene.turn("").stdout, "m2\n/uploads/a b.txt\n/uploads/c.png\n");
    assert_eq!(scene.turn("").stdout, "m3\nnone\n");
}
