//! What concerns a whole process: its signals, its shutdown, what a killed one
//! left, and whether descriptors, threads or memory pile up. Each test runs
//! again as a child of itself, so that it has a process of its own.

#[path = "support/children.rs"]
mod children;

use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use amurg_runtime::agent::process::end::{sweep_descendants, sweep_leftovers};
use amurg_runtime::agent::process::original::raise_open_files;
use amurg_runtime::agent::process::plan::SpawnPlan;
use amurg_runtime::agent::process::procfs;
use amurg_runtime::agent::process::reaper::Reaper;
use amurg_runtime::ids::process_nonce;
use amurg_runtime::signals::{self, Notice};
use amurg_runtime::wake;
use children::{
    LONG, Scene, assert_gone, await_ends, launcher, launcher_of, plan, readable, reaper,
};
use rustix::process::{Pid, Signal, getpid, kill_process};

const ROLE: &str = "AMURG_TEST_ROLE";

/// Whether this is the inner process.
fn is_inner() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// The test `name` once more, in a process of its own.
fn inner_plan(name: &str) -> SpawnPlan {
    let exe = std::env::current_exe().unwrap();
    let args = ["--exact", name, "--nocapture", "--test-threads=1"];
    let mut plan = plan(exe.to_str().unwrap(), &args);
    plan.env.retain(|(name, _)| name != ROLE);
    plan.env.push((ROLE.into(), if is_inner() { "2" } else { "1" }.into()));
    plan
}

/// The same, running.
fn inner(name: &str) -> Scene {
    let mut scene = Scene::of(&inner_plan(name));
    scene.until("running 1 test\n");
    scene
}

/// Runs `story` in a process of its own; what it asserts, holds there.
fn alone(name: &str, story: impl FnOnce()) {
    if is_inner() {
        return story();
    }
    let mut scene = inner(name);
    let said = scene.rest();
    assert_eq!(scene.code(), 0, "{said}");
}

#[test]
fn terminate_and_reload_are_told_and_children_reaped() {
    alone("terminate_and_reload_are_told_and_children_reaped", || {
        let (told, notices) = mpsc::channel();
        let reaper = Reaper::new();
        let thread = signals::start(reaper.clone(), move |notice| told.send(notice).unwrap());
        for (signal, notice) in [
            (Signal::HUP, Notice::Reload),
            (Signal::HUP, Notice::Reload),
            (Signal::INT, Notice::Terminate),
        ] {
            kill_process(getpid(), signal).unwrap();
            assert_eq!(notices.recv_timeout(LONG), Ok(notice));
        }
        let child = launcher_of(reaper).launch(&plan("sh", &["-c", "exit 3"])).unwrap();
        assert_eq!(child.exit.wait(Instant::now() + LONG).and_then(|s| s.code()), Some(3));
        thread.unwrap().stop();
        assert!(notices.recv().is_err(), "the thread has ended");
    });
}

#[test]
fn a_second_signal_exits_at_once_and_leaves_nobody() {
    let name = "a_second_signal_exits_at_once_and_leaves_nobody";
    if is_inner() {
        let (told, notices) = mpsc::channel();
        let reaper = Reaper::new();
        let _thread = signals::start(reaper.clone(), move |_| told.send(()).unwrap()).unwrap();
        let mut scene = Scene::with(
            &launcher_of(reaper),
            &plan(
                "bash",
                &["-c", "trap '' TERM; env -i setsid sleep 1000 & echo $$ $!; read line"],
            ),
        );
        println!("pids: {}", scene.line());
        kill_process(getpid(), Signal::TERM).unwrap();
        notices.recv_timeout(LONG).unwrap();
        kill_process(getpid(), Signal::INT).unwrap();
        // The second one ends us while we wait for ever.
        assert!(notices.recv_timeout(LONG).is_err());
        unreachable!();
    }
    let mut scene = inner(name);
    scene.until("pids: ");
    let pids = scene.pids();
    assert_eq!(scene.code(), 128 + 2);
    await_ends(&pids);
    assert_gone(&pids);
}

#[test]
fn a_shutdown_ends_what_shed_every_mark_of_its_session() {
    alone("a_shutdown_ends_what_shed_every_mark_of_its_session", || {
        let mut scene = Scene::bash(
            "env -i setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; :' & sleep 1000",
        );
        let pids = scene.pids();
        let mut shed = Scene::bash(
            "(env -i setsid sh -c '(trap \"\" TERM; echo $$; exec sleep 1000) & exit' &) ; read line",
        );
        let stray = shed.pids();
        // The shell that printed its pid has ended; its child goes by another.
        await_ends(&stray);
        shed.end(LONG);
        assert_eq!(
            sweep_descendants(&reaper(), Instant::now() + Duration::from_millis(100)).left,
            0
        );
        assert_gone(&pids);
        let own = getpid();
        let left = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        assert_eq!(left, "");
    });
}

#[test]
fn what_a_killed_runtime_left_is_ended_by_the_next() {
    let name = "what_a_killed_runtime_left_is_ended_by_the_next";
    if is_inner() {
        let mut scene = Scene::bash(
            "setsid sleep 1000 & a=$!; trap '' TERM; (env -i sleep 1000 & echo $a $! $BASHPID; wait); :",
        );
        println!("left: {}", process_nonce());
        println!("{}", scene.line());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        unreachable!("killed before");
    }
    let mut scene = inner(name);
    scene.until("left: ");
    let nonce = scene.line();
    let pids = scene.pids();
    let other = Scene::sh("read line");
    kill_process(scene.exit.pid(), Signal::KILL).unwrap();
    assert_eq!(scene.code(), 128 + 9);
    let until = Instant::now() + Duration::from_millis(100);
    assert_eq!(sweep_leftovers(&nonce, None, &reaper(), until).left, 0);
    // They became our children when their runtime died.
    await_ends(&pids);
    assert_gone(&pids);
    assert!(procfs::process(other.exit.pid()).unwrap().is_alive(), "another runtime's");
}

