//! The runtime and its machine: its lock, its socket, what it refuses, its end.

use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::scene::Scene;
use crate::{agent, cli, job, living, scene};

/// A command of the same binary, in the scene's place and with its configuration.
fn command(scene: &Scene, words: &[&str]) -> Output {
    let binary = std::env::var_os("AMURG_TEST_BINARY").expect("a binary");
    let config = scene.dir.path().join("config.json");
    let mut command = Command::new(binary);
    command.args(words).arg("--config").arg(config).current_dir(scene.dir.path());
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[ignore = "make cross-check"]
fn the_running_one_is_asked_told_and_alone() {
    let scene = scene("other_control").agent(cli("echo", &["echo"])).start();
    let session = scene.session("echo");
    session.say("hello").ended(None);
    let status = command(&scene, &["status", "--json"]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    let report: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(report["sessions"][0]["id"], session.id.as_str());
    assert_eq!(report["connection"]["connected"], true);

    let second = command(&scene, &["run"]);
    assert_eq!(second.status.code(), Some(69), "{}", text(&second.stderr));
    let told = text(&second.stderr);
    assert!(told.contains("already runs with the state directory"), "{told}");
    assert!(told.contains(&format!("process {}", report["pid"])), "{told}");

    let drained = command(&scene, &["control", "drain"]);
    assert!(drained.status.success(), "{}", text(&drained.stderr));
    assert!(scene.exited().success());
    let gone = command(&scene, &["status"]);
    assert_eq!(gone.status.code(), Some(69), "{}", text(&gone.stderr));
}

#[test]
#[ignore = "make cross-check"]
fn what_the_system_cannot_do_is_told_before() {
    let terminal = json!({
        "id": "tty", "profile": "generic-cli", "cli": { "command": agent(), "tty": true },
    });
    let mut required = job("required", &["job", "0"]);
    required["security"] = json!({ "allowed_paths": ["."], "cwd": ".", "enforce": "required" });
    let mut bounded = job("bounded", &["job", "0"]);
    bounded["limits"] = json!({ "max_processes": 1, "max_open_files": 64 });
    let scene = scene("other_refused").agent(required).agent(bounded).start();
    let Err(error) = scene.try_session("required") else { panic!("it was started") };
    assert!(error.contains("nothing can be confined on this system"), "{error}");
    let checked = command(&scene, &["check"]);
    let told = text(&checked.stdout) + &text(&checked.stderr);
    assert!(told.contains("nothing is confined on this system"), "{told}");
    assert!(told.contains("the agent will not start"), "{told}");
    assert!(told.contains("open files not at all"), "{told}");

    let mut config = scene.configuration();
    config["endpoints"] = json!([terminal]);
    scene.configure(&config);
    let checked = command(&scene, &["check"]);
    assert_eq!(checked.status.code(), Some(78));
    let told = text(&checked.stdout) + &text(&checked.stderr);
    assert!(told.contains("endpoints[0].cli.tty"), "{told}");
}

#[test]
#[ignore = "make cross-check"]
fn an_interrupt_ends_it_in_good_order() {
    let word = amurg_runtime::ids::next_id();
    let scene = scene("other_end").agent(cli("parent", &["parent", &word])).start();
    let session = scene.session("parent");
    session.shows("stdout", "child started");
    let turn = session.say("hello");
    turn.started();
    // The emulator makes a Ctrl-C of it.
    scene.signal(Signal::INT);
    assert!(scene.exited().success());
    turn.end();
    assert!(living(&word).is_empty());
}
