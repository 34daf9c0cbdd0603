//! Limits of time: each ends what it should, and says so with its value.

use serde_json::json;

use crate::support::scene::{Scene, cli, is_emulated};

#[test]
fn max_runtime_ends_a_tree_of_processes_and_says_so() {
    let tree = "sleep 1000 & (sleep 1000; true) & sleep 1000";
    let scene = Scene::new("limit_max_runtime")
        .agent(json!({
            "id": "j", "profile": "generic-job",
            "job": { "command": "sh", "args": ["-c", tree], "max_runtime": "300ms" },
        }))
        .start();
    let session = scene.session("j");
    session.say("").ended(128 + 15);
    session.shows("system", "max_runtime");
    session.shows("system", "300ms");
    scene.no_process_left();
}

#[test]
fn idle_timeout_ends_the_turn_and_not_the_command() {
    let scene = Scene::new("limit_idle")
        .agent(json!({
            "id": "sh", "profile": "generic-cli",
            "cli": { "command": "bash", "turn_end": "idle" },
            "limits": { "idle_timeout": "300ms" },
        }))
        .start();
    let session = scene.session("sh");
    let turn = session.say("echo begin; sleep 1; echo end");
    turn.ended(None);
    assert!(!turn.output().contains("end"));
    session.shows("stdout", "end\n");
}

#[test]
fn output_puts_the_idle_end_off() {
    let scene = Scene::new("limit_idle_output")
        .agent(json!({
            "id": "sh", "profile": "generic-cli",
            "cli": { "command": "bash", "turn_end": "idle" },
            "limits": { "idle_timeout": "600ms" },
        }))
        .start();
    let session = scene.session("sh");
    let output = session.say("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.15; done").output();
    assert_eq!(output, "1\n2\n3\n4\n5\n6\n7\n8\n");
}

#[test]
fn an_inactive_session_is_ended_told_and_made_again() {
    if is_emulated() {
        return;
    }
    let scene = Scene::new("limit_inactive")
        .agent(json!({
            "id": "sh", "profile": "generic-cli", "cli": { "command": "sh" },
            "limits": { "session_timeout": "1s" },
        }))
        .start();
    let session = scene.session("sh");
    session.say("x=1").ended(None);
    session.shows("system", "after 1s without activity");
    scene.no_process_left();
    assert_eq!(session.say("echo new$x").output(), "new\n");
}

#[test]
fn what_one_agent_opens_is_bounded() {
    let scene = Scene::new("limit_open_files")
        .agent(json!({
            "id": "j", "profile": "generic-job",
            "job": { "command": "sh", "args": ["-c", "ulimit -n"] },
            "limits": { "max_open_files": 64 },
        }))
        .start();
    assert_eq!(scene.session("j").say("").output(), "64\n");
}

#[test]
fn children_get_the_limits_from_before_the_runtime_raised_its_own() {
    let scene = Scene::new("limit_restored").agent(cli("sh", "sh", &[])).start();
    let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let expected = soft.map_or("unlimited".into(), |soft| soft.to_string());
    assert_eq!(scene.session("sh").say("ulimit -n").output(), format!("{expected}\n"));
}
