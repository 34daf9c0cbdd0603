//! Stopping and closing, at every stage of a request.

use std::time::{Duration, Instant};

use super::test_server::{PATIENCE, Scene, http, scene, serve};
use crate::agent::{Agent, AgentEvent};

/// The promise is 100 ms; a machine that is busy with other tests gets some more.
const PROMPT: Duration = Duration::from_secs(2);

fn assert_over_promptly(scene: &Scene, since: Instant) {
    let end = scene.end();
    assert!(since.elapsed() < PROMPT, "took {:?}", since.elapsed());
    assert_eq!(end.note, None);
}

#[test]
fn a_stop_ends_the_wait_for_an_answer_at_once() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.until_closed();
    });
    let mut scene = scene(http(&server.url));
    for message in ["a", "b"] {
        scene.message(message);
        server.requests.recv_timeout(PATIENCE).unwrap();
        let asked = Instant::now();
        scene.agent.stop();
        assert_over_promptly(&scene, asked);
    }
}

#[test]
fn a_stop_ends_a_dripping_body_at_once_and_the_next_turn_works() {
    let server = serve(|conversation| {
        while let Some(request) = conversation.request() {
            if request.ends_with("whole") {
                conversation.answer("200 OK", "whole");
            } else {
                conversation.say("HTTP/1.1 200 OK\r\n\r\ndrip");
                conversation.until_closed();
            }
        }
    });
    let mut scene = scene(http(&server.url));
    scene.message("drip");
    assert_eq!(scene.heard(), "drip");
    let asked = Instant::now();
    scene.agent.stop();
    assert_over_promptly(&scene, asked);
    assert_eq!(scene.turn("whole"), ("whole".into(), None));
}

/// Whether a socket of this machine is in `SYN_SENT` (02) towards the port.
#[cfg(target_os = "linux")]
fn is_connecting_to(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&format!("0100007F:{port:04X}")) && fields.next() == Some("02")
    })
}

#[test]
#[cfg(target_os = "linux")]
fn a_stop_does_not_wait_for_a_connection_that_hangs() {
    // A full backlog: further connections hang in SYN_SENT.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _filling = std::net::TcpStream::connect(address).unwrap();
    let mut hanging = http(&format!("http://{address}/"));
    hanging.timeout = Duration::from_secs(5);
    let mut scene = scene(hanging);
    scene.message("go");
    // The kernel tells nobody that a connection is being made: it can only be looked at.
    let given_up = Instant::now() + PATIENCE;
    while !is_connecting_to(address.port()) {
        assert!(Instant::now() < given_up, "the request never came to connecting");
        std::thread::yield_now();
    }
    let asked = Instant::now();
    scene.agent.stop();
    assert_over_promptly(&scene, asked);
    assert!(super::stuck() > 0, "the hanging thread must be counted");
}

#[test]
fn closing_ends_the_turn_and_then_the_session() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.until_closed();
    });
    let mut scene = scene(http(&server.url));
    scene.message("go");
    server.requests.recv_timeout(PATIENCE).unwrap();
    let asked = Instant::now();
    scene.agent.close();
    assert_over_promptly(&scene, asked);
    assert!(matches!(scene.events.recv_timeout(PATIENCE), Ok(AgentEvent::Closed)));
}

#[test]
fn closing_between_turns_tells_it_once() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.answer("200 OK", "");
        conversation.until_closed();
    });
    let mut scene = scene(http(&server.url));
    scene.turn("go");
    scene.agent.close();
    assert!(matches!(scene.events.recv_timeout(PATIENCE), Ok(AgentEvent::Closed)));
    drop(scene.agent);
    assert!(scene.events.recv_timeout(PATIENCE).is_err(), "nothing may follow");
}
