//! Many runtimes against one hub that restarts: how their return is spread.

use std::time::{Duration, Instant};

use amurg_runtime::loopback::ScratchDir;
use serde_json::json;

use super::Pass;
use crate::Outcome;
use crate::measures::{RECONNECT_FIRST, RECONNECT_LAST};
use crate::stage;

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let (hub, observer) = stage::hub(pass.subject)?;
    let dir = ScratchDir::new("amurg-bench-fleet")?;
    let mut fleet = Vec::new();
    for number in 0..pass.scale.fleet {
        let own = dir.path().join(number.to_string());
        std::fs::create_dir(&own)?;
        // Ids of endpoints are global in a hub.
        let endpoint = json!({
            "id": format!("cat-{number}"), "profile": "generic-cli", "cli": { "command": "cat" }
        });
        let config = stage::configure(&own, &hub.url(), &format!("bench-{number}"), &[endpoint])?;
        fleet.push(stage::launch(pass.subject, &config, &own.join("log"))?);
    }
    let size = fleet.len();
    observer.wait("a fleet", |seen| (seen.hellos.len() >= size).then_some(()))?;
    hub.go_down();
    let down = Instant::now();
    hub.come_up()?;
    observer.wait("the fleet's return", |seen| (seen.hellos.len() >= 2 * size).then_some(()))?;
    let back: Vec<Duration> = {
        let seen = observer.seen();
        seen.hellos[size..].iter().map(|at| at.saturating_duration_since(down)).collect()
    };
    pass.page.add(&RECONNECT_FIRST, back.iter().min().map_or(0.0, Duration::as_secs_f64));
    pass.page.add(&RECONNECT_LAST, back.iter().max().map_or(0.0, Duration::as_secs_f64));
    pass.page.reconnects(&back);
    Ok(())
}
