//! A child starts as its plan says, with nothing of the runtime but its own
//! three descriptors; and one that cannot start says why.

#[path = "support/children.rs"]
mod children;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use amurg_runtime::agent::process::launch::{LaunchError, Launcher};
use amurg_runtime::agent::process::original::Original;
use amurg_runtime::agent::process::plan::SpawnPlan;
use children::{LONG, Scene, assert_gone, launcher, plan, plan_on_terminal};

/// A file of one test's own, removed with it.
struct Script(PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("amurg-{}-{name}", std::process::id()));
        children::write_program(&path, text);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn output_input_and_exit_code_are_the_childs() {
    let mut scene = Scene::sh("read line; echo \"got $line\"; echo aside >&2; exit 42");
    scene.write("a line\n");
    assert_eq!(scene.line(), "got a line");
    assert_eq!(scene.rest(), "");
    assert_eq!(scene.code(), 42);
}

#[test]
fn a_child_leads_a_session_of_its_own() {
    let mut scene = Scene::sh("cut -d' ' -f1,4-7 /proc/$$/stat; echo $$");
    let fields = scene.line();
    let pid = scene.line();
    let fields: Vec<&str> = fields.split(' ').collect();
    assert_eq!(fields[0], pid);
    assert_eq!(fields[1], std::process::id().to_string(), "its parent is the runtime");
    assert_eq!((fields[2], fields[3]), (pid.as_str(), pid.as_str()), "group and session");
    assert_eq!(fields[4], "0", "no terminal");
}

#[test]
fn nothing_is_open_in_a_child_but_its_three_streams() {
    // What a careless ancestor left open, in the runtime and in the launcher alike.
    let _open = fs::File::open("/dev/null").unwrap();
    let wrapper = Script::new(
        "leaky",
        &format!("#!/bin/sh\nexec 7</dev/null 9>/dev/null\nexec {} \"$@\"\n", bin()),
    );
    let launcher = Launcher { program: wrapper.0.clone(), ..launcher() };
    // The fourth is the listing's own.
    let mut scene = Scene::with(&launcher, &plan("ls", &["/proc/self/fd"]));
    assert_eq!(scene.rest().split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

fn bin() -> &'static str {
    env!("CARGO_BIN_EXE_amurg-runtime")
}

#[test]
fn ignored_signals_of_an_ancestor_have_their_default_again() {
    let wrapper = Script::new(
        "ignoring",
        &format!("#!/bin/sh\ntrap '' HUP INT QUIT TERM USR1 PIPE TSTP\nexec {} \"$@\"\n", bin()),
    );
    let launcher = Launcher { program: wrapper.0.clone(), ..launcher() };
    let mut scene =
        Scene::with(&launcher, &plan("grep", &["-E", "Sig(Ign|Blk)", "/proc/self/status"]));
    for name in ["SigBlk", "SigIgn"] {
        let line = scene.line();
        let mask = line.strip_prefix(name).unwrap().trim_start_matches([':', '\t']);
        // 32 and 33 belong to the C library, which starts programs with both ignored.
        assert_eq!(u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff, 0, "{line}");
    }
}

#[test]
fn limits_and_umask_are_those_from_before_the_runtime_changed_its_own() {
    let original = Original { open_files: Some(77), umask: Some(0o027) };
    let launcher = Launcher { original, ..launcher() };
    let mut scene = Scene::with(&launcher, &plan("sh", &["-c", "ulimit -Sn; umask"]));
    assert_eq!(scene.line(), "77");
    assert_eq!(scene.line(), "0027");
}

#[test]
fn limits_of_the_endpoint_bind_the_child() {
    let mut plan = plan("bash", &["-c", "ulimit -Hn; ulimit -Hv; ulimit -Hu"]);
    plan.sandbox.max_open_files = Some(50);
    plan.sandbox.max_memory_bytes = Some(1 << 30);
    plan.sandbox.max_processes = Some(5000);
    let mut scene = Scene::of(&plan);
    assert_eq!(scene.line(), "50");
    assert_eq!(scene.line(), "1048576");
    assert_eq!(scene.line(), "5000");
}

#[test]
fn the_child_is_chosen_before_the_runtime_when_memory_runs_out() {
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let mut scene = Scene::of(&plan("cat", &["/proc/self/oom_score_adj"]));
    assert_eq!(scene.line(), (own + 500).min(1000).to_string());
}

#[test]
fn the_environment_is_the_plans_and_nothing_else() {
    let plan = SpawnPlan {
        env: vec![("ONE".into(), "1".into()), ("BIG".into(), "x".repeat(100_000).into())],
        ..plan("/usr/bin/env", &["-0"])
    };
    let mut scene = Scene::of(&plan);
    let text = scene.rest();
    let mut variables: Vec<&str> = text.split_terminator('\0').map(|v| &v[..5]).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["BIG=x", "ONE=1"]);
}

