//! Nothing that was started outlives the end of its session: no process, no zombie.

#[path = "support/children.rs"]
mod children;

use std::time::{Duration, Instant};

use amurg_runtime::agent::process::cgroup::Groups;
use amurg_runtime::agent::process::end::{Ended, GRACE, end};
use amurg_runtime::agent::process::launch::Launcher;
use amurg_runtime::agent::process::procfs;
use children::{LONG, Scene, assert_gone, await_ends, carriers, launcher, plan, plan_on_terminal};
use rustix::process::{Pid, Signal, kill_process};
use std::os::fd::AsFd;

/// For those that ignore TERM.
const SHORT: Duration = Duration::from_millis(150);

/// Ends the scene; nothing of it, and none of `pids`, is left.
fn assert_ends(scene: Scene, pids: &[Pid], grace: Duration) {
    let mark = scene.family.mark().clone();
    let root = scene.exit.pid();
    let exit = scene.exit.clone();
    assert_eq!(scene.end(grace), Ended::default());
    assert_gone(pids);
    assert_gone(&[root]);
    assert_eq!(carriers(&mark), Vec::<String>::new());
    assert!(exit.try_status().is_some(), "its owner was not told");
}

/// The same for a shell script that prints the pids it wants gone on one line.
fn ends(script: &str, grace: Duration) {
    let mut scene = Scene::bash(script);
    let pids = scene.pids();
    assert!(!pids.is_empty());
    assert_ends(scene, &pids, grace);
}

#[test]
fn grandchildren() {
    ends("sleep 1000 & a=$!; (sleep 1000 & echo $a $! $BASHPID; wait)", LONG);
}

#[test]
fn a_double_fork() {
    ends("( (exec 2>&-; sleep 1000 & echo $!) & ) ; sleep 1000", LONG);
}

#[test]
fn a_process_in_a_session_of_its_own() {
    ends("setsid sh -c 'echo $$; sleep 1000; :'; sleep 1000", LONG);
}

#[test]
fn a_daemon_that_left_its_parent_session_and_streams() {
    ends("setsid sh -c 'sleep 1000 >&- 2>&- <&- & echo $!' ; exit 0", LONG);
}

#[test]
fn a_process_that_ignores_a_hang_up() {
    ends("nohup sleep 1000 >/dev/null 2>&1 & echo $!; wait", LONG);
}

#[test]
fn a_process_that_ignores_term() {
    ends("trap '' TERM; sleep 1000 & echo $$ $!; while :; do wait; sleep 1000; done", SHORT);
}

#[test]
fn a_tree_in_which_everybody_ignores_term() {
    ends(
        "trap '' TERM; (setsid sleep 1000 & echo -n \"$! \"); (sleep 1000 & echo $!); sleep 1000",
        SHORT,
    );
}

#[test]
fn a_stopped_process_is_heard_out_and_ended() {
    let mut scene =
        Scene::bash("trap 'echo heard; exit' TERM; echo $$; while :; do sleep 0.05; done");
    let pids = scene.pids();
    kill_process(pids[0], Signal::STOP).unwrap();
    assert_ends(scene, &pids, LONG);
}

#[test]
fn a_stopped_process_that_ignores_term() {
    ends("trap '' TERM; sleep 1000 & kill -STOP $!; echo $$ $!; wait; sleep 1000", SHORT);
}

#[test]
fn a_process_that_holds_the_pipes_after_its_parent_died() {
    let mut scene = Scene::bash("sleep 1000 & echo $!; exit 3");
    let pids = scene.pids();
    assert_eq!(scene.code(), 3);
    assert_ends(scene, &pids, LONG);
}

#[test]
fn an_emptied_environment() {
    ends("env -i sleep 1000 & echo $!; wait", LONG);
}

#[test]
fn an_orphan_with_an_emptied_environment() {
    ends("(env -i sleep 1000 & echo $!); exit 0", LONG);
}

#[test]
fn an_orphan_with_a_mark_it_made_up() {
    ends("(AMURG_MARK=x sleep 1000 & echo $!); exit 0", LONG);
}

#[test]
fn an_orphan_of_a_session_of_its_own_once_seen_is_not_forgotten() {
    // Descent is all that tells of it, and its parent dies first.
    ends("env -i setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000'; :", SHORT);
}

#[test]
fn what_a_dying_process_starts() {
    ends(
        "trap 'setsid sleep 1000 >/dev/null & exit' TERM; echo $$; while :; do sleep 0.05; done",
        SHORT,
    );
}

#[test]
fn a_chain_of_processes_each_starting_the_next() {
    let mut scene = Scene::python(
        "import os, signal\n\
         signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
         print(os.getpid(), flush=True)\n\
         while True:\n\
         \x20   if os.fork(): os._exit(0)\n",
    );
    let pids = scene.pids();
    assert_ends(scene, &pids, SHORT);
}

#[test]
fn a_tree_of_python_processes_and_threads() {
    let mut scene = Scene::python(
        "import os, threading, time\n\
         pids = [str(os.getpid())]\n\
         def work():\n\
         \x20   pid = os.fork()\n\
         \x20   if not pid: time.sleep(1000); os._exit(0)\n\
         \x20   pids.append(str(pid)); time.sleep(1000)\n\
         for _ in range(5): threading.Thread(target=work, daemon=True).start()\n\
         while len(pids) < 6: time.sleep(0.01)\n\
         print(*pids, flush=True)\n\
         time.sleep(1000)\n",
    );
    let pids = scene.pids();
    assert_eq!(pids.len(), 6);
    assert_ends(scene, &pids, LONG);
}

