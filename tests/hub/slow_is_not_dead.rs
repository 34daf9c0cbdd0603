//! What a slow, a stalled and a dead hub mean.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use amurg_runtime::hub::RedialTimes;
use amurg_runtime::hub::outbox::EntryKind;
use amurg_runtime::protocol::outbound::{self, Channel};
use amurg_runtime::wake;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameSocket};

use crate::fake::{Event, FakeHub, LIMIT, Peer, Runtime, entry, number_of, output, settings};

#[test]
fn a_stalled_hub_is_still_heard_and_bounds_hold() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let lane = runtime.lane("flood");
    let (waker, bell) = wake::pair().unwrap();
    let mut sent = 0;
    while lane.has_room() {
        lane.send(output("flood", sent, 60_000));
        sent += 1;
    }
    lane.wake_when_room(waker);
    runtime.until("a full wire", |status| status.unconfirmed_bytes > 0);
    for number in 0..20 {
        peer.say("session.close", json!({ "session_id": format!("{number}") }));
        runtime.expect_message();
    }
    let status = runtime.hub.status();
    assert!(status.buffered <= (10 << 20) + 70_000, "{}", status.buffered);
    assert!(status.unconfirmed <= 4, "{}", status.unconfirmed);
    let rings = |limit: Duration| {
        let limit = Timespec::try_from(limit).unwrap();
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&limit)) == Ok(1)
    };
    assert!(!rings(Duration::ZERO));
    for number in 0..sent {
        assert_eq!(number_of(&peer.read().unwrap()), number);
    }
    let reading = thread::spawn(move || peer.read_to_end());
    assert!(rings(LIMIT), "the reading thread was never woken");
    runtime.until("everything is confirmed", |status| status.buffered == 0);
    runtime.hub.shutdown(Instant::now() + LIMIT);
    reading.join().unwrap();
}

#[test]
fn a_flood_delays_another_session_by_no_more_than_what_is_on_the_wire() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let (flood, other) = (runtime.lane("flood"), runtime.lane("other"));
    for number in 0..100 {
        flood.send(output("flood", number, 60_000));
    }
    runtime.until("a full wire", |status| status.unconfirmed_bytes > 0);
    other.send(output("other", 0, 1));
    let before = (0..200).take_while(|_| peer.read().unwrap()["session_id"] != "other").count();
    assert!(before <= 6, "{before} frames of the flood came first");
}

#[test]
fn a_late_pong_costs_nothing_while_the_hub_talks() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.patience.give_up = Duration::from_millis(300);
    let runtime = Runtime::start(settings);
    let mut peer = hub.registered();
    runtime.expect_registered();
    runtime.lane("s").send(output("s", 0, 1));
    let start = Instant::now();
    // It does not read, so it does not pong; but it talks.
    while start.elapsed() < Duration::from_millis(1200) {
        peer.say("session.close", json!({ "session_id": "s" }));
        runtime.expect_message();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(runtime.hub.status().reconnects, 0);
    assert_eq!(number_of(&peer.read().unwrap()), 0);
}

#[test]
fn a_silent_hub_is_given_up_and_one_that_never_pings_is_dialled_once_more() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.patience.give_up = Duration::from_millis(400);
    settings.timing.redials = RedialTimes {
        after: vec![Duration::from_millis(300)],
        put_off: Duration::from_secs(1),
        after_boot: Duration::ZERO,
    };
    let runtime = Runtime::start(settings);
    let silent = hub.registered();
    runtime.expect_registered();
    let lane = runtime.lane("s");
    lane.send(output("s", 0, 1));
    runtime.expect_lost();
    drop(silent);
    let error = runtime.hub.status().last_error;
    let mut peer = hub.registered();
    runtime.expect_registered();
    assert_eq!(number_of(&peer.read().unwrap()), 0, "{error:?}");
    let closed = thread::spawn(move || peer.read_to_end());
    runtime.expect_lost();
    assert!(closed.join().unwrap().is_empty());
    let mut peer = hub.registered();
    runtime.expect_registered();
    lane.send(output("s", 1, 1));
    assert_eq!(number_of(&peer.read().unwrap()), 1, "what was confirmed is not repeated");
}

#[test]
#[cfg(target_os = "linux")]
fn after_a_boot_a_hub_that_never_pings_is_dialled_once_more() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.redials = RedialTimes {
        after: vec![Duration::from_millis(100)],
        put_off: Duration::ZERO,
        after_boot: Duration::MAX,
    };
    let _runtime = Runtime::start(settings);
    assert!(hub.registered().read_to_end().is_empty());
    let _again = hub.registered();
    assert!(!hub.is_dialled_within(Duration::from_millis(400)));
}

