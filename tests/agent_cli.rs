//! `generic-cli` with real programs: turns end by mechanics, output is verbatim,
//! and nothing outlives its session.

mod agent_scene;

use std::time::{Duration, Instant};

use agent_scene::{Scene, Seen, cli, processes_with};
use amurg_runtime::agent::cli::shared::SharedProcesses;
use amurg_runtime::agent::AgentEvent;
use amurg_runtime::config::{Cli, SpawnPolicy, TurnEnd};

/// A turn that ends by itself and not by `idle_timeout`, which no test here arms.
const PROMPT: Duration = Duration::from_millis(100);

/// The best of some turns: what the machine was busy with otherwise does not count.
fn prompt_turn(scene: &mut Scene, message: &str, expect: &str) {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let turn = scene.turn(message);
        assert!(turn.stdout.contains(expect), "{turn:?}");
        assert_eq!(turn.exit_code, None, "{turn:?}");
        best = best.min(turn.took);
    }
    assert!(best < PROMPT, "{best:?}");
}

fn tty(command: &[&str]) -> Cli {
    Cli { tty: true, ..cli(command) }
}

fn installed(command: &str) -> bool {
    std::process::Command::new("sh")
        .args(["-c", &format!("command -v {command}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn turns_end_at_once_when_the_program_waits_for_input_again() {
    prompt_turn(&mut Scene::cli(cli(&["cat"])), "hello", "hello\n");
    prompt_turn(&mut Scene::cli(cli(&["bash", "--norc", "-i"])), "echo $((6*7))", "42\n");
    prompt_turn(&mut Scene::cli(cli(&["bash"])), "echo $((6*7))", "42\n");
    prompt_turn(&mut Scene::cli(cli(&["sh"])), "echo $((6*7))", "42\n");
}

#[test]
fn so_do_turns_of_interpreters() {
    if installed("python3") {
        prompt_turn(&mut Scene::cli(cli(&["python3", "-i"])), "print(6*7)", "42\n");
    }
    if installed("perl") {
        let perl = cli(&["perl", "-ne", "$|=1; print 6*7, \"\\n\""]);
        prompt_turn(&mut Scene::cli(perl), "x", "42\n");
    }
    if installed("sqlite3") {
        prompt_turn(&mut Scene::cli(cli(&["sqlite3"])), "select 6*7;", "42\n");
    }
}

#[test]
fn so_do_turns_on_a_terminal() {
    prompt_turn(&mut Scene::cli(tty(&["cat"])), "hello", "hello\n");
    prompt_turn(&mut Scene::cli(tty(&["bash", "--norc", "-i"])), "echo $((6*7))", "42");
    if installed("sqlite3") {
        prompt_turn(&mut Scene::cli(tty(&["sqlite3"])), "select 6*7;", "42");
    }
}
