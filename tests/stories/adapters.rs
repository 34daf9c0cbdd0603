//! Adapters and HTTP services through the whole runtime, with the example
//! adapter that the README names.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use amurg_runtime::protocol::Dialect;

use crate::support::scene::{Scene, Setup, external, http};

const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/examples/echo_adapter.py");

fn scene(name: &str) -> Setup {
    Scene::new(name).agent(external("adapter", "python3", &[ADAPTER]))
}

#[test]
fn an_adapter_answers_asks_and_sends_files_in_either_dialect() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = scene("adapter").dialect(dialect).start();
        let session = scene.session("adapter");
        let turn = session.say("hello");
        assert_eq!(turn.output(), "ann said: hello\n");
        turn.ended(0);
        for (approved, answer) in [(true, "LOUD\n"), (false, "(not allowed)\n")] {
            let turn = session.say("ask loud");
            let mut seen = 0;
            let asked = session.wait_for("permission.request", "a permission request", |_| {
                seen += 1;
                seen > usize::from(!approved)
            });
            let request = asked.text_of("request_id").to_owned();
            scene.client.permission_response(&session.id, &request, approved, false);
            assert_eq!(turn.output(), answer);
        }
        session.upload("note.txt", b"12345");
        session.shows("stdout", "got note.txt, 5 bytes");
        session.say("file back").end();
        let file = session.wait_for("file.available", "a file", |_| true);
        assert_eq!(file.value()["payload"]["metadata"]["name"], "answer.txt");
        let turn = session.say("wait");
        turn.started();
        session.stop();
        turn.ended(None);
        scene.every_turn_ended();
    }
}

#[test]
fn an_adapter_that_dies_ends_its_turn_and_is_started_again() {
    let dies = "import sys; sys.stdin.readline(); sys.stdin.readline(); sys.exit('out of ideas')";
    let scene = Scene::new("adapter_dies").agent(external("adapter", "python3", &["-c", dies]));
    let scene = scene.start();
    let session = scene.session("adapter");
    for _ in 0..2 {
        session.say("x").ended(1);
    }
    session.shows("system", "out of ideas");
}

#[test]
fn an_http_answer_streams_and_its_errors_are_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/chat", listener.local_addr().expect("an address"));
    let service = std::thread::spawn(move || {
        let answers = [
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
            "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlater",
        ];
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut request = [0; 4096];
            let count = stream.read(&mut request).expect("a request");
            let text = String::from_utf8_lossy(&request[..count]).to_ascii_lowercase();
            assert!(text.contains("x-amurg-session-id:"), "{text}");
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    let scene = Scene::new("http").agent(http("api", &url)).start();
    let session = scene.session("api");
    assert_eq!(session.say("hello").output(), "all of it");
    session.say("hello").end();
    session.shows("system", "503");
    session.shows("system", "later");
    service.join().expect("both were asked");
    // Nobody listens any more.
    session.say("hello").end();
    session.shows("system", "refused");
    scene.every_turn_ended();
}
