//! As many idle sessions as one machine may have, and the way out of there.

use super::Pass;
use crate::Outcome;
use crate::measures::{MANY_MEMORY, MANY_SHUTDOWN, MANY_TOTAL};
use crate::stage::{self, Stage};

/// Numbers of sessions at which memory is read: 10, 20, 50, 100, …
fn stops(most: u32) -> Vec<u32> {
    let decades = (1..).map(|power| 10u32.pow(power)).take_while(|&decade| decade < most);
    let mut stops: Vec<u32> = decades
        .flat_map(|decade| [1, 2, 5].map(|step| step * decade))
        .filter(|&stop| stop < most)
        .collect();
    stops.push(most);
    stops
}

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let Pass { scale, page, .. } = pass;
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    stage::idle(scale.settle);
    let idle_memory = stage.memory()?;
    let mut made = 0;
    let mut points = Vec::new();
    for stop in stops(scale.many) {
        stage.sessions("cat", stop - made)?;
        made = stop;
        points.push((made, (stage.memory()? - idle_memory) / f64::from(made)));
    }
    page.session_cost(points);
    stage::idle(scale.settle);
    let memory = stage.memory()?;
    page.add(&MANY_TOTAL, memory / 1e6);
    page.add(&MANY_MEMORY, (memory - idle_memory) / 1024.0 / f64::from(made));
    page.add(&MANY_SHUTDOWN, stage.shut_down()?.as_secs_f64());
    Ok(())
}
