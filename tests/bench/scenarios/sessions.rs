//! The life of many sessions: made, used once, idle, closed.

use std::time::Instant;

use super::Pass;
use crate::Outcome;
use crate::measures::{
    CLOSE_RATE, CLOSED_MEMORY, CREATE_CPU, CREATE_RATE, IDLE_MEMORY, SESSION_DESCRIPTORS,
    SESSION_MEMORY, SESSION_THREADS, SWITCHES,
};
use crate::procfs;
use crate::stage::{self, Stage};

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let Pass { scale, page, .. } = pass;
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    stage::idle(scale.settle);
    let pid = stage.pid();
    let count = f64::from(scale.sessions);
    let idle_memory = stage.memory()?;
    page.add(&IDLE_MEMORY, idle_memory / 1e6);

    // What the first one brings once and for all is not counted for the others.
    let mut sessions = stage.sessions("cat", 1)?;
    stage.echo(&sessions)?;
    let (threads, descriptors) = (procfs::threads(pid), procfs::descriptors(pid));
    let first_memory = stage.memory()?;
    let others = count - 1.0;

    let cpu = stage.cpu();
    let begun = Instant::now();
    sessions.extend(stage.sessions("cat", scale.sessions - 1)?);
    page.add(&CREATE_RATE, others / begun.elapsed().as_secs_f64());
    stage.echo(&sessions)?;
    page.add(&CREATE_CPU, stage.cpu().since(&cpu).as_secs_f64() * 1e3 / others);

    // Turns end, the last pong comes, buffers are given back.
    stage::idle(scale.settle);
    page.add(&SESSION_MEMORY, (stage.memory()? - first_memory) / 1024.0 / others);
    page.add(&SESSION_THREADS, (procfs::threads(pid) as f64 - threads as f64) / others);
    if let (Some(before), Some(now)) = (descriptors, procfs::descriptors(pid)) {
        // One here or there belongs to no session.
        page.add(
            &SESSION_DESCRIPTORS,
            ((now as f64 - before as f64) / others * 10.0).round() / 10.0,
        );
    }
    let switches = procfs::context_switches(pid);
    stage::idle(scale.idle);
    let switches = procfs::context_switches(pid).saturating_sub(switches);
    page.add(&SWITCHES, switches as f64 / scale.idle.as_secs_f64());

    let begun = Instant::now();
    stage.close(&sessions)?;
    page.add(&CLOSE_RATE, count / begun.elapsed().as_secs_f64());
    stage::idle(scale.settle);
    page.add(&CLOSED_MEMORY, (stage.memory()? - idle_memory) / 1e6);
    Ok(())
}
