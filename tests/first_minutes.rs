//! The first minutes of somebody new: from an empty home and a token to an agent
//! that answers at the hub, with the real binary and without an editor.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use amurg_runtime::loopback::{LoopbackHub, Options, ScratchDir};
use amurg_runtime::protocol::Dialect;
use support::process::{Log, RuntimeProcess};
use support::soon;

const TOKEN: &str = "first-token";

/// The binary as somebody with nothing but a `PATH` and this home would call it.
fn amurg(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"));
    command
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", home);
    command
}

/// Runs it with a text on its stdin.
fn told(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn from_nothing_to_an_agent_that_answers() {
    let home = ScratchDir::new("amurg-first").expect("a home");
    let hub = LoopbackHub::start(Options::new(Dialect::Agent, TOKEN)).expect("a hub");
    let url = hub.url();
    let options = ["init", "--yes", "--token-stdin", "--hub-url", &url, "--id", "lab"];
    let more = ["--agent", "bash", "--output", "config.json"];
    let written = told(amurg(home.path(), &[&options[..], &more].concat()), TOKEN);
    let said = stdout(&written);
    assert!(said.contains("agents lab-bash"), "{said}");
    assert!(said.ends_with(" run\n"), "what to type next: {said}");

    let checked = told(amurg(home.path(), &["check"]), "");
    assert!(stdout(&checked).contains("can be used (no errors, no warnings)"));

    let log = Arc::new(Log::default());
    let _runtime = RuntimeProcess::spawn(amurg(home.path(), &["run"]), &log);
    let client = hub.client();
    client.wait_registered(soon()).unwrap_or_else(|late| panic!("{late:?} {:?}", log.lines()));
    let session = client.create_session("lab-bash", "ann");
    client.send_message(&session, "echo $((6*7))");
    let completed = client.wait_for(soon(), |frame| {
        (frame.is("turn.completed") && frame.session() == Some(&session)).then_some(())
    });
    assert!(completed.is_ok(), "{completed:?} {:?}", log.lines());
    let output = client.output(&session);
    let text: String = output.iter().map(|part| part.content.as_str()).collect();
    assert_eq!(text, "42\n");
}

#[test]
fn without_a_terminal_and_without_yes_nobody_is_asked() {
    let home = ScratchDir::new("amurg-silent").expect("a home");
    let output = told(amurg(home.path(), &["init", "--output", "config.json"]), "");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"));
    assert_eq!(home.path().read_dir().expect("a directory").count(), 0);
}

#[test]
fn the_documents_are_printed() {
    let home = ScratchDir::new("amurg-documents").expect("a home");
    for (arguments, begin) in [
        (&["man"][..], ".TH AMURG"),
        (&["schema"], "{"),
        (&["completions", "bash"], "# bash completion"),
        (&["completions", "zsh"], "#compdef"),
        (&["completions", "fish"], "# fish completion"),
        (&["completions", "powershell"], "# PowerShell completion"),
    ] {
        let printed = stdout(&told(amurg(home.path(), arguments), ""));
        assert!(printed.starts_with(begin), "{arguments:?}: {printed:.60}");
    }
    let odd = told(amurg(home.path(), &["completions", "csh"]), "");
    assert_eq!(odd.status.code(), Some(64));
}
