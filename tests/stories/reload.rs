//! A configuration that is read again while everything goes on.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::scene::{Scene, cli, is_emulated, job};

/// Gives the runtime another configuration.
fn reload(scene: &Scene, change: impl FnOnce(&mut Value)) {
    let mut config = scene.configuration();
    change(&mut config);
    scene.configure(&config);
    let before = scene.log().len();
    scene.signal(Signal::HUP);
    scene.logged_after(before, "read again");
}

#[test]
fn a_reload_changes_endpoints_and_keeps_sessions() {
    let scene = Scene::new("end_reload").agent(cli("sh", "sh", &[])).agent(job("old", "true", &[]));
    let scene = scene.start();
    let session = scene.session("sh");
    session.say("x=7").ended(None);
    let mut config = scene.configuration();
    config["endpoints"][1] = job("new", "echo", &["new"]);
    scene.configure(&config);
    let before = scene.registrations();
    scene.signal(Signal::HUP);
    scene.registered_again(before);
    assert_eq!(scene.session("new").say("").output(), "new\n");
    assert_eq!(session.say("echo $x").output(), "7\n");

    config["endpoints"] = json!("wrong");
    scene.configure(&config);
    scene.signal(Signal::HUP);
    scene.logged("nothing changes");
    assert_eq!(session.say("echo $x").output(), "7\n");
}

#[test]
fn a_shared_process_hears_of_what_changed_while_nobody_used_it() {
    let mut shared = cli("sh", "bash", &[]);
    shared["cli"]["spawn_policy"] = json!("persistent");
    let scene = Scene::new("reload_shared").agent(shared).start();
    let session = scene.session("sh");
    session.say("exit").ended(0);
    session.close();
    reload(&scene, |config| config["endpoints"][0]["cli"]["env"] = json!({"COLOUR": "blue"}));
    let session = scene.session("sh");
    assert_eq!(session.say("echo $COLOUR").output(), "blue\n");
    // An endpoint that is gone takes its process along.
    session.close();
    reload(&scene, |config| config["endpoints"] = json!([job("new", "true", &[])]));
    scene.no_process_left();
}

#[test]
fn what_was_pushed_holds_after_a_reload() {
    let scene = Scene::new("reload_pushed").agent(job("j", "sh", &["-c", "ulimit -n"])).start();
    let session = scene.session("j");
    scene.client.config_update("j", None, Some(json!({"max_open_files": 48})));
    scene.logged("config push taken");
    reload(&scene, |config| config["endpoints"][0]["limits"] = json!({"max_processes": 1000}));
    assert_eq!(session.say("").output(), "48\n");
}

#[test]
fn an_agent_of_another_kind_begins_anew() {
    let scene = Scene::new("reload_kind").agent(cli("a", "bash", &[])).start();
    let session = scene.session("a");
    session.say("true").ended(None);
    reload(&scene, |config| config["endpoints"][0] = job("a", "cat", &[]));
    session.shows("system", "configuration");
    let turn = session.say("x");
    turn.ended(0);
    assert_eq!(turn.output(), "x");
}

#[test]
fn limits_of_the_runtime_change_for_sessions_that_live() {
    if is_emulated() {
        return;
    }
    let scene = Scene::new("reload_limits")
        .agent(cli("sh", "bash", &[]))
        .set("/runtime/idle_timeout", json!("1h"))
        .start();
    let session = scene.session("sh");
    session.say("true").ended(None);
    reload(&scene, |config| {
        config["runtime"]["idle_timeout"] = json!("1s");
        config["runtime"]["id"] = json!("another");
    });
    scene.logged("runtime.id stays as it was");
    session.say("sleep 1000").ended(None);
}

#[test]
fn a_token_that_comes_from_a_variable_later_is_kept_from_agents() {
    let scene = Scene::new("reload_token")
        .variable("LATER_TOKEN", "scene-token")
        .agent(job("env", "env", &[]))
        .start();
    let session = scene.session("env");
    assert!(session.say("").output().contains("LATER_TOKEN"));
    reload(&scene, |config| config["hub"]["token"] = json!("${LATER_TOKEN}"));
    assert!(!session.say("").output().contains("LATER_TOKEN"));
}
