//! The runtime itself goes away, kindly or not, and comes back.

use amurg_runtime::protocol::Dialect;

use crate::support::scene::{Scene, cli, job};

#[test]
fn a_session_goes_on_after_the_runtime_was_restarted() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = Scene::new("restart").dialect(dialect).agent(cli("sh", "sh", &[])).start();
        let session = scene.session("sh");
        session.say("x=1").ended(None);
        assert!(scene.terminate().success());
        scene.launch();
        scene.registered();
        assert_eq!(session.say("echo new$x").output(), "new\n");
    }
}

#[test]
fn a_killed_runtime_closes_its_turns_and_ends_what_it_left() {
    let scene = Scene::new("restart_killed")
        .agent(job("j", "sh", &["-c", "echo up; sleep 1000"]))
        .agent(cli("sh", "sh", &[]))
        .start();
    let job = scene.session("j");
    let turn = job.say("");
    job.shows("stdout", "up\n");
    let queued = job.say("");
    let shell = scene.session("sh");
    shell.say("setsid sleep 1000 & true").end();
    scene.kill();
    scene.launch();
    scene.registered();
    turn.ended(None);
    queued.ended(None);
    job.shows("system", "restarted while this was running");
    scene.no_process_left();
    scene.every_turn_ended();
    assert_eq!(shell.say("echo fresh").output(), "fresh\n");
}

#[test]
fn a_second_process_on_the_same_state_says_who_holds_it() {
    let scene = Scene::new("restart_lock").agent(job("j", "true", &[])).start();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_amurg-runtime"))
        .args(["run", "--config"])
        .arg(scene.dir.path().join("config.json"))
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(69));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&scene.pid().to_string()), "{said}");
}

#[test]
fn a_message_from_before_the_restart_is_not_executed_again() {
    let scene = Scene::new("restart_duplicate").agent(job("cat", "cat", &[])).start();
    let session = scene.session("cat");
    scene.client.send_message_as(&session.id, "m-1", "once");
    session.turn("m-1").ended(0);
    scene.terminate();
    scene.launch();
    scene.registered();
    scene.client.send_message_as(&session.id, "m-1", "once");
    session.say("after").ended(0);
    assert_eq!(session.output_on("stdout"), "onceafter");
}

#[test]
fn a_drained_runtime_stops_when_its_last_turn_is_over() {
    let scene = Scene::new("restart_drain").agent(cli("sh", "sh", &[])).start();
    let busy = scene.session("sh");
    let gate = scene.dir.path().join("gate");
    let turn = busy.say(&format!("mkfifo {0}; echo begun; cat {0}; echo done", gate.display()));
    busy.shows("stdout", "begun\n");
    let told = std::process::Command::new(env!("CARGO_BIN_EXE_amurg-runtime"))
        .args(["control", "drain", "--config"])
        .arg(scene.dir.path().join("config.json"))
        .status()
        .expect("it runs");
    assert!(told.success());
    assert!(scene.try_session("sh").is_err(), "a new session while draining");
    // Nor does a message take the place of what is being waited for.
    busy.say("echo late").end();
    busy.shows("system", "takes no new work");
    std::fs::write(gate, "go\n").expect("the agent reads");
    turn.ended(None);
    assert!(scene.exited().success());
    assert!(busy.output_on("stdout").ends_with("go\ndone\n"));
}
