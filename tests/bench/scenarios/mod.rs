//! What is measured, each in a file of its own: a function that does it once.

mod beside;
mod echo;
mod fleet;
mod forward;
mod many;
mod sessions;
mod start;
mod syscalls;

use super::Outcome;
use super::book::Page;
use super::scale::Scale;
use super::subject::Subject;

/// One scenario.
pub struct Scenario {
    pub name: &'static str,
    /// How often it is done.
    pub runs: fn(&Scale) -> usize,
    pub run: fn(&mut Pass<'_>) -> Outcome<()>,
}

/// One run of one scenario with one binary.
pub struct Pass<'a> {
    pub subject: &'a Subject,
    pub scale: &'a Scale,
    /// Whether it is the first run.
    pub first: bool,
    pub page: Page<'a>,
}

/// All of them, in the order of the table.
pub const ALL: &[Scenario] = &[
    Scenario { name: "start", runs: |scale| scale.short_runs, run: start::run },
    Scenario { name: "sessions", runs: |scale| scale.runs, run: sessions::run },
    Scenario { name: "many", runs: |_| 1, run: many::run },
    Scenario { name: "echo", runs: |scale| scale.runs, run: echo::run },
    Scenario { name: "busy", runs: |scale| scale.runs, run: echo::busy },
    Scenario { name: "syscalls", runs: |_| 1, run: syscalls::run },
    Scenario { name: "forward-cli", runs: |scale| scale.runs, run: forward::cli },
    Scenario { name: "forward-job", runs: |scale| scale.runs, run: forward::job },
    Scenario { name: "forward-control", runs: |scale| scale.runs, run: forward::control },
    Scenario { name: "beside", runs: |scale| scale.runs, run: beside::run },
    Scenario { name: "fleet", runs: |_| 1, run: fleet::run },
];