#[test]
fn a_hub_that_pings_is_not_dialled_once_more() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.patience.give_up = Duration::from_millis(300);
    settings.timing.redials = RedialTimes {
        after: vec![Duration::from_millis(200)],
        put_off: Duration::ZERO,
        after_boot: Duration::ZERO,
    };
    let runtime = Runtime::start(settings);
    let silent = hub.registered();
    runtime.expect_registered();
    runtime.expect_lost();
    drop(silent);
    let mut peer = hub.registered();
    runtime.expect_registered();
    peer.socket.send(tungstenite::Message::Ping(Vec::new().into())).unwrap();
    let reading = thread::spawn(move || peer.read_to_end());
    assert!(!hub.is_dialled_within(Duration::from_millis(600)));
    runtime.hub.shutdown(Instant::now() + LIMIT);
    reading.join().unwrap();
}

/// What a hub that reads frame by frame sees of 3 MiB, pinging in between.
#[test]
fn a_large_message_goes_out_in_fragments_with_pongs_in_between() {
    const SIZE: usize = 3 << 20;
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let peer = hub.registered();
    runtime.expect_registered();
    let frame = outbound::output("s", 1, &Channel::Stdout, &"ä".repeat(SIZE / 2));
    let whole = frame.text.clone();
    runtime.lane("s").send(entry(frame, EntryKind::File));

    let mut frames = FrameSocket::new(peer.socket.into_inner());
    let mut received = Vec::new();
    let mut pongs_between = 0;
    let mut data_frames = 0;
    loop {
        let mut frame = frames.read(None).unwrap().expect("more to come");
        let mask = frame.header_mut().mask.take().expect("a client masks");
        let header = frame.header().clone();
        let payload: Vec<u8> = frame
            .into_payload()
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        match header.opcode {
            OpCode::Control(Control::Ping) => frames.send(Frame::pong(payload)).unwrap(),
            OpCode::Control(Control::Pong) => pongs_between += 1,
            OpCode::Data(kind) => {
                assert!(payload.len() <= 64 * 1024, "{} bytes in one frame", payload.len());
                assert_eq!(kind, if received.is_empty() { Data::Text } else { Data::Continue });
                assert!(std::str::from_utf8(&payload).is_ok(), "cut inside a character");
                received.extend(payload);
                data_frames += 1;
                if data_frames % 4 == 0 {
                    frames.send(Frame::ping(vec![7])).unwrap();
                }
                if header.is_final {
                    break;
                }
            }
            other @ OpCode::Control(_) => panic!("unexpected {other:?}"),
        }
    }
    assert!(received == whole.as_bytes());
    assert!(pongs_between > 0, "no pong came before the end of the message");
}

#[test]
fn every_byte_on_its_own_still_arrives() {
    let hub = FakeHub::new();
    let relay = FakeHub::new();
    let runtime = Runtime::start(settings(relay.address));
    let (near, far) = (relay.tcp(), TcpStream::connect(hub.address).unwrap());
    // The request in one piece: it is our reader that must not take single bytes for
    // an attack, and the library at the hub's end does.
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        (&near).read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    (&far).write_all(&request).unwrap();
    for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        to.set_nodelay(true).unwrap();
        thread::spawn(move || {
            let mut byte = [0];
            while matches!(from.read(&mut byte), Ok(1)) && to.write_all(&byte).is_ok() {}
        });
    }
    let mut peer = hub.registered();
    runtime.expect_registered();
    runtime.lane("s").send(output("s", 0, 100));
    assert_eq!(number_of(&peer.read().unwrap()), 0);
    peer.say("session.close", json!({ "session_id": "s" }));
    runtime.expect_message();
}

#[test]
fn a_close_frame_without_a_close_ends_the_connection_too() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    peer.socket.send(tungstenite::Message::Close(None)).unwrap();
    // `peer` stays open.
    runtime.expect_lost();
    let _next = hub.registered();
    assert!(matches!(runtime.event(), Event::Registered { first: false }));
    drop(peer);
}

#[test]
fn a_peer_that_is_no_hub_is_told() {
    for (answer, told) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "check the path in hub.url"),
        ("HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\n\r\n", "elsewhere"),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "check hub.token"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "behind that proxy is away"),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "does not speak it"),
    ] {
        let hub = FakeHub::new();
        let runtime = Runtime::start(settings(hub.address));
        let mut stream = hub.tcp();
        let _ = stream.read(&mut [0; 2048]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        runtime.until("an error", |status| status.last_error.is_some());
        let error = runtime.hub.status().last_error.unwrap();
        assert!(error.contains(told), "{error}");
    }
}

/// A hub that upgrades and then says nothing at all.
#[test]
fn a_dial_ends_by_its_deadlines() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.timing.dial.handshake = Duration::from_millis(150);
    settings.timing.dial.ack = Duration::from_millis(150);
    let runtime = Runtime::start(settings);
    let mute = hub.tcp();
    let second = hub.tcp();
    let error = runtime.hub.status().last_error.unwrap();
    assert!(error.contains("the WebSocket handshake took longer"), "{error}");
    let peer = Peer::upgrade(second);
    let _third = hub.tcp();
    let error = runtime.hub.status().last_error.unwrap();
    assert!(error.contains("did not answer the hello"), "{error}");
    drop((mute, peer));
}
