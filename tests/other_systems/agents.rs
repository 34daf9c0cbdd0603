//! The four profiles, one turn after the other.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use amurg_runtime::protocol::Dialect;
use serde_json::json;

use crate::support::scene::{Scene, external, http};
use crate::{agent, cli, job, scene};

#[test]
#[ignore = "make cross-check"]
fn a_shell_keeps_its_state_and_its_exit_code() {
    let shell = json!({
        "id": "shell", "profile": "generic-cli", "cli": { "command": "cmd", "args": ["/Q"] },
    });
    let scene = Scene::new("other_shell").agent(shell).start();
    let session = scene.session("shell");
    // The emulator's shell loses what comes along with a line it reads.
    session.shows("stdout", "Windows");
    session.say("set x=42& echo set");
    session.shows("stdout", "set\r\n");
    session.say("echo [%x%] [%AMURG_SESSION_ID%]");
    session.shows("stdout", &format!("[42] [{}]", session.id));
    session.say("exit 3").ended(3);
    session.say("echo [%x%]");
    session.shows("stdout", "[%x%]");
    session.shows("system", "had ended (exit code 3)");
}

#[test]
#[ignore = "make cross-check"]
fn a_line_comes_back_verbatim_with_what_has_no_newline() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = scene("other_cli").dialect(dialect).agent(cli("echo", &["echo"])).start();
        let session = scene.session("echo");
        assert_eq!(session.say("häuser").output(), "you said häuser\n> ");
        assert_eq!(session.say("again").output(), "you said again\n> ");
        scene.every_turn_ended();
    }
}

#[test]
#[ignore = "make cross-check"]
fn a_job_gets_the_content_exactly_and_ends_its_turn_with_its_exit_code() {
    let scene = scene("other_job").agent(job("job", &["job", "5"])).start();
    let session = scene.session("job");
    let content = "line\n".repeat(50_000);
    let turn = session.say(&content);
    assert_eq!(turn.output(), format!("250000 bytes of {}\n", turn.message));
    turn.ended(5);
    assert_eq!(turn.output_on("stderr"), "done\n");
    session.say("").ended(5);
}

#[test]
#[ignore = "make cross-check"]
fn a_flood_arrives_whole() {
    const BYTES: usize = 2 << 20;
    let bytes = BYTES.to_string();
    let scene = scene("other_flood")
        .set("/runtime/max_output_bytes", json!(256 << 10))
        .agent(job("job", &["flood", &bytes]))
        .start();
    let session = scene.session("job");
    assert_eq!(session.say("").output().len(), BYTES);
}

#[test]
#[ignore = "make cross-check"]
fn a_command_that_is_not_there_is_told() {
    let none = json!({
        "id": "none", "profile": "generic-cli", "cli": { "command": "no-such-command" },
    });
    let scene = scene("other_missing").agent(none).start();
    let Err(error) = scene.try_session("none") else { panic!("it was started") };
    assert!(error.contains("\"no-such-command\" not found"), "{error}");
}

#[test]
#[ignore = "make cross-check"]
fn a_service_answers_and_may_be_stopped() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let mut held = Vec::new();
        for number in 0..2 {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut request = Vec::new();
            while !request.ends_with(b"ping") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the body");
                request.push(byte[0]);
            }
            // The second answer never ends.
            let length = if number == 0 { "5" } else { "9" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\npong\n");
            stream.write_all(answer.as_bytes()).expect("an answer");
            if number == 0 {
                drop(stream);
            } else {
                held.push(stream);
            }
        }
        held
    });
    let scene = scene("other_http").agent(http("service", &url)).start();
    let session = scene.session("service");
    assert_eq!(session.say("ping").output(), "pong\n");
    let turn = session.say("ping");
    turn.started();
    served.join().expect("served");
    session.stop();
    turn.ended(None);
}

#[test]
#[ignore = "make cross-check"]
fn an_adapter_answers_and_is_started_again_when_it_died() {
    let scene = scene("other_adapter").agent(external("adapter", &agent(), &["adapter"])).start();
    let session = scene.session("adapter");
    assert_eq!(session.say("hello").output(), "heard hello");
    session.say("die").ended(9);
    session.shows("system", "dying as told");
    assert_eq!(session.say("still there").output(), "heard still there");
}
