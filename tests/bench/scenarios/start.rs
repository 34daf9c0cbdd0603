//! From nothing to the first message, and what that much of it holds.

use super::Pass;
use crate::Outcome;
use crate::measures::{BINARY, IDLE_MEMORY, START};
use crate::sizes;
use crate::stage::{self, Stage};

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    let hello = stage.observer.seen().hellos.first().copied().ok_or("no hello")?;
    pass.page.add(&START, hello.duration_since(stage.started).as_secs_f64() * 1e3);
    if pass.first {
        stage::idle(pass.scale.settle);
        pass.page.add(&IDLE_MEMORY, stage.memory()? / 1e6);
        if let Some(bytes) = sizes::loaded(&pass.subject.program) {
            pass.page.add(&BINARY, bytes as f64 / 1e6);
        }
    }
    Ok(())
}