#[test]
fn an_order_larger_than_a_sockets_buffer_arrives() {
    let value = "y".repeat(100_000);
    let mut plan = plan("sh", &["-c", "echo ${#V0} ${#V9}; pwd"]);
    plan.env.extend((0..10).map(|n| (format!("V{n}").into(), value.clone().into())));
    plan.cwd = "/usr".into();
    let mut scene = Scene::of(&plan);
    assert_eq!(scene.line(), "100000 100000");
    assert_eq!(scene.line(), "/usr");
}

#[test]
fn a_terminal_carries_bytes_as_they_are() {
    let plan = plan_on_terminal(
        "sh",
        &["-c", "tty; stty size; stty -a; echo ready; dd bs=1 count=3 2>/dev/null | od -An -tx1"],
    );
    let mut scene = Scene::of(&plan);
    assert!(scene.line().starts_with("/dev/pts/"));
    assert_eq!(scene.line(), "24 80");
    let mut settings = String::new();
    loop {
        match scene.line() {
            line if line == "ready" => break,
            line => settings += &format!("{line} "),
        }
    }
    for setting in ["-echo", "-icanon", "-onlcr", "-icrnl", "-ixon", "isig"] {
        assert!(settings.split_whitespace().any(|word| word == setting), "{setting}: {settings}");
    }
    scene.write("\r\x13x");
    assert_eq!(scene.line(), " 0d 13 78");
    scene.rest();
    assert_eq!(scene.code(), 0);
}

#[test]
fn a_terminal_is_the_childs_controlling_one_and_hangs_up_with_its_master() {
    let mut scene = Scene::of(&plan_on_terminal(
        "sh",
        &["-c", "echo to-the-terminal >/dev/tty; echo $$; read line"],
    ));
    assert_eq!(scene.line(), "to-the-terminal");
    let pids = scene.pids();
    let exit = scene.exit.clone();
    assert_eq!(scene.end(LONG).left, 0);
    assert!(exit.wait(Instant::now() + LONG).is_some());
    assert_gone(&pids);
}

fn refusal(plan: &SpawnPlan) -> String {
    let error = launcher().launch(plan).unwrap_err();
    assert!(matches!(error, LaunchError::Failed { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn what_cannot_be_executed_says_why() {
    let gone = SpawnPlan { program: "/no/such/program".into(), ..plan("sh", &[]) };
    assert_eq!(refusal(&gone), "cannot start \"sh\": exec: \"/no/such/program\" does not exist");

    let orphaned = Script::new("no-interpreter", "#!/no/such/interpreter\n");
    let told = refusal(&plan(orphaned.path(), &[]));
    assert!(told.contains("the interpreter it names"), "{told}");

    let directory = SpawnPlan { program: "/usr".into(), ..plan("sh", &[]) };
    let told = refusal(&directory);
    assert!(told.contains("may not be executed: check its mode"), "{told}");
}

#[test]
fn a_directory_that_vanished_is_named_with_its_step() {
    let plan = SpawnPlan { cwd: "/no/such/directory".into(), ..plan("sh", &[]) };
    let told = refusal(&plan);
    assert!(
        told.starts_with("cannot start \"sh\": working directory: \"/no/such/directory\" cannot"),
        "{told}"
    );
}

#[test]
fn a_launcher_that_dies_or_is_not_there_is_told_apart() {
    let dying = Launcher { program: "/bin/false".into(), ..launcher() };
    let error = dying.launch(&plan("true", &[])).unwrap_err();
    assert!(matches!(error, LaunchError::Died { status: Some(_) }), "{error:?}");

    let missing = Launcher { program: "/no/such/binary".into(), ..launcher() };
    let error = missing.launch(&plan("true", &[])).unwrap_err();
    assert!(matches!(error, LaunchError::Launcher { .. }), "{error:?}");
    assert!(error.to_string().contains("\"/no/such/binary\""), "{error}");
}

#[test]
fn the_hidden_command_is_not_for_people() {
    // Through the launcher itself, since nothing else here may wait for a child.
    let mut scene = Scene::sh(&format!("{} __launch </dev/null 2>&1; echo $?", bin()));
    assert!(scene.line().starts_with("__launch is for the runtime alone"));
    assert_eq!(scene.line(), "64");
}
