//! Whatever is cut, each session's messages arrive, in order, and what is
//! repeated is the same as before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use amurg_runtime::hub::outbox::{Entry, EntryKind};
use amurg_runtime::protocol::outbound;
use serde_json::Value;

use crate::fake::{FakeHub, Runtime, entry, number_of, output, settings};

/// What a hub has handled, over all its connections.
#[derive(Default)]
struct Record {
    /// Envelope id of each number, by session, in the order they came first.
    sessions: HashMap<String, Vec<(usize, String)>>,
    repeated: usize,
}

impl Record {
    fn note(&mut self, message: &Value) {
        let session = message["payload"]["session_id"].as_str().unwrap().to_owned();
        let came = (number_of(message), message["id"].as_str().unwrap().to_owned());
        let before = self.sessions.entry(session).or_default();
        if let Some((_, id)) = before.iter().find(|(number, _)| *number == came.0) {
            assert_eq!(*id, came.1, "a repetition has the same id");
            self.repeated += 1;
        } else {
            assert_eq!(before.len(), came.0, "nothing is missing before it");
            before.push(came);
        }
    }

    fn count(&self) -> usize {
        self.sessions.values().map(Vec::len).sum()
    }
}

#[test]
fn twenty_resets_lose_nothing_and_repeat_little() {
    const EACH: usize = 3_000;
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let confirmed = Arc::new(AtomicUsize::new(0));
    let speakers: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|session| {
            let (lane, confirmed) = (runtime.lane(session), Arc::clone(&confirmed));
            thread::spawn(move || {
                for number in 0..EACH {
                    let confirmed = Arc::clone(&confirmed);
                    let on_confirmed = Box::new(move || {
                        confirmed.fetch_add(1, Ordering::Relaxed);
                    });
                    let padding = number % 400 * 100;
                    lane.send(Entry {
                        on_confirmed: Some(on_confirmed),
                        ..output(session, number, padding)
                    });
                }
            })
        })
        .collect();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut record = Record::default();
    for _ in 0..20 {
        let mut peer = hub.registered();
        for _ in 0..rng.usize(..400) {
            if record.count() == 3 * EACH {
                break;
            }
            record.note(&peer.read().expect("more to come"));
        }
        if rng.bool() {
            peer.reset();
        }
    }
    let mut peer = hub.registered();
    while record.count() < 3 * EACH {
        record.note(&peer.read().expect("more to come"));
    }
    let reading = thread::spawn(move || peer.read_to_end());
    for speaker in speakers {
        speaker.join().unwrap();
    }
    runtime.until("everything is confirmed", |status| status.pending == 0);
    let status = runtime.hub.status();
    assert_eq!((status.buffered, status.unconfirmed, status.unconfirmed_bytes), (0, 0, 0));
    assert_eq!(confirmed.load(Ordering::Relaxed), 3 * EACH);
    assert!(status.reconnects >= 20);
    let left = runtime.hub.shutdown(std::time::Instant::now() + crate::fake::LIMIT);
    assert_eq!(left.entries, 0);
    assert!(reading.join().unwrap().is_empty(), "nothing confirmed is sent again");
}

#[test]
fn what_was_unconfirmed_comes_again_before_anything_newer_with_the_same_id() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let lane = runtime.lane("s");
    let mut peer = hub.registered();
    for number in 0..3 {
        lane.send(output("s", number, 10));
    }
    let first: Vec<Value> = (0..3).map(|_| peer.read().unwrap()).collect();
    // The last ping was not answered: tungstenite does so at the next read.
    peer.reset();
    lane.send(output("s", 3, 10));
    let mut peer = hub.registered();
    let mut again: Vec<Value> = (0..4).map(|_| peer.read().unwrap()).collect();
    assert_eq!(number_of(&again[0]), 0, "the first was not confirmed, and yet not repeated");
    assert_eq!(number_of(&again.pop().unwrap()), 3);
    assert_eq!(first, again, "the same bytes, the same ids");
}

#[test]
fn permission_requests_are_not_sent_twice() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let lane = runtime.lane("s");
    let mut peer = hub.registered();
    runtime.expect_registered();
    lane.send(entry(outbound::turn_started("s", "ask"), EntryKind::Permission));
    lane.send(output("s", 0, 1));
    peer.read().unwrap();
    peer.read().unwrap();
    peer.reset();
    runtime.expect_lost();
    let mut peer = hub.registered();
    assert_eq!(number_of(&peer.read().unwrap()), 0);
    lane.send(output("s", 1, 1));
    assert_eq!(number_of(&peer.read().unwrap()), 1);
}

#[test]
fn a_poisonous_message_is_set_aside_and_everything_else_arrives() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let lane = runtime.lane("s");
    for number in 0..4 {
        lane.send(output("s", number, 1));
    }
    let mut seen = Vec::new();
    // Dies of number 1, whenever it comes.
    let told = loop {
        let mut peer = hub.registered();
        let end = loop {
            let message = peer.read().expect("more to come");
            if message["payload"]["channel"] == "system" {
                break Some(message);
            }
            match number_of(&message) {
                1 => break None,
                number => seen.push(number),
            }
        };
        match end {
            Some(message) => {
                seen.extend((0..2).map(|_| number_of(&peer.read().unwrap())));
                break message;
            }
            None => peer.reset(),
        }
    };
    assert!(told["payload"]["content"].as_str().unwrap().contains("could not be delivered"));
    seen.dedup();
    assert_eq!(seen, [0, 2, 3]);
}
