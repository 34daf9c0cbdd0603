//! Nothing outlives its session, and a shutdown is quick.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::fault_proxy::{Faults, Way};
use crate::support::scene::{Scene, cli, job};

/// Children of every awkward kind; all of them say when they are up.
const FAMILY: &str = "
sleep 1001 &
setsid sleep 1002 &
nohup sleep 1003 >/dev/null 2>&1 &
(trap '' TERM; sleep 1004; sleep 1005) &
(setsid sh -c 'sleep 1006 & exit' &)
sh -c 'kill -STOP $$; sleep 1007' &
echo up";

#[test]
fn closing_a_session_ends_everything_that_came_of_it() {
    let scene = Scene::new("end_family").agent(cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    session.say(FAMILY);
    session.shows("stdout", "up\n");
    session.close();
    scene.no_process_left();
}

#[test]
fn a_jobs_grandchildren_end_with_it() {
    let scene = Scene::new("end_job").agent(job("j", "bash", &["-c", FAMILY])).start();
    let session = scene.session("j");
    session.say("").end();
    session.close();
    scene.no_process_left();
}

#[test]
fn a_term_is_answered_in_order_and_at_once() {
    let scene =
        Scene::new("end_term").agent(cli("sh", "bash", &["-i"])).agent(cli("cat", "cat", &[]));
    let scene = scene.start();
    let (shell, cat) = (scene.session("sh"), scene.session("cat"));
    shell.say("true").end();
    cat.say("x").ended(None);
    let begun = Instant::now();
    assert_eq!(scene.terminate().code(), Some(0));
    // Far above what it takes, far below the grace of a stubborn child.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    scene.no_process_left();
    scene.every_turn_ended();
}

#[test]
fn a_term_without_a_hub_is_answered_as_well() {
    let scene = Scene::new("end_absent")
        .dial("ws://127.0.0.1:9/ws/runtime")
        .agent(job("j", "true", &[]))
        .start_unregistered();
    scene.logged("not connected");
    let begun = Instant::now();
    assert_eq!(scene.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn an_open_turn_is_closed_by_the_shutdown() {
    let scene = Scene::new("end_open_turn").agent(job("j", "sleep", &["1000"])).start();
    let turn = scene.session("j").say("");
    turn.started();
    assert_eq!(scene.terminate().code(), Some(0));
    turn.end();
    scene.every_turn_ended();
}

#[test]
fn a_stalled_hub_does_not_hold_the_shutdown() {
    let scene = Scene::new("end_stalled").proxy(1).agent(job("yes", "yes", &[])).start();
    let turn = scene.session("yes").say("");
    turn.started();
    let way = Way { stalled: true, ..Way::default() };
    scene.proxy().set_faults(Faults { to_hub: way.clone(), to_runtime: way });
    let begun = Instant::now();
    assert_eq!(scene.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    scene.no_process_left();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let stubborn = "trap '' TERM HUP INT; echo up; while :; do sleep 1; done";
    let scene = Scene::new("end_twice").agent(cli("sh", "bash", &["-c", stubborn])).start();
    scene.session("sh").shows("stdout", "up\n");
    scene.signal(Signal::TERM);
    scene.logged("stopping");
    let begun = Instant::now();
    scene.signal(Signal::TERM);
    assert!(!scene.exited().success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    scene.no_process_left();
}

#[test]
fn many_sessions_leave_threads_and_descriptors_where_they_were() {
    let scene = Scene::new("end_many").agent(cli("cat", "cat", &[])).start();
    let warm = scene.session("cat");
    warm.say("x").ended(None);
    warm.close();
    scene.no_process_left();
    let before = scene.usage();
    for _ in 0..5 {
        let sessions: Vec<_> = (0..8).map(|_| scene.session("cat")).collect();
        for session in &sessions {
            session.say("x").ended(None);
            session.close();
        }
        scene.no_process_left();
    }
    // The last threads end right after their processes; a fresh turn comes behind them.
    let last = scene.session("cat");
    last.say("x").ended(None);
    last.close();
    scene.no_process_left();
    scene.logged("session ended");
    let after = scene.usage();
    assert!(after.threads <= before.threads + 2, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors + 4, "{before:?} {after:?}");
}
