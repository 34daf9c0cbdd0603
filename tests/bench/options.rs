//! Arguments of the bench binary.

use std::path::PathBuf;

use argh::FromArgs;

use super::Outcome;
use super::scale::Scale;
use super::subject::Subject;

/// Measures the release binary, and another one beside it.
#[derive(FromArgs)]
struct Arguments {
    /// said by cargo
    #[argh(switch)]
    bench: bool,

    /// quick (default) or full
    #[argh(option, default = "String::from(\"quick\")")]
    scale: String,

    /// another binary that speaks the protocol
    #[argh(option)]
    compare: Option<PathBuf>,

    /// only scenarios whose name holds this
    #[argh(option)]
    only: Option<String>,

    /// compare instruction counts with the baseline
    #[argh(switch)]
    check: bool,

    /// write instruction counts as the new baseline
    #[argh(switch)]
    accept: bool,

    /// be this agent
    #[argh(option)]
    agent: Option<String>,

    /// run this hot path
    #[argh(option)]
    workload: Option<String>,

    /// how often
    #[argh(option, default = "1")]
    rounds: u32,
}

/// What this process is for.
pub enum Mode {
    /// Nobody asked for measurements.
    Nothing,
    /// To be an agent of a runtime.
    Agent(String),
    /// To run one hot path, under callgrind.
    Workload { name: String, rounds: u32 },
    /// To compare instruction counts with the baseline.
    CheckInstructions,
    /// To make them the baseline.
    AcceptInstructions,
    /// To measure.
    Measure(Options),
}

/// How to measure.
pub struct Options {
    pub scale: Scale,
    pub compare: Option<PathBuf>,
    pub only: Option<String>,
}

impl Options {
    /// The binary of this build (or what `AMURG_TEST_BINARY` names, for instance
    /// a static one), then the other one.
    pub fn subjects(&self) -> Outcome<Vec<Subject>> {
        let this = std::env::var_os("AMURG_TEST_BINARY");
        let this = this.unwrap_or_else(|| env!("CARGO_BIN_EXE_amurg-runtime").into());
        let mut subjects = vec![Subject::new("this", this.into())?];
        if let Some(other) = &self.compare {
            subjects.push(Subject::new("other", std::path::absolute(other)?)?);
        }
        Ok(subjects)
    }
}

/// Reads the arguments; ends the process where they are wrong.
pub fn read() -> Mode {
    let arguments: Arguments = argh::from_env();
    if let Some(agent) = arguments.agent {
        return Mode::Agent(agent);
    }
    if let Some(name) = arguments.workload {
        return Mode::Workload { name, rounds: arguments.rounds };
    }
    if !arguments.bench {
        // `cargo test --all-targets` runs benches without it.
        return Mode::Nothing;
    }
    if arguments.accept {
        return Mode::AcceptInstructions;
    }
    if arguments.check {
        return Mode::CheckInstructions;
    }
    let Some(scale) = Scale::named(&arguments.scale) else {
        eprintln!("bench: --scale is quick or full");
        std::process::exit(64);
    };
    Mode::Measure(Options { scale, compare: arguments.compare, only: arguments.only })
}
