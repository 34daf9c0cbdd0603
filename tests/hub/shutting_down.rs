//! The end: what is pending is delivered, and the deadline holds.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::fake::{FakeHub, LIMIT, Runtime, number_of, output, settings};

const SOON: Duration = Duration::from_secs(1);

#[test]
fn an_idle_link_ends_at_once_with_a_close_frame() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let closed = thread::spawn(move || {
        loop {
            match peer.socket.read() {
                Ok(tungstenite::Message::Close(frame)) => return frame.is_some(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    });
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 0);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(closed.join().unwrap(), "no close frame");
}

#[test]
fn what_is_pending_is_delivered_first() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    let lane = runtime.lane("s");
    for number in 0..500 {
        lane.send(output("s", number, 1000));
    }
    let reading = thread::spawn(move || {
        let first = number_of(&peer.read().unwrap());
        (first, peer.read_to_end().len())
    });
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 0);
    assert!(start.elapsed() < SOON * 5, "{:?}", start.elapsed());
    assert_eq!(reading.join().unwrap(), (0, 499));
}

#[test]
fn a_stalled_hub_costs_the_deadline_and_what_is_left_is_counted() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let _peer = hub.registered();
    runtime.expect_registered();
    let (one, other) = (runtime.lane("one"), runtime.lane("other"));
    for number in 0..5 {
        one.send(output("one", number, 100_000));
    }
    other.send(output("other", 0, 1));
    let start = Instant::now();
    let left = runtime.hub.shutdown(start + Duration::from_millis(400));
    assert_eq!((left.entries, left.sessions), (6, 2));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400) && took < SOON, "{took:?}");
}

#[test]
fn an_absent_hub_costs_one_more_try_when_something_is_pending() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = Runtime::start(settings(nobody));
    runtime.until("a failed dial", |status| status.last_error.is_some());
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 0);
    assert!(start.elapsed() < SOON);

    let runtime = Runtime::start(settings(nobody));
    runtime.lane("s").send(output("s", 0, 1));
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 1);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_hub_that_refuses_is_not_asked_again() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let (mut peer, _) = hub.hello();
    peer.say("hello.ack", serde_json::json!({ "ok": false }));
    drop(peer);
    runtime.until("refused", |status| status.next_dial.is_some());
    runtime.lane("s").send(output("s", 0, 1));
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 1);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_hub_that_comes_back_in_time_still_gets_everything() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.hub.reconnect_interval = Duration::from_secs(600);
    settings.hub.max_reconnect_delay = Duration::from_secs(600);
    let runtime = Runtime::start(settings);
    hub.registered().reset();
    runtime.expect_registered();
    runtime.expect_lost();
    runtime.until("waiting", |status| status.next_dial.is_some());
    runtime.lane("s").send(output("s", 0, 1));
    runtime.until("pending", |status| status.pending == 1);
    let reading = thread::spawn(move || hub.registered().read_to_end().len());
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 0);
    assert!(start.elapsed() < SOON * 5);
    assert_eq!(reading.join().unwrap(), 1);
}

#[test]
fn nobody_taking_events_does_not_hold_it_up() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    for _ in 0..50 {
        peer.say("session.close", serde_json::json!({ "session_id": "s" }));
    }
    runtime.until("a full channel", |status| status.messages_in >= 4);
    runtime.lane("s").send(output("s", 0, 1));
    let reading = thread::spawn(move || peer.read_to_end().len());
    let start = Instant::now();
    assert_eq!(runtime.hub.shutdown(start + LIMIT).entries, 0);
    assert!(start.elapsed() < SOON);
    assert_eq!(reading.join().unwrap(), 1);
}
