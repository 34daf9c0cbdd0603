//! An idle link does no work. In a program of its own, so that every thread of
//! the link in it is this test's.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "this test uses a part of it")]
#[path = "hub/fake.rs"]
mod fake;

use std::thread;
use std::time::{Duration, Instant};

use crate::fake::{FakeHub, LIMIT, Runtime, output, settings};

#[test]
fn an_idle_link_does_no_work() {
    let hub = FakeHub::new();
    let runtime = Runtime::start(settings(hub.address));
    let mut peer = hub.registered();
    runtime.expect_registered();
    runtime.lane("s").send(output("s", 0, 1));
    let reading = thread::spawn(move || {
        peer.read().unwrap();
        peer.read_to_end()
    });
    runtime.until("everything is confirmed", |status| status.pending == 0);
    // The timer of the last ping may ring once more.
    thread::sleep(Duration::from_millis(1500));
    let before = switches();
    thread::sleep(Duration::from_secs(2));
    let after = switches();
    assert!(after - before <= 1, "{} context switches in two idle seconds", after - before);
    runtime.hub.shutdown(Instant::now() + LIMIT);
    reading.join().unwrap();
}

/// Context switches of the link's threads, and of the one that reads it.
fn switches() -> u64 {
    let count = |status: String| -> u64 {
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.split_once('\t').unwrap().1.trim().parse::<u64>().unwrap()).sum()
    };
    let own = ["hub", "link-writer", "listener"];
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let paths = tasks.map(|task| task.unwrap().path());
    let of_link = paths.filter(|path| {
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        own.contains(&name.trim())
    });
    let counts: Vec<u64> = of_link
        .filter_map(|path| std::fs::read_to_string(path.join("status")).ok().map(count))
        .collect();
    assert_eq!(counts.len(), own.len(), "a thread of the link is missing");
    counts.iter().sum()
}
