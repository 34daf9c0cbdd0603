//! What an operator does to a running runtime: asks it, commands it, reads its
//! log, and stops reading it.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use amurg_runtime::loopback::{LoopbackHub, Options, ScratchDir};
use amurg_runtime::protocol::Dialect;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::process::{Log, RuntimeProcess};
use support::scene::{Scene, cli, job};
use support::soon;

/// A command about the runtime whose configuration is in this directory.
fn amurg(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
    command.args(arguments).args(["--config", "config.json"]).current_dir(directory);
    command.env_remove("RUNTIME_DIRECTORY").output().expect("it runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(directory: &Path) -> Value {
    let output = amurg(directory, &["status", "--json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn status_agrees_with_what_the_hub_counted() {
    let scene = Scene::new("status").agent(job("echo", "cat", &[]));
    let scene = scene.set("/endpoints/0/limits", json!({ "max_sessions": 1 })).start();
    let here = scene.dir.path();
    let session = scene.session("echo");
    for _ in 0..3 {
        session.say("hello").ended(0);
    }
    assert!(scene.try_session("echo").is_err(), "one is all there may be");
    let report = report(here);
    assert_eq!(report["runtime_id"], "status");
    assert_eq!(report["pid"], scene.pid());
    assert_eq!(report["connection"]["connected"], true);
    let sessions = report["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["id"], session.id.as_str());
    assert_eq!((&sessions[0]["turns"], &sessions[0]["busy"]), (&json!(3), &json!(false)));
    assert_eq!(sessions[0]["turn_seconds"], Value::Null);
    assert_eq!(
        (&report["counters"]["turns"], &report["counters"]["refused"]),
        (&json!(3), &json!(1))
    );
    // The hub counts the hello as well.
    let counted = scene.hub.counts().frames - 1;
    assert_eq!(report["counters"]["messages_out"], counted);

    let metrics = stdout(&amurg(here, &["status", "--prometheus"]));
    let sample = format!("amurg_messages_out_total{{runtime=\"status\"}} {counted}\n");
    assert!(metrics.contains(&sample), "{metrics}");
    let page = stdout(&amurg(here, &["status"]));
    assert!(
        page.contains("sessions   1, 0 with a turn") && page.contains("3, 1 refused"),
        "{page}"
    );
}

#[test]
fn status_is_a_probe_by_its_exit_code() {
    let scene = Scene::new("probe").agent(job("true", "true", &[])).start();
    let here = scene.dir.path();
    assert_eq!(code(&amurg(here, &["status"])), 0);
    assert_eq!(code(&amurg(here, &["status", "--wait", "10s"])), 0);
    scene.hub.go_down();
    scene.logged("connection ended");
    assert_eq!(code(&amurg(here, &["status"])), 1);
    assert_eq!(code(&amurg(here, &["status", "--wait", "50ms"])), 1);
    assert_eq!(code(&amurg(here, &["status", "--alive"])), 0);
    let shown = stdout(&amurg(here, &["status"]));
    assert!(shown.contains("last error"), "{shown}");
    assert!(scene.terminate().success());
    let gone = amurg(here, &["status"]);
    assert_eq!(code(&gone), 69);
    assert!(stderr(&gone).contains("no running runtime found"), "{}", stderr(&gone));
}

#[test]
fn a_flood_does_not_keep_status_from_answering() {
    let scene = Scene::new("status_flood").agent(cli("sh", "sh", &[])).start();
    let session = scene.session("sh");
    let turn = session.say("yes 'a line of a flood'");
    session.shows("stdout", "a line of a flood");
    let first = report(scene.dir.path());
    let of = |report: &Value| report["counters"]["bytes_out"].as_u64().expect("a number");
    assert_eq!(first["sessions"][0]["busy"], true);
    assert!(first["sessions"][0]["turn_seconds"].as_f64().is_some_and(|age| age > 0.0), "{first}");
    let (mut seen, before) = (0, session.output().len());
    session.wait_for("agent.output", "more of the flood", |_| {
        seen += 1;
        seen > before + 2
    });
    assert!(of(&report(scene.dir.path())) > of(&first));
    session.stop();
    turn.end();
}

#[test]
fn a_running_one_is_told_and_says_how_it_went() {
    let scene = Scene::new("control").agent(cli("sh", "sh", &[])).start();
    let here = scene.dir.path();
    let session = scene.session("sh");
    session.say("true").ended(None);

    let told = amurg(here, &["control", "log-level", "trace"]);
    assert_eq!((code(&told), stdout(&told).contains("changed")), (0, true));
    session.say("echo marker-of-a-message").ended(None);
    scene.logged("marker-of-a-message");
    let refused = amurg(here, &["control", "log-level", "loud"]);
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("refused: there is no such level; give error"),
        "{}",
        stderr(&refused)
    );

    let read = amurg(here, &["control", "reload"]);
    assert_eq!((code(&read), stdout(&read).as_str()), (0, "read again: 1 agents, 0 warnings\n"));
    let good = scene.configuration();
    let mut bad = good.clone();
    bad["runtime"]["max_sessions"] = "many".into();
    scene.configure(&bad);
    let refused = amurg(here, &["control", "reload"]);
    assert_eq!(code(&refused), 78, "the command reads the file, too: {}", stderr(&refused));
    scene.configure(&good);

    assert_eq!(code(&amurg(here, &["control", "close", "no-such-session"])), 1);
    assert_eq!(code(&amurg(here, &["control", "close", &session.id])), 0);
    scene.logged("session ended");
    scene.no_process_left();
}

#[test]
fn a_drain_can_be_waited_for() {
    let scene = Scene::new("drain").agent(cli("sh", "sh", &[])).start();
    let here = scene.dir.path();
    let session = scene.session("sh");
    let gate = here.join("gate");
    let turn = session.say(&format!("mkfifo {0}; echo begun; cat {0}", gate.display()));
    session.shows("stdout", "begun\n");
    let late = amurg(here, &["control", "drain", "--wait", "10ms"]);
    assert_eq!(code(&late), 1);
    assert!(stderr(&late).contains("still runs, with 1 open turn"), "{}", stderr(&late));
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"))
        .args(["control", "drain", "--wait", "20s", "--config", "config.json"])
        .current_dir(here)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(waiting.stdout.take().expect("a pipe")).lines();
    let mut line = || lines.next().map(|line| line.expect("text"));
    assert!(line().is_some_and(|line| line.contains("then the runtime stops")));
    std::fs::write(gate, "go\n").expect("the agent reads");
    assert_eq!(line().as_deref(), Some("stopped"));
    assert!(waiting.wait().expect("its end").success());
    assert!(scene.exited().success());
    turn.ended(None);
}

/// A runtime with arguments of its own, and its hub.
struct Place {
    hub: LoopbackHub,
    home: ScratchDir,
}

impl Place {
    fn new(name: &str) -> Self {
        let hub = LoopbackHub::start(Options::new(Dialect::Agent, "t")).expect("a hub");
        let home = ScratchDir::new(&format!("amurg-{name}")).expect("a directory");
        let state = home.path().join("state").display().to_string();
        let config = json!({
            "hub": { "url": hub.url(), "token": "t" },
            "runtime": { "id": name, "state_dir": state, "log_level": "warn" },
            "endpoints": [job("cat", "cat", &[])],
        });
        let path = home.path().join("config.json");
        std::fs::write(&path, config.to_string()).expect("written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).expect("private");
        Self { hub, home }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
        command.args(["run", "--config", "config.json"]).args(arguments);
        command.current_dir(self.home.path()).env_remove("JOURNAL_STREAM");
        command
    }

    /// A session, once the runtime is there.
    fn session(&self) -> String {
        let client = self.hub.client();
        client.wait_registered(soon()).expect("a runtime");
        client.create_session("cat", "ann")
    }

    /// Says something and waits for the end of the turn.
    fn say(&self, session: &str, message: &str) {
        let client = self.hub.client();
        let turn = client.send_message(session, message);
        let over = client.wait_for(soon(), |frame| {
            (frame.is("turn.completed") && frame.text_of("in_response_to") == turn).then_some(())
        });
        over.expect("the end of the turn");
    }
}

#[test]
fn the_log_has_the_format_and_the_level_of_this_run() {
    for (format, is_right) in [
        ("text", (|line: &str| line.contains(" INFO  ")) as fn(&str) -> bool),
        ("json", |line| {
            let value: Value = serde_json::from_str(line).expect("JSON");
            value["ts"].is_string() && value["level"] == "info" && value["message"].is_string()
        }),
        ("journald", |line| line.starts_with("<6>")),
    ] {
        let place = Place::new(&format!("format-{format}"));
        let log = Arc::new(Log::default());
        let arguments = ["--log-format", format, "--log-level", "info"];
        let runtime = RuntimeProcess::spawn(place.command(&arguments), &log);
        place.say(&place.session(), "hello");
        // The file says warn; what was typed holds over a reload as well.
        runtime.signal(Signal::HUP);
        log.wait_for("configuration read again", 0, soon()).expect("still at info");
        let lines = log.lines();
        assert!(lines.iter().all(|line| is_right(line)), "{lines:?}");
    }
}

#[test]
fn a_log_reader_that_stops_never_stops_the_runtime() {
    let place = Place::new("unread");
    let mut command = place.command(&["--log-level", "trace"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut runtime = command.spawn().expect("it starts");
    // Held and not read: a pipe takes 64 KiB, then every write would block.
    let unread = runtime.stderr.take().expect("a pipe");
    let (session, other) = (place.session(), place.session());
    // At this level each message is a line: more than the queue and the pipe take.
    for _ in 0..4000 {
        place.hub.client().stop(&other);
    }
    place.say(&session, "hello");
    let dropped = report(place.home.path())["counters"]["log_lines_dropped"].as_u64();
    assert!(dropped.is_some_and(|count| count > 0), "{dropped:?}");
    let told = amurg(place.home.path(), &["control", "drain"]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    assert!(runtime.wait().expect("its end").success());
    let first = BufReader::new(unread).lines().next().expect("a line").expect("text");
    assert!(first.contains("starting version="), "{first}");
}
