//! How long a small message takes while another session floods.

use std::time::{Duration, Instant};

use super::Pass;
use crate::Outcome;
use crate::book::spread;
use crate::measures::{BESIDE_TIME, BESIDE_WORST};
use crate::stage::{self, Stage};

/// Sessions that take turns: what follows an answer within 25 ms may be
/// gathered, and that is not what is measured here.
const SESSIONS: u32 = 32;

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let agents = [stage::cat(), stage::flood("flood", "generic-cli", "lines")?];
    let stage = Stage::start(pass.subject, &agents)?;
    let sessions = stage.sessions("cat", SESSIONS)?;
    let flood = stage.sessions("flood", 1)?.remove(0);
    stage.echo(&sessions)?;
    // More than it can write meanwhile; it ends with the stage.
    stage.client.send_message(&flood, &format!("{} never", u32::MAX));
    stage.observer.wait("a flood", |seen| (seen.wire_bytes > 1 << 20).then_some(()))?;
    let mut times = Vec::new();
    let enough = Instant::now() + pass.scale.flood_time.max(Duration::from_secs(1));
    while Instant::now() < enough {
        for session in &sessions {
            let asked = Instant::now();
            stage.echo(std::slice::from_ref(session))?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [_, median, worst] = spread(&times).ok_or("no answers")?;
    pass.page.add(&BESIDE_TIME, median);
    pass.page.add(&BESIDE_WORST, worst);
    Ok(())
}
