//! Turns against real servers.

use std::net::TcpListener;
use std::time::Duration;

use super::client::Client;
use super::request::{Asker, Head};
use super::test_server::{PATIENCE, endpoint, http, scene, serve};
use crate::agent::{Agent, AgentEvent, FileUse, StoredFile};
use crate::hub::outbox::Command;
use crate::session::admission::Permit;

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn the_body_is_the_content_and_the_answer_is_verbatim() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.answer("200 OK", "héllo\r\n\tworld ");
    });
    let mut scene = scene(http(&format!("{}/chat?a=b", server.url)));
    let (said, note) = scene.turn(" hi\nthere\n\n");
    assert_eq!((said.as_str(), note), ("héllo\r\n\tworld ", None));
    let request = server.requests.recv_timeout(PATIENCE).unwrap();
    assert!(request.starts_with("POST /chat?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n hi\nthere\n\n"), "{request}");
    for header in [
        "content-type: text/plain; charset=utf-8",
        "x-amurg-session-id: s1",
        "x-amurg-user-id: u1",
        "x-amurg-endpoint-id: web",
        "x-amurg-message-id: m1",
    ] {
        assert!(request.to_lowercase().contains(&format!("{header}\r\n")), "{header}: {request}");
    }
}

#[test]
fn an_answer_streams_as_it_arrives() {
    // Each piece is sent only once the one before was seen by the session.
    let (seen_in, seen) = crossbeam_channel::bounded(0);
    let server = serve(move |conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for word in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
            conversation.say(chunk(word));
            seen.recv_timeout(PATIENCE).unwrap();
        }
        conversation.say("0\r\n\r\n");
    });
    let mut scene = scene(http(&server.url));
    scene.message("go");
    for word in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        assert_eq!(scene.heard(), word);
        seen_in.send_timeout((), PATIENCE).unwrap();
    }
    assert_eq!(scene.end().note, None);
}

#[test]
fn a_body_may_last_until_the_connection_closes() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let mut scene = scene(http(&server.url));
    assert_eq!(scene.turn("go"), ("all of it".into(), None));
}

#[test]
fn a_connection_serves_the_session_s_next_turns() {
    let server = serve(|conversation| {
        while let Some(request) = conversation.request() {
            let status = if request.ends_with("bad") { "500 Oops" } else { "200 OK" };
            conversation.answer(status, "x");
        }
    });
    let mut scene = scene(http(&server.url));
    for message in ["a", "bad", "b"] {
        scene.turn(message);
    }
    assert_eq!(server.accepted.try_iter().count(), 1);
}

#[test]
fn an_error_status_is_told_with_the_start_of_its_body() {
    let server = serve(|conversation| {
        while conversation.request().is_some() {
            conversation.answer("500 Internal Server Error", "{\n \"error\": \"no model\"\n}\n");
        }
    });
    let mut scene = scene(http(&format!("{}/v1?key=secret", server.url)));
    let (said, note) = scene.turn("go");
    assert_eq!(said, "");
    let expected = format!(
        "HTTP 500 Internal Server Error from {}/v1?…: {{\\n \"error\": \"no model\"\\n}}",
        server.url
    );
    assert_eq!(note, Some(expected));
}

#[test]
fn an_endless_error_is_told_by_its_start() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 404 Not Found\r\n\r\n");
        while conversation.say("nothing here ".repeat(1000)) {}
    });
    let mut scene = scene(http(&server.url));
    let note = scene.turn("go").1.unwrap();
    assert!(
        note.starts_with(&format!("HTTP 404 Not Found from {}/: nothing", server.url)),
        "{note}"
    );
    assert!(note.ends_with('…') && note.chars().count() < 600, "{note}");
}

#[test]
fn nobody_listening_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut scene = scene(http(&format!("http://user:pw@{free}/x")));
    let note = scene.turn("go").1.unwrap();
    assert_eq!(
        note,
        format!("No answer from http://{free}/x: connection refused (is the service running?).")
    );
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.until_closed();
    });
    let mut quick = http(&server.url);
    quick.timeout = Duration::from_millis(200);
    let mut scene = scene(quick);
    let note = scene.turn("go").1.unwrap();
    assert!(note.contains("nothing came for 200ms (`http.timeout`)"), "{note}");
}

