//! Stories told to a build for another system that runs here by an emulator of
//! that system: `AMURG_TEST_BINARY` starts the build, `AMURG_TEST_AGENT` is the
//! path of the `story-agent` beside it. `scripts/cross-check.sh` makes both, and
//! asks for these tests; nothing else does.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod ending;
mod link;
mod machine;

use std::time::Instant;

use serde_json::{Value, json};

use support::process::{Process, processes, wait_gone};
use support::scene::{Scene, Setup};
use support::soon;

/// The path of the agent, as the other system names it.
fn agent() -> String {
    std::env::var("AMURG_TEST_AGENT").expect("AMURG_TEST_AGENT: see scripts/cross-check.sh")
}

fn cli(id: &str, args: &[&str]) -> Value {
    support::scene::cli(id, &agent(), args)
}

fn job(id: &str, args: &[&str]) -> Value {
    support::scene::job(id, &agent(), args)
}

/// A scene whose command-line turns end soon (nothing tells there that a program
/// waits), though not before an emulated program has started.
fn scene(name: &str) -> Setup {
    Scene::new(name).set("/runtime/idle_timeout", json!("3s"))
}

/// The agents that were started with this word, as this system sees them.
fn living(word: &str) -> Vec<Process> {
    let mut all = processes();
    all.retain(|one| {
        one.state != 'Z' && one.command.contains("story-agent") && one.command.contains(word)
    });
    all
}

/// Waits until none of them is left.
fn none_left(word: &str) {
    let deadline = soon();
    while let Some(one) = living(word).first() {
        assert!(wait_gone(one.pid, deadline), "still there: {:?}", living(word));
        assert!(Instant::now() < deadline, "they go on coming: {:?}", living(word));
    }
}
