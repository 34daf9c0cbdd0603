//! A shell keeps its state, and its turn ends when it waits for input again.
//! `idle_timeout` is an hour in these stories: no turn ends by it.

use serde_json::{Value, json};

use crate::support::scene::{Scene, Setup, cli, is_emulated};

fn scene(name: &str, agent: Value) -> Setup {
    Scene::new(name).set("/runtime/idle_timeout", json!("1h")).agent(agent)
}

fn installed(command: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(command).exists())
}

#[test]
fn a_shell_keeps_its_state_between_messages() {
    if is_emulated() {
        return;
    }
    let scene = scene("shell_state", cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    session.say("cd /usr; x=6").ended(None);
    assert_eq!(session.say("echo $((x*7)) $PWD").output(), "42 /usr\n");
    scene.every_turn_ended();
}

#[test]
fn programs_that_wait_for_input_end_their_turns() {
    if is_emulated() {
        return;
    }
    let all: [(&str, &[&str], &str, &str); 5] = [
        ("cat", &[], "hello", "hello\n"),
        ("bash", &["--norc", "--noprofile", "-i"], "echo hello", "hello\n"),
        ("python3", &["-i", "-q"], "print('hello')", "hello\n"),
        ("sqlite3", &[], "select 'hello';", "hello\n"),
        ("sh", &[], "echo hello", "hello\n"),
    ];
    for (command, args, message, expected) in all.into_iter().filter(|one| installed(one.0)) {
        let scene = scene("shell_turn_end", cli(command, command, args)).start();
        let session = scene.session(command);
        for _ in 0..2 {
            let output = session.say(message).output();
            assert!(output.contains(expected), "{command}: {output:?}");
        }
    }
}

#[test]
fn a_silent_command_ends_its_turn_as_well() {
    if is_emulated() {
        return;
    }
    let scene = scene("shell_silent", cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    session.say("sleep 0.3").ended(None);
    session.say("true").ended(None);
}

#[test]
fn a_background_job_leaves_the_end_to_the_idle_time() {
    let scene = Scene::new("shell_background")
        .set("/runtime/idle_timeout", json!("400ms"))
        .agent(cli("sh", "bash", &[]))
        .start();
    let session = scene.session("sh");
    session.say("(sleep 0.1; echo late) & sleep 1000 &").ended(None);
    session.shows("stdout", "late\n");
}

#[test]
fn an_exit_ends_the_turn_with_its_code_and_the_next_message_starts_it_again() {
    if is_emulated() {
        return;
    }
    let scene = scene("shell_exit", cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    session.say("x=1; exit 3").ended(3);
    assert_eq!(session.say("echo again$x").output(), "again\n");
    session.shows("system", "start");
    scene.every_turn_ended();
}

#[test]
fn a_stop_interrupts_the_command_and_keeps_the_shell() {
    if is_emulated() {
        return;
    }
    let scene = scene("shell_stop", cli("sh", "bash", &["--norc", "-i"])).start();
    let session = scene.session("sh");
    session.say("x=5").ended(None);
    // Between bash's fork and exec an interrupt is lost, as on a terminal: what says
    // that it has begun is past that.
    let turn = session.say("sh -c 'echo begun; exec sleep 1000'");
    session.shows("stdout", "begun\n");
    session.stop();
    turn.ended(None);
    assert!(session.say("echo still$x").output().contains("still5\n"));
}

#[test]
fn a_program_that_ignores_the_interrupt_is_ended_after_its_grace() {
    let stubborn = "trap '' INT; echo ready; while read line; do sleep 1000; done";
    let scene = scene("shell_stubborn", cli("sh", "bash", &["-c", stubborn])).start();
    let session = scene.session("sh");
    session.shows("stdout", "ready\n");
    let turn = session.say("go");
    turn.started();
    session.stop();
    turn.end();
    session.shows("system", "did not stop within 5s");
    scene.no_process_left();
}

#[test]
fn a_new_message_ends_the_open_turn_and_starts_its_own() {
    let scene = Scene::new("shell_interrupt")
        .set("/runtime/idle_timeout", json!("1h"))
        .agent(json!({
            "id": "sh", "profile": "generic-cli",
            "cli": { "command": "bash", "turn_end": "idle" },
        }))
        .start();
    let session = scene.session("sh");
    let first = session.say("echo one");
    session.shows("stdout", "one\n");
    let second = session.say("echo two; exit 0");
    first.ended(None);
    second.ended(0);
    scene.every_turn_ended();
}

#[test]
fn more_input_reaches_the_running_command() {
    let scene = scene("shell_input", cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    let turn = session.say("read -r -t 20 line; echo got $line; exit 0");
    turn.started();
    session.input("this");
    turn.ended(0);
    assert_eq!(session.output_on("stdout"), "got this\n");
}

#[test]
fn a_banner_before_the_first_message_is_forwarded() {
    let greet = "echo welcome; exec bash";
    let scene = scene("shell_banner", cli("sh", "sh", &["-c", greet])).start();
    scene.session("sh").shows("stdout", "welcome\n");
}

#[test]
fn an_agent_that_does_not_read_can_still_be_heard_stopped_and_closed() {
    let deaf = "trap 'echo bye; exit 4' INT; echo here; while :; do sleep 0.1; done";
    let scene = scene("shell_deaf", cli("sh", "bash", &["-c", deaf])).start();
    let session = scene.session("sh");
    session.shows("stdout", "here");
    let turn = session.say(&"x".repeat(1 << 20));
    turn.started();
    session.stop();
    turn.ended(4);
    session.shows("stdout", "bye");
    session.close();
    scene.no_process_left();
}

#[test]
fn a_terminal_is_verbatim_and_its_jobs_can_be_interrupted() {
    if is_emulated() {
        return;
    }
    let agent = json!({
        "id": "sh", "profile": "generic-cli",
        "cli": { "command": "bash", "args": ["--norc", "--noprofile", "-i"], "tty": true,
                 "env": { "PS1": "" } },
    });
    let scene = scene("shell_tty", agent).start();
    let session = scene.session("sh");
    let long = "y".repeat(6000);
    let output = session.say(&format!("test -t 0 && echo terminal; echo {long}")).output();
    assert!(output.contains("terminal\n") && output.contains(&long), "{} bytes", output.len());
    // An interrupt between bash's fork and its child's exec is lost, on any
    // terminal: so the child itself says when it is there.
    let turn = session.say("sh -c 'echo begun; exec sleep 1000'");
    session.shows("stdout", "begun\n");
    session.stop();
    turn.ended(None);
    assert!(session.say("echo alive").output().contains("alive\n"));
}
