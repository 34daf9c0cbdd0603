//! Small messages through `cat`: the cost of a message as such.

use std::time::{Duration, Instant};

use super::Pass;
use crate::Outcome;
use crate::measures::{BUSY_CPU, BUSY_RATE, ECHO_CPU, ECHO_TURN_CPU, ECHO_TURN_TIME};
use crate::stage::{self, Stage};

/// A turn that takes longer was ended by its timeout: there is nothing to wait for.
const TOLD: Duration = Duration::from_secs(2);

/// One session, one message at a time: each after the other's answer, then
/// each after the end of the other's turn.
pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    let sessions = stage.sessions("cat", 1)?;
    let ends_are_told = stage.turn(&sessions[0], TOLD)?;
    let messages = pass.scale.messages;

    let cpu = stage.cpu();
    for _ in 0..messages {
        stage.echo(&sessions)?;
    }
    pass.page.add(&ECHO_CPU, stage.cpu().since(&cpu).as_secs_f64() * 1e6 / f64::from(messages));

    if ends_are_told {
        let cpu = stage.cpu();
        let begun = Instant::now();
        for _ in 0..messages {
            stage.turn(&sessions[0], TOLD)?;
        }
        let took = begun.elapsed().as_secs_f64();
        let cpu = stage.cpu().since(&cpu).as_secs_f64();
        pass.page.add(&ECHO_TURN_CPU, cpu * 1e6 / f64::from(messages));
        pass.page.add(&ECHO_TURN_TIME, took * 1e3 / f64::from(messages));
    }
    Ok(())
}

/// Many sessions, a message each at once, again and again.
pub fn busy(pass: &mut Pass<'_>) -> Outcome<()> {
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    let sessions = stage.sessions("cat", pass.scale.busy)?;
    stage.echo(&sessions)?;
    let cpu = stage.cpu();
    let begun = Instant::now();
    for _ in 0..pass.scale.rounds {
        stage.echo(&sessions)?;
    }
    let messages = f64::from(pass.scale.rounds * pass.scale.busy);
    pass.page.add(&BUSY_RATE, messages / begun.elapsed().as_secs_f64());
    pass.page.add(&BUSY_CPU, stage.cpu().since(&cpu).as_secs_f64() * 1e6 / messages);
    Ok(())
}