#[test]
fn a_sweep_spares_the_runtime_that_an_agent_of_the_last_one_started() {
    let name = "a_sweep_spares_the_runtime_that_an_agent_of_the_last_one_started";
    if std::env::var_os(ROLE).is_some_and(|role| role == "2") {
        // Our own mark is the outer runtime's: its nonce must not make us end ourselves.
        let mark = std::env::var("AMURG_MARK").unwrap();
        let nonce = mark.split('.').next().unwrap();
        let ended = sweep_leftovers(nonce, None, &reaper(), Instant::now());
        return assert_eq!(ended.left, 0);
    }
    alone(name, || {
        let mut agents = Scene::bash("setsid sleep 1000 & echo $!; read line");
        let pids = agents.pids();
        let mut next = inner(name);
        let said = next.rest();
        assert_eq!(next.code(), 0, "{said}");
        await_ends(&pids);
        assert_gone(&pids);
    });
}

#[test]
fn sessions_leave_no_descriptor_thread_or_zombie_behind() {
    alone("sessions_leave_no_descriptor_thread_or_zombie_behind", || {
        let story = || {
            for script in ["exit 3", "(setsid sleep 1000 &); sleep 1000", "exec cat"] {
                let scene = Scene::sh(script);
                assert_eq!(scene.end(LONG).left, 0);
            }
            let scene = Scene::of(&SpawnPlan {
                cwd: "/tmp".into(),
                ..children::plan_on_terminal("sh", &["-c", "sleep 1000"])
            });
            assert_eq!(scene.end(LONG).left, 0);
            let missing = SpawnPlan { program: "/no/such".into(), ..plan("sh", &[]) };
            assert!(launcher().launch(&missing).is_err());
        };
        let count = || {
            let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
            (entries("/proc/self/fd"), entries("/proc/self/task"))
        };
        story();
        let before = count();
        for _ in 0..20 {
            story();
        }
        assert_eq!(count(), before);
        // Launchers that failed end on their own; none of them stays.
        let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
        };
        let lists: String = std::fs::read_dir("/proc/self/task").unwrap().map(of_thread).collect();
        let children: Vec<Pid> = lists
            .split_whitespace()
            .map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
            .collect();
        await_ends(&children);
        assert_gone(&children);
    });
}

#[test]
fn the_limit_of_open_files_is_raised_and_put_back_for_children() {
    alone("the_limit_of_open_files_is_raised_and_put_back_for_children", || {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: hard }).unwrap();
        let mut launcher = launcher();
        launcher.original.open_files = raise_open_files();
        assert_eq!(launcher.original.open_files, Some(200));
        assert!(getrlimit(Resource::Nofile).current.is_none_or(|soft| soft > 200));
        let mut scene = Scene::with(&launcher, &plan("sh", &["-c", "ulimit -Sn"]));
        assert_eq!(scene.line(), "200");
    });
}

#[test]
fn without_a_proc_a_child_still_starts_and_ends() {
    let name = "without_a_proc_a_child_still_starts_and_ends";
    if is_inner() {
        assert!(!std::path::Path::new("/proc/self").exists());
        let mut scene = Scene::sh("trap '' TERM; echo up; sleep 1000; sleep 1000");
        assert_eq!(scene.line(), "up");
        let exit = scene.exit.clone();
        assert_eq!(scene.end(Duration::from_millis(100)).left, 0);
        assert_eq!(exit.try_status().and_then(|status| status.signal()), Some(9));
        let mut dying = Scene::sh("echo up; sleep 1000");
        assert_eq!(dying.line(), "up");
        assert_eq!(dying.end(LONG).left, 0);
        let Scene { exit, family, .. } = Scene::sh("sleep 1000");
        drop(family);
        assert!(exit.wait(Instant::now() + LONG).is_some());
        return;
    }
    let mut plan = inner_plan(name);
    let command = plan.program.to_str().unwrap().to_owned();
    let hiding = "umount -l /proc && exec \"$0\" \"$@\" || echo no-right-to-hide-it";
    plan.args.splice(0..0, ["-m", "sh", "-c", hiding, &command].map(String::from));
    plan.program = "/usr/bin/unshare".into();
    let mut scene = Scene::of(&plan);
    let said = scene.rest();
    if !said.contains("running 1 test") {
        println!("skipped: not allowed to hide /proc: {said}");
        return;
    }
    assert_eq!(scene.code(), 0, "{said}");
}

#[test]
fn waking_by_exit_costs_no_descriptor_that_is_kept() {
    alone("waking_by_exit_costs_no_descriptor_that_is_kept", || {
        let (waker, woken) = wake::pair().unwrap();
        let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let first = Scene::sh("read line");
        let before = count();
        let mut scene = Scene::sh("read line");
        scene.exit.wake_on_exit(waker);
        assert_eq!(count() - before, 3, "stdin, stdout, stderr");
        scene.close_stdin();
        readable(&woken);
        drop(first);
    });
}
