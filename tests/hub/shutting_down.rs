//! The end: what is pending is delivered, and the deadline holds.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::fake::{FakeHub, LIMIT, Runtime, number_of, output, settings, unread};

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
fn a_connection_that_nobody_reads_does_not_hold_it_up() {
    let fake = FakeHub::new();
    let (hub, said) = unread(settings(fake.address), 1 << 20);
    let reading = thread::spawn(move || fake.registered().read_to_end().len());
    let _unread = said.recv_timeout(LIMIT).expect("a connection");
    hub.outbox().lane("s".into(), 1 << 20).send(output("s", 0, 1));
    let start = Instant::now();
    assert_eq!(hub.shutdown(start + SOON).entries, 1, "no pong was read");
    assert!(start.elapsed() < SOON * 5);
    assert_eq!(reading.join().unwrap(), 1);
}

#[test]
fn a_message_without_end_holds_nothing_up() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    let mut stream = peer.socket.get_ref().try_clone().expect("a descriptor");
    let flood = thread::spawn(move || {
        // A first part of a text, then parts of no length.
        stream.write_all(b"\x01\x01x").expect("a living connection");
        let parts = vec![0; 64 * 1024];
        while stream.write_all(&parts).is_ok() {}
    });
    runtime.expect_registered();
    runtime.lane("s").send(output("s", 0, 1));
    assert_eq!(number_of(&peer.read().expect("the writer has its turn")), 0);
    let start = Instant::now();
    runtime.hub.shutdown(start + SOON);
    assert!(start.elapsed() < SOON * 5);
    // It may wait for room that nobody makes any more.
    let _ = peer.socket.get_ref().shutdown(Shutdown::Both);
    flood.join().unwrap();
}
