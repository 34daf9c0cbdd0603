//! `check` from outside: what it says of the hub, and how it looks for a service.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use amurg_runtime::loopback::{LoopbackHub, Options, ScratchDir};
use amurg_runtime::protocol::Dialect;
use serde_json::{Value, json};
use support::scene::{Scene, job};

const TOKEN: &str = "token-for-check";

/// `check` of the configuration in this directory.
fn check(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
    command.args(["check", "--config", "config.json"]).args(arguments).current_dir(directory);
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(proxy);
    }
    command.output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A directory with a configuration for this hub.
fn configured(url: &str, token: &str) -> ScratchDir {
    let home = ScratchDir::new("amurg-check").expect("a directory");
    let state = home.path().join("state").display().to_string();
    let config = json!({
        "hub": { "url": url, "token": token },
        "runtime": { "id": "lab", "state_dir": state },
        "endpoints": [{ "id": "true", "profile": "generic-job", "job": { "command": "true" } }],
    });
    write_private(&home.path().join("config.json"), &config.to_string());
    home
}

fn write_private(path: &Path, content: &str) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("private");
}

fn hub() -> LoopbackHub {
    LoopbackHub::start(Options::new(Dialect::Agent, TOKEN)).expect("a hub")
}

#[test]
fn the_hub_is_dialled_and_every_step_told_with_its_time() {
    let hub = hub();
    let home = configured(&hub.url(), TOKEN);
    let output = check(home.path(), &["--connect"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for step in ["dns", "tcp", "websocket", "hello"] {
        let line = shown.lines().find(|line| line.trim_start().starts_with(step)).expect(step);
        assert!(line.contains(" ms"), "{line}");
    }
    assert!(shown.contains("registered as lab"), "{shown}");
    assert!(shown.ends_with("(no errors, no warnings), the hub answers\n"), "{shown}");
    assert!(output.stderr.is_empty(), "nobody at a terminal, so no progress: {output:?}");
    assert!(!home.path().join("state").exists(), "a check makes nothing");

    let json: Value =
        serde_json::from_slice(&check(home.path(), &["--connect", "--json"]).stdout).expect("JSON");
    assert_eq!(json["connection"]["ok"], true);
    assert_eq!(json["connection"]["said_hello"], true);
    assert_eq!(json["connection"]["steps"][3]["step"], "hello");
    let quiet = check(home.path(), &["--connect", "--quiet"]);
    assert_eq!((quiet.status.code(), text(&quiet).as_str()), (Some(0), ""));
}

#[test]
fn a_hub_that_refuses_is_69_and_the_token_is_not_shown() {
    let hub = hub();
    let home = configured(&hub.url(), "another-token");
    let output = check(home.path(), &["--connect"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(69), "{shown}");
    let error = shown.lines().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(error.contains("refused the hello"), "{error}");
    assert!(!shown.contains("another-token"), "{shown}");
}

#[test]
fn a_hub_that_is_not_there_is_69_and_a_bad_file_still_78() {
    let home = configured("ws://127.0.0.1:9/ws/runtime", TOKEN);
    let output = check(home.path(), &["--connect", "--quiet"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output).starts_with("error: config.json: hub: no connection to 127.0.0.1:9"));
    write_private(&home.path().join("config.json"), "{}");
    let output = check(home.path(), &["--connect"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(!text(&output).contains("connection\n"), "nothing to dial with");
}

#[test]
fn a_runtime_that_runs_keeps_its_connection_and_is_asked_instead() {
    let scene = Scene::new("check_connect").agent(job("true", "true", &[])).start();
    // The hub knows of a registration before the runtime does.
    let session = scene.session("true");
    let output = check(scene.dir.path(), &["--connect"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains(&format!("process {} runs and is connected", scene.pid())), "{shown}");
    assert_eq!(scene.registrations(), 1, "a second hello would have ended the first connection");
    session.say("").ended(0);
    assert_eq!(scene.registrations(), 1);

    scene.hub.go_down();
    let output = check(scene.dir.path(), &["--connect", "--quiet"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output).starts_with("error: config.json: hub: no connection to "));
}

#[test]
fn a_service_is_looked_at_with_its_own_surroundings() {
    let home = configured("ws://127.0.0.1:9/ws/runtime", TOKEN);
    let file = home.path().join("config.json").display().to_string();
    let unit = home.path().join("gateway.service");
    let say = format!(
        "[Service]\nUser=root\nExecStart=/usr/bin/amurg-runtime run --config {file}\n\
         Environment=PATH=/nowhere\nPrivateTmp=yes\nProtectHome=tmpfs\n"
    );
    fs::write(&unit, say).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
    // The unit names the file; where one stands does not matter.
    command.args(["check", "--as-service"]).arg(&unit).current_dir("/");
    let output = command.output().expect("it runs");
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(78), "{shown}");
    assert!(shown.contains("\nservice\n") && shown.contains("PATH       /nowhere"), "{shown}");
    assert!(shown.contains("in no directory of PATH (\"/nowhere\")"), "{shown}");
    assert!(shown.contains("is not there for the service: PrivateTmp=yes"), "{shown}");
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_user_who_may_not_read_the_file_is_told_so() {
    let home = configured("ws://127.0.0.1:9/ws/runtime", TOKEN);
    // Everybody may enter the directory, and still only root may read the file.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("open");
    let output = check(home.path(), &["--as-service", "nobody"]);
    let shown = text(&output);
    if rustix::process::geteuid().is_root() {
        assert_eq!(output.status.code(), Some(78), "{shown}");
        assert!(shown.contains("cannot be read: Permission denied"), "{shown}");
    } else {
        assert!(shown.contains("looked at with your rights"), "{shown}");
    }
    let odd = check(home.path(), &["--as-service", "no-such-service"]);
    assert_eq!(odd.status.code(), Some(64));
    let error = String::from_utf8_lossy(&odd.stderr).into_owned();
    assert!(error.contains("neither a unit nor a user"), "{error}");
}
