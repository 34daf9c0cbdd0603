//! `make bench`: what the release binary costs, measured from outside.
//!
//! The real binary runs against the loopback hub of this process, with real
//! agents, and the kernel is asked what it used. Every figure comes with its
//! unit and with minimum, median and maximum over its runs; all of them go to
//! stdout as a table and to `target/bench/` as JSON and pictures. A second
//! binary that speaks the protocol can run beside it, turn by turn, so that
//! both see the same machine.
//!
//! CPU seconds depend on the machine and its load, so nothing here passes or
//! fails by them. The one check is of instruction counts (`make bench-check`),
//! which are the same everywhere up to the compiler.
//!
//! This binary is its own agent as well: what floods a runtime must not cost
//! more than the runtime.

#![expect(clippy::cast_precision_loss, reason = "figures for people; no count here needs 53 bits")]

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod book;
mod floor;
mod instructions;
mod measures;
mod observer;
mod options;
mod procfs;
mod report;
mod scale;
mod scenarios;
mod sizes;
mod stage;
mod subject;
mod svg;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use options::{Mode, Options};

/// What a measurement gives, or why there is none.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Where everything is written.
fn output_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("bench")
}

fn main() -> ExitCode {
    let outcome = match options::read() {
        Mode::Nothing => {
            println!("measurements are made by `make bench`");
            Ok(true)
        }
        Mode::Agent(agent) => agents::run(&agent).map(|()| true),
        Mode::Workload { name, rounds } => workloads::run(&name, rounds).map(|()| true),
        Mode::CheckInstructions => instructions::check(),
        Mode::AcceptInstructions => instructions::accept().map(|()| true),
        Mode::Measure(options) => measure(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every scenario for every binary in turn. False when one gave no figures.
fn measure(options: &Options) -> Outcome<bool> {
    let directory = output_directory();
    std::fs::create_dir_all(&directory)?;
    let subjects = options.subjects()?;
    let mut book = book::Book::new(subjects.iter().map(|subject| subject.name.clone()).collect());
    let mut whole = true;
    for scenario in scenarios::ALL {
        if options.only.as_ref().is_some_and(|only| !scenario.name.contains(only.as_str())) {
            continue;
        }
        let runs = (scenario.runs)(&options.scale);
        for run in 0..runs {
            for (index, subject) in subjects.iter().enumerate() {
                eprintln!("bench: {} {}/{runs} {}", scenario.name, run + 1, subject.name);
                let mut pass = scenarios::Pass {
                    subject,
                    scale: &options.scale,
                    first: run == 0,
                    page: book.page(index),
                };
                if let Err(error) = (scenario.run)(&mut pass) {
                    eprintln!("bench: {} of {}: {error}", scenario.name, subject.name);
                    whole = false;
                }
            }
        }
    }
    if options.only.is_none() {
        if let Err(error) = floor::measure(&options.scale, &mut book) {
            eprintln!("bench: floor: {error}");
            whole = false;
        }
        book.dependencies = sizes::of(&subjects[0].program);
        book.instructions = instructions::counts().unwrap_or_else(|error| {
            eprintln!("bench: no instruction counts: {error}");
            Vec::new()
        });
    }
    report::write(&book, options, &directory)?;
    Ok(whole)
}