#[test]
fn a_process_whose_main_thread_has_ended() {
    // It looks like a zombie, and is none.
    let mut scene = Scene::python(
        "import ctypes, os, threading, time\n\
         def work():\n\
         \x20   main = f'/proc/self/task/{os.getpid()}/stat'\n\
         \x20   while open(main).read().rsplit(')')[-1].split()[0] != 'Z': time.sleep(0.01)\n\
         \x20   os.write(1, f'{os.getpid()}\\n'.encode())\n\
         \x20   time.sleep(1000)\n\
         threading.Thread(target=work).start()\n\
         ctypes.CDLL(None).pthread_exit(None)\n",
    );
    let pids = scene.pids();
    assert!(procfs::process(pids[0]).unwrap().is_alive());
    assert_ends(scene, &pids, LONG);
}

#[test]
fn an_interactive_shell_ends_with_its_input() {
    let mut scene = Scene::of(&plan("bash", &["--norc", "--noprofile", "-i"]));
    scene.write("sleep 1000 & echo $! $$\n");
    let pids = scene.pids();
    let begun = Instant::now();
    assert_ends(scene, &pids, LONG);
    assert!(begun.elapsed() < GRACE, "it took the KILL");
}

#[test]
fn an_interactive_shell_on_a_terminal_ends_with_its_terminal() {
    let mut scene = Scene::of(&plan_on_terminal("bash", &["--norc", "--noprofile", "-i"]));
    scene.write("sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 & echo pids: $$ $(jobs -p)\n");
    scene.until("\npids: ");
    let pids = scene.pids();
    assert_eq!(pids.len(), 3);
    let begun = Instant::now();
    assert_ends(scene, &pids, LONG);
    assert!(begun.elapsed() < GRACE, "it took the KILL");
}

#[test]
fn a_process_that_ended_before_its_end() {
    let scene = Scene::sh("exit 0");
    scene.code();
    assert_ends(scene, &[], LONG);
}

#[test]
fn what_dies_on_term_does_not_wait_for_the_kill() {
    let mut scene = Scene::sh("sleep 1000 & echo $!; wait");
    let pids = scene.pids();
    let begun = Instant::now();
    assert_ends(scene, &pids, Duration::from_secs(3600));
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_family_that_is_dropped_is_killed() {
    let mut scene = Scene::bash("trap '' TERM; setsid sleep 1000 & echo $$ $!; sleep 1000");
    let pids = scene.pids();
    drop(scene);
    await_ends(&pids);
    assert_gone(&pids);
}

#[test]
fn an_end_touches_no_other_session() {
    let mut other = Scene::bash("setsid sleep 1000 & echo $!; read line; exit 9");
    let others = other.pids();
    ends("(sleep 1000 & echo $!); exit", LONG);
    assert!(procfs::process(others[0]).unwrap().is_alive());
    other.write("go\n");
    assert_eq!(other.code(), 9);
    assert_ends(other, &others, LONG);
}

#[test]
fn two_hundred_sessions_at_once() {
    let scenes: Vec<(Scene, Vec<Pid>)> = (0..200)
        .map(|_| {
            let mut scene = Scene::sh("(sleep 1000 & echo $$ $!); read line");
            let pids = scene.pids();
            (scene, pids)
        })
        .collect();
    std::thread::scope(|scope| {
        for (scene, pids) in scenes {
            scope.spawn(move || assert_ends(scene, &pids, LONG));
        }
    });
}

#[test]
fn an_interrupt_reaches_the_foreground_on_pipes() {
    let mut scene = Scene::bash("trap 'echo interrupted; exit 4' INT; echo ready; read line");
    assert_eq!(scene.line(), "ready");
    scene.family.interrupt(None);
    assert_eq!(scene.line(), "interrupted");
    assert_eq!(scene.code(), 4);
    // And nobody, once it has ended.
    scene.family.interrupt(None);
}

#[test]
fn an_interrupt_reaches_the_foreground_job_on_a_terminal_and_spares_the_shell() {
    let plan = plan_on_terminal("bash", &["--norc", "--noprofile", "-i"]);
    let mut scene = Scene::of(&plan);
    scene.write("sh -c 'trap \"echo job-interrupted; exit 5\" INT; echo up-$$; while :; do sleep 0.05; done'\n");
    scene.until("\nup-");
    let job = scene.pids();
    scene.family.interrupt(Some(scene.terminal().as_fd()));
    scene.until("job-interrupted");
    await_ends(&job);
    scene.write("echo still-$?-here\n");
    scene.until("still-5-here");
    assert_ends(scene, &job, LONG);
}

#[test]
fn a_control_group_holds_what_shed_every_other_mark() {
    let Some(groups) = Groups::open() else {
        println!("skipped: no delegated control group that could be written to");
        return;
    };
    let launcher = Launcher { groups: Some(groups.into()), ..launcher() };
    let script = "trap '' TERM; (env -i setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; :' &)\n\
                  read line";
    let mut scene = Scene::with(&launcher, &plan("bash", &["-c", script]));
    let pids = scene.pids();
    // Its parent has ended, so nothing but the group tells of it.
    let group = std::fs::read_to_string(format!("/proc/{}/cgroup", pids[0])).unwrap();
    let name = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
    assert!(name.contains(scene.family.mark().as_str()), "{name}");
    assert_ends(scene, &pids, SHORT);
    let left = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = left.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
    let mount = mount.split(' ').nth(4).unwrap();
    assert!(!std::path::Path::new(&format!("{mount}{name}")).exists(), "the group stayed");
}

#[test]
fn an_end_without_a_grace_kills_at_once() {
    let mut scene = Scene::bash("trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    assert_eq!(scene.line(), "ready");
    let Scene { family, exit, .. } = scene;
    assert_eq!(end(family, Instant::now()).left, 0);
    assert_eq!(
        exit.try_status().and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status)),
        Some(9)
    );
}
