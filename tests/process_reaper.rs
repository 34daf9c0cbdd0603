//! Whoever watches a child learns how it ended; nobody's exit code is taken
//! by anybody else; and nothing stays a zombie.

#[path = "support/children.rs"]
mod children;

use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use amurg_runtime::agent::process::reaper::exit_code;
use amurg_runtime::wake;
use children::{LONG, Scene, assert_gone, await_ends, launcher, plan, readable, reaper};
use rustix::process::{Pid, Signal};

#[test]
fn exit_codes_and_signals_reach_their_owner() {
    assert_eq!(Scene::sh("exit 7").code(), 7);
    assert_eq!(Scene::sh("kill -KILL $$").code(), 128 + 9);
    assert_eq!(Scene::sh("kill -TERM $$").code(), 128 + 15);
}

#[test]
fn two_hundred_children_at_once_each_keep_their_own_exit_code() {
    let launcher = launcher();
    thread::scope(|scope| {
        for thread in 0..20 {
            let launcher = &launcher;
            scope.spawn(move || {
                for turn in 0..10 {
                    let code = 1 + (thread * 10 + turn) % 99;
                    let child = launcher.launch(&plan("sh", &["-c", &format!("exit {code}")]));
                    let status = child.unwrap().exit.wait(Instant::now() + LONG);
                    assert_eq!(status.map(exit_code), Some(code));
                }
            });
        }
    });
}

#[test]
fn a_burst_of_ends_in_one_signal_is_seen_whole() {
    let mut scenes: Vec<Scene> = (0..60).map(|_| Scene::sh("read line; exit 3")).collect();
    scenes.iter_mut().for_each(Scene::close_stdin);
    assert!(scenes.iter().all(|scene| scene.code() == 3));
}

#[expect(clippy::zombie_processes, reason = "the reaper is what reaps here")]
#[test]
fn a_child_that_ends_before_it_is_known_is_not_a_stranger() {
    let reaper = reaper();
    let expected = reaper.expect();
    let child = Command::new("sh").args(["-c", "exit 5"]).stdin(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    await_ends(&[pid]);
    reaper.reap();
    let exit = expected.watch(pid);
    assert_eq!(exit.try_status().map(exit_code), Some(5));
    assert_eq!(exit.while_unreaped(|_| ()), None);
}

#[test]
fn the_owner_is_woken_once_now_or_later() {
    let (waker, woken) = wake::pair().unwrap();
    let mut scene = Scene::sh("read line; exit 1");
    scene.exit.wake_on_exit(waker.clone());
    assert_eq!(scene.exit.try_status(), None);
    scene.close_stdin();
    readable(&woken);
    assert_eq!(scene.exit.try_status().map(exit_code), Some(1));
    woken.drain();
    scene.exit.wake_on_exit(waker);
    readable(&woken);
}

#[test]
fn a_wait_ends_with_its_deadline() {
    let scene = Scene::sh("read line");
    assert_eq!(scene.exit.wait(Instant::now()), None);
    scene.exit.signal(Signal::KILL);
    assert_eq!(scene.code(), 128 + 9);
}

#[test]
fn orphans_come_to_us_and_are_reaped() {
    let mut scene = Scene::sh("(sh -c 'echo $$; read line' <&3 &) 3<&0; exit 0");
    assert_eq!(scene.code(), 0);
    let orphan = scene.pids();
    let parent = amurg_runtime::agent::process::procfs::process(orphan[0]).unwrap().parent;
    assert_eq!(parent, Some(rustix::process::getpid()));
    scene.close_stdin();
    await_ends(&orphan);
    assert_gone(&orphan);
}

#[test]
fn a_dropped_watch_leaves_a_stranger_that_is_reaped_all_the_same() {
    let Scene { exit, family, .. } = Scene::sh("read line");
    let pid = exit.pid();
    drop((exit, family));
    await_ends(&[pid]);
    assert_gone(&[pid]);
}
