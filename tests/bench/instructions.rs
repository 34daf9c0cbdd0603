//! Instructions of the hot paths, counted by callgrind, and the baseline they
//! are held against.
//!
//! Counts do not depend on the machine's speed or load, only on the compiler
//! and the architecture; both stand in the baseline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::workloads::{self, Workload};

/// What more than the baseline is too much.
const TOLERANCE: f64 = 1.05;
/// Rounds of the two runs whose difference counts.
const ROUNDS: [u32; 2] = [20, 120];

/// One hot path, counted.
pub struct Count {
    pub name: &'static str,
    /// Bytes of a round, where its cost grows with them.
    pub bytes: Option<usize>,
    /// Instructions of one round.
    pub instructions: f64,
    /// The same when the baseline was made.
    pub baseline: Option<f64>,
}

/// The committed counts.
#[derive(Default, Serialize, Deserialize)]
struct Baseline {
    /// Instruction set.
    arch: String,
    /// Compiler.
    rustc: String,
    /// Instructions of one round.
    instructions: BTreeMap<String, f64>,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/instructions.json")
}

impl Baseline {
    /// The committed one; an empty one for another architecture.
    fn read() -> Outcome<Self> {
        let baseline: Self = serde_json::from_str(&std::fs::read_to_string(path())?)?;
        Ok(if baseline.arch == std::env::consts::ARCH { baseline } else { Self::default() })
    }
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().map(|output| output.stdout);
    String::from_utf8_lossy(&version.unwrap_or_default()).trim().to_owned()
}

/// Counts every hot path.
pub fn counts() -> Outcome<Vec<Count>> {
    let baseline = Baseline::read().unwrap_or_default();
    workloads::ALL
        .iter()
        .map(|workload| {
            let instructions = count(workload)?;
            let baseline = baseline.instructions.get(workload.name).copied();
            Ok(Count { name: workload.name, bytes: workload.bytes, instructions, baseline })
        })
        .collect()
}

/// Instructions of one round.
fn count(workload: &Workload) -> Outcome<f64> {
    let [few, many] = ROUNDS.map(|rounds| run(workload.name, rounds));
    Ok((many? - few?) / f64::from(ROUNDS[1] - ROUNDS[0]))
}

fn run(name: &str, rounds: u32) -> Outcome<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--workload", name, "--rounds", &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}; install it to count instructions"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    match collected {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("valgrind with the hot path {name:?}: {said}").into()),
    }
}

/// Prints the counts beside the baseline's. False when one is too high.
pub fn check() -> Outcome<bool> {
    let baseline = Baseline::read()?;
    if baseline.instructions.is_empty() {
        println!("the baseline is for another architecture; nothing is compared");
        return Ok(true);
    }
    let mut good = true;
    println!("{:<26} {:>14} {:>14} {:>8}", "instructions of a round", "baseline", "now", "change");
    for count in counts()? {
        let change = count.change();
        let verdict = match change {
            None => "not in the baseline; make bench-accept",
            Some(change) if change > TOLERANCE => "too many",
            Some(change) if change < 2.0 - TOLERANCE => "better; make bench-accept",
            Some(_) => "",
        };
        good &= change.is_some_and(|change| change <= TOLERANCE);
        println!(
            "{:<26} {:>14.0} {:>14.0} {:>8} {verdict}",
            count.name,
            count.baseline.unwrap_or(0.0),
            count.instructions,
            change.map_or_else(String::new, |change| format!("{:+.1} %", (change - 1.0) * 100.0)),
        );
    }
    let compiler = compiler();
    if !good && baseline.rustc != compiler {
        println!("the baseline was made by {}, this build by {compiler}", baseline.rustc);
    }
    Ok(good)
}

/// Makes the counts of this build the baseline.
pub fn accept() -> Outcome<()> {
    let instructions = counts()?
        .into_iter()
        .map(|count| (count.name.to_owned(), count.instructions.round()))
        .collect();
    let baseline =
        Baseline { arch: std::env::consts::ARCH.to_owned(), rustc: compiler(), instructions };
    std::fs::write(path(), serde_json::to_string_pretty(&baseline)? + "\n")?;
    println!("written to {}", path().display());
    Ok(())
}

impl Count {
    /// Now over the baseline.
    pub fn change(&self) -> Option<f64> {
        Some(self.instructions / self.baseline?)
    }
}