#[test]
fn the_timeout_bounds_a_gap_and_not_the_whole() {
    let (beat_in, beat) = crossbeam_channel::bounded::<()>(0);
    let server = serve(move |conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for _ in 0..4 {
            // Nobody sends on the channel: this is a pause of the server's own.
            let _ = beat.recv_timeout(Duration::from_millis(200));
            conversation.say("x");
        }
        conversation.until_closed();
    });
    let mut quick = http(&server.url);
    quick.timeout = Duration::from_millis(500);
    let mut scene = scene(quick);
    let (said, note) = scene.turn("go");
    drop(beat_in);
    assert_eq!(said, "xxxx");
    let note = note.unwrap();
    assert!(note.contains("broke off after 4 bytes: nothing came for 500ms"), "{note}");
}

#[test]
fn a_body_cut_short_is_told() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let mut scene = scene(http(&server.url));
    let (said, note) = scene.turn("go");
    assert_eq!(said, "half");
    assert!(note.unwrap().contains("broke off after 4 bytes: it closed the connection"));
}

#[test]
fn a_redirect_within_the_origin_is_followed_with_its_body() {
    let server = serve(|conversation| {
        while let Some(request) = conversation.request() {
            if request.starts_with("POST /a ") {
                conversation.say("HTTP/1.1 307 T\r\nLocation: b\r\nContent-Length: 2\r\n\r\nno");
            } else {
                conversation.answer("200 OK", "there");
            }
        }
    });
    let mut keyed = http(&format!("{}/a", server.url));
    keyed.headers.push(("Authorization".into(), "Bearer k".into()));
    let mut scene = scene(keyed);
    assert_eq!(scene.turn("the body"), ("there".into(), None));
    server.requests.recv_timeout(PATIENCE).unwrap();
    let second = server.requests.recv_timeout(PATIENCE).unwrap();
    assert!(second.starts_with("POST /b ") && second.ends_with("the body"), "{second}");
    assert!(second.to_lowercase().contains("authorization: bearer k"), "{second}");
    assert_eq!(server.accepted.try_iter().count(), 1);
}

#[test]
fn a_redirect_to_another_origin_is_told_and_not_followed() {
    let other = serve(|conversation| drop(conversation.request()));
    let location = other.url.replace("http://", "http://u:p@");
    let server = serve(move |conversation| {
        conversation.request();
        conversation.say(format!("HTTP/1.1 302 F\r\nLocation: {location}/x\r\n\r\n"));
    });
    let mut scene = scene(http(&server.url));
    let note = scene.turn("go").1.unwrap();
    assert!(note.contains(&format!("redirects to {}/x, another origin", other.url)), "{note}");
    assert_eq!(other.accepted.try_iter().count(), 0);
}

#[test]
fn redirects_in_a_circle_end() {
    let server = serve(|conversation| {
        while conversation.request().is_some() {
            conversation.say("HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut scene = scene(http(&server.url));
    assert!(scene.turn("go").1.unwrap().contains("more than 10 times"));
}

#[test]
fn a_huge_head_is_refused() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\n");
        while conversation.say(format!("X-Fill: {}\r\n", "x".repeat(10_000))) {}
    });
    let mut scene = scene(http(&server.url));
    let note = scene.turn("go").1.unwrap();
    assert!(note.contains("the head of its answer is longer than"), "{note}");
}

#[test]
fn a_compressed_answer_is_not_inflated() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\u{1}\u{2}abc",
        );
    });
    let mut scene = scene(http(&server.url));
    assert_eq!(scene.turn("go"), ("\u{1}\u{2}abc".into(), None));
    assert!(server.requests.recv().unwrap().to_lowercase().contains("accept-encoding: identity"));
}

#[test]
fn what_is_no_http_is_told() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say("220 mail.example.com ESMTP\r\n\r\n");
    });
    let mut scene = scene(http(&server.url));
    assert!(scene.turn("go").1.unwrap().contains("it does not speak HTTP/1.1"));
}

