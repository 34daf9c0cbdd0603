//! What an idle session costs, and that nothing of it stays: alone in its
//! process, because it counts what the whole process has.

mod agent_scene;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use agent_scene::{Scene, cli};

const SESSIONS: usize = 25;

fn count(directory: &str) -> usize {
    fs::read_dir(directory).expect(directory).count()
}

/// Until `holds`, which must be soon: the kernel lists a thread that was joined for a
/// moment more.
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
        thread::yield_now();
    }
}

/// How often threads of this name were woken so far, all together.
fn wake_ups(name: &str) -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("threads");
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .filter(|status| status.lines().next().is_some_and(|line| line.contains(name)))
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}

#[test]
fn an_idle_session_has_one_thread_and_four_descriptors_sleeps_and_leaves_nothing() {
    // The first session starts what all of them share.
    let used = |scene: &mut Scene| assert_eq!(scene.turn("hello").stdout, "hello\n");
    let mut first = Scene::cli(&cli(&["cat"]));
    used(&mut first);
    first.close();
    drop(first);
    until("the first session's thread is gone", || wake_ups("session test") == 0);
    // A scene itself holds one: the waker of a link writer.
    let (descriptors, threads) = (count("/proc/self/fd"), count("/proc/self/task"));

    let mut scenes: Vec<Scene> = (0..SESSIONS).map(|_| Scene::cli(&cli(&["cat"]))).collect();
    scenes.iter_mut().for_each(used);
    assert_eq!(count("/proc/self/fd") - descriptors, SESSIONS * (4 + 1));
    assert_eq!(count("/proc/self/task") - threads, SESSIONS);

    // A thread may still be on its way to sleep when its turn has ended, but only then.
    let mut quiet = || {
        let before = wake_ups("session test");
        assert!(before > 0);
        assert!(scenes[0].next_within(Duration::from_millis(700)).is_none());
        wake_ups("session test") == before
    };
    assert!((0..3).any(|_| quiet()), "something wakes them again and again");

    for scene in &mut scenes {
        scene.close();
    }
    drop(scenes);
    assert_eq!(count("/proc/self/fd"), descriptors);
    until("all of their threads are gone", || count("/proc/self/task") == threads);
    assert!(agent_scene::own_children().is_empty(), "{:?}", agent_scene::own_children());
}
