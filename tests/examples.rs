//! The worked agents of `packaging/examples`, as they are shipped, through the
//! whole runtime.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::scene::{Scene, Setup};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/examples")
}

/// One of the endpoints of the shipped configuration, where its files are.
fn scene(id: &str) -> Setup {
    let text = std::fs::read_to_string(directory().join("config.json")).expect("it is read");
    let config: Value = serde_json::from_str(&text).expect("JSON");
    let endpoints = config["endpoints"].as_array().expect("a list");
    let mut endpoint = endpoints.iter().find(|one| one["id"] == id).expect("an endpoint").clone();
    for block in ["external", "job"] {
        if endpoint[block]["work_dir"] == "." {
            endpoint[block]["work_dir"] = directory().to_str().expect("a plain name").into();
        }
    }
    Scene::new(&format!("example_{id}")).agent(endpoint)
}

#[test]
fn their_configuration_passes_check() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
    check.arg("check").current_dir(directory()).env_remove("AMURG_CONFIG");
    let output = check.output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("can be used (no errors"), "{shown}");
}

#[test]
fn a_python_adapter() {
    let scene = scene("echo").start();
    let session = scene.session("echo");
    let turn = session.say("hello");
    assert_eq!(turn.output(), "ann said: hello\n");
    turn.ended(0);
}

#[test]
fn a_shell_tool_as_a_job() {
    let scene = scene("lines").start();
    let session = scene.session("lines");
    let turn = session.say("sort\nb\na\n");
    assert_eq!(turn.output(), "a\nb\n");
    turn.ended(0);
    session.upload("two.txt", b"one\ntwo\n");
    let turn = session.say("count\na b\n");
    turn.ended(0);
    let counted: Vec<Vec<String>> = turn
        .output()
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    assert_eq!(counted[0], ["1", "2", "4"]);
    assert_eq!(counted[1][..3], ["2", "2", "8"]);
    assert!(counted[1][3].ends_with("two.txt"), "{counted:?}");
    session.say("dance").ended(64);
    session.shows("stderr", "say count or sort");
}

/// The mock server, on a port of its own.
struct Server(Child, String);

impl Server {
    fn start() -> Self {
        let mut command = Command::new("python3");
        command.arg(directory().join("llm_server.py")).arg("0").stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut address).expect("its address");
        Self(child, address.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_local_llm_over_http_with_a_streaming_answer() {
    let server = Server::start();
    let scene = scene("llm").variable("LLM_URL", &server.1).start();
    let session = scene.session("llm");
    let turn = session.say("one two three four five six seven eight nine ten");
    turn.end();
    assert_eq!(turn.output(), "1. eno owt eerht ruof evif xis neves thgie enin net\n");
    let parts = session.output().len();
    assert!(parts > 1, "it came in {parts} part, so it was kept back");
    assert_eq!(session.say("again").output(), "2. niaga\n");
    // A second session is a conversation of its own.
    assert_eq!(scene.session("llm").say("hello").output(), "1. olleh\n");
    let long = session.say(&"word ".repeat(5000));
    long.started();
    session.shows("stdout", "3. drow");
    session.stop();
    long.end();
    scene.every_turn_ended();
}

#[test]
fn a_repl_on_a_terminal() {
    let scene = scene("repl").start();
    let session = scene.session("repl");
    session.shows("stdout", ">>> ");
    for (said, answer) in
        [("x = 6", ">>> "), ("x * 7", "42\n>>> "), ("1 / 0", "division by zero\n>>> ")]
    {
        let turn = session.say(said);
        turn.end();
        assert!(turn.output().ends_with(answer), "{said}: {:?}", turn.output());
    }
    scene.every_turn_ended();
}
