//! Floods: what a byte costs on its way from an agent to the hub.

use std::time::Instant;

use amurg_runtime::ids;

use super::Pass;
use crate::Outcome;
use crate::measures::{
    CLI_CPU, CLI_HARNESS, CLI_RATE, CLI_WIRE, CONTROL_CPU, CONTROL_HARNESS, CONTROL_RATE,
    CONTROL_WIRE, JOB_CPU, JOB_HARNESS, JOB_RATE, JOB_WIRE, Measure,
};
use crate::procfs::Cpu;
use crate::stage::{self, Stage};

/// Bytes of the first flood, from which the size of the real one is guessed.
const TRIAL: u64 = 4 << 20;

/// What is added up for one kind of flood.
struct Measures {
    cpu: &'static Measure,
    rate: &'static Measure,
    wire: &'static Measure,
    harness: &'static Measure,
}

/// Lines of 80 bytes from a shell-like agent.
pub fn cli(pass: &mut Pass<'_>) -> Outcome<()> {
    let measures =
        Measures { cpu: &CLI_CPU, rate: &CLI_RATE, wire: &CLI_WIRE, harness: &CLI_HARNESS };
    run(pass, "generic-cli", "lines", &measures)
}

/// The same from a job.
pub fn job(pass: &mut Pass<'_>) -> Outcome<()> {
    let measures =
        Measures { cpu: &JOB_CPU, rate: &JOB_RATE, wire: &JOB_WIRE, harness: &JOB_HARNESS };
    run(pass, "generic-job", "lines", &measures)
}

/// The worst there is: every byte escapes to six.
pub fn control(pass: &mut Pass<'_>) -> Outcome<()> {
    let measures = Measures {
        cpu: &CONTROL_CPU,
        rate: &CONTROL_RATE,
        wire: &CONTROL_WIRE,
        harness: &CONTROL_HARNESS,
    };
    run(pass, "generic-cli", "control", &measures)
}

fn run(pass: &mut Pass<'_>, profile: &str, pattern: &str, measures: &Measures) -> Outcome<()> {
    let stage = Stage::start(pass.subject, &[stage::flood("flood", profile, pattern)?])?;
    let session = stage.sessions("flood", 1)?.remove(0);
    let trial = Instant::now();
    pour(&stage, &session, TRIAL)?;
    // Some binaries take minutes for what others do in a second.
    let rate = TRIAL as f64 / trial.elapsed().as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rough size")]
    let wanted = (rate * pass.scale.flood_time.as_secs_f64()) as u64;
    let bytes = wanted.clamp(TRIAL, pass.scale.flood);

    let wire = stage.observer.seen().wire_bytes;
    let (cpu, ours) = (stage.cpu(), Cpu::of(this_process()));
    let begun = Instant::now();
    let ended = pour(&stage, &session, bytes)?;
    let (cpu, ours) = (stage.cpu().since(&cpu), Cpu::of(this_process()).since(&ours));
    let wire = stage.observer.seen().wire_bytes - wire;
    let gigabytes = bytes as f64 / 1e9;
    pass.page.add(measures.cpu, cpu.as_secs_f64() / gigabytes);
    pass.page.add(measures.rate, gigabytes * 1e3 / ended.duration_since(begun).as_secs_f64());
    pass.page.add(measures.wire, wire as f64 / bytes as f64);
    pass.page.add(measures.harness, ours.as_secs_f64() / gigabytes);
    Ok(())
}

/// Lets the agent write so many bytes; answers when the last of them came.
fn pour(stage: &Stage<'_>, session: &str, bytes: u64) -> Outcome<Instant> {
    let marker = ids::next_id();
    stage.observer.expect(&marker);
    stage.client.send_message(session, &format!("{bytes} {marker}"));
    stage.observer.flooded()
}

fn this_process() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