#[test]
fn a_service_is_held_back_while_the_output_has_no_room() {
    let (wrote_in, wrote) = crossbeam_channel::unbounded();
    let server = serve(move |conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..1000 {
            conversation.say("x".repeat(64 * 1024));
            let _ = wrote_in.send(64 * 1024_usize);
        }
    });
    let mut scene = scene(http(&server.url));
    scene.budget.set_limit(256 * 1024);
    scene.message("go");
    let mut output = 0;
    let mut wakers = Vec::new();
    // The whole 64 MB pass, and never much more than the bound is unconfirmed.
    let end = loop {
        crossbeam_channel::select! {
            recv(scene.commands) -> command => match command.unwrap() {
                Command::Send { entry, lane } => {
                    let size = entry.frame.text.len();
                    assert!(scene.budget.used() < 512 * 1024);
                    output += size;
                    lane.budget.give(size);
                    scene.budget.give(size);
                }
                Command::NeedRoom { waker, .. } => wakers.push(waker),
                _ => {}
            },
            recv(scene.events) -> event => break event.unwrap(),
            default(PATIENCE) => panic!("stuck after {output} bytes"),
        }
        if scene.budget.has_room() {
            wakers.drain(..).for_each(|waker| waker.wake());
        }
    };
    assert!(matches!(end, AgentEvent::TurnEnded(_)));
    assert_eq!(wrote.try_iter().sum::<usize>(), 64_000 * 1024);
}

#[test]
fn a_new_configuration_is_used_by_the_next_turn() {
    let old = serve(|conversation| drop(conversation.request()));
    let new = serve(|conversation| {
        conversation.request();
        conversation.answer("200 OK", "new");
    });
    let mut scene = scene(http(&old.url));
    scene.agent.reconfigure(endpoint(http(&new.url)));
    assert_eq!(scene.turn("go"), ("new".into(), None));
}

#[test]
fn files_and_input_are_refused_with_a_reason() {
    let mut scene = scene(http("http://127.0.0.1:1/"));
    let file = StoredFile { path: "/x".into(), name: "x".into(), mime_type: String::new() };
    assert!(matches!(scene.agent.file(&file), FileUse::Refused(reason) if !reason.is_empty()));
    scene.agent.input("more".into(), Permit::default());
    assert!(matches!(scene.events.recv(), Ok(AgentEvent::Note(_))));
}

#[test]
fn small_pieces_are_gathered_and_none_is_held_for_long() {
    let (beat_in, beat) = crossbeam_channel::bounded::<()>(0);
    let server = serve(move |conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 OK\r\n\r\n");
        for number in 0..200 {
            conversation.say(format!("{number} "));
            // Nobody sends on the channel: this is the pace of a model's words.
            let _ = beat.recv_timeout(Duration::from_millis(1));
        }
        conversation.say("end");
        conversation.until_closed();
    });
    let mut scene = scene(http(&server.url));
    scene.message("go");
    let mut said = String::new();
    let mut messages = 0;
    // The connection stays open: what was gathered last must come without its end.
    while !said.ends_with("end") {
        said.push_str(&scene.heard());
        messages += 1;
    }
    drop(beat_in);
    assert!((2..100).contains(&messages), "{messages} messages");
}

#[test]
fn a_proxy_is_asked_for_a_tunnel() {
    let proxy = serve(|conversation| {
        conversation.request();
        conversation.say("HTTP/1.1 200 Connected\r\n\r\n");
        conversation.request();
        conversation.answer("200 OK", "far away");
    });
    // Not resolved here: the name exists nowhere.
    let far = http("http://service.invalid/x");
    let asker =
        Asker { session: "s".into(), user: "u".into(), endpoint: "e".into(), message: "m".into() };
    let head = Head::new(&far, &asker).unwrap();
    let client = Client::new(&far, Some(ureq::Proxy::new(&proxy.url).unwrap()));
    let mut response = client.ask(&head, "go").unwrap();
    assert_eq!(response.body_mut().read_to_string().unwrap(), "far away");
    let tunnel = proxy.requests.recv_timeout(PATIENCE).unwrap();
    assert!(tunnel.starts_with("CONNECT service.invalid:80 "), "{tunnel}");
    assert!(proxy.requests.recv_timeout(PATIENCE).unwrap().starts_with("POST /x "));
}
