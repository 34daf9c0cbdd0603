//! One dial to see whether it works: `check --connect`. It keeps nothing and
//! tries nothing twice; what a hub gives or says is not taken.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::HubSettings;
use super::dial::{self, Cancel, DialPlan, Reached, Step, Steps};
use super::dial_error::{DialError, DialReport};

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Up to the WebSocket: a hub does not learn who we are, so that one that
    /// runs under this id keeps its connection.
    Reach,
    /// Up to the hub's answer to our hello. The hub takes it for this runtime.
    Hello,
}

/// What came of it.
#[derive(Debug)]
pub struct Probed {
    /// The steps that were begun, with how long each took; the last one may have failed.
    pub steps: Vec<(Step, Duration)>,
    /// Where it went; else the step that failed, with what can be done.
    pub outcome: Result<DialReport, DialError>,
}

/// Dials with the configured token, and hangs up. `begun` hears of each step.
pub fn probe(
    settings: &HubSettings,
    extent: Extent,
    begun: impl Fn(Step) + Send + Sync + 'static,
) -> Probed {
    let begins = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&begins);
    let mut plan = DialPlan::new(settings, settings.token.clone(), Arc::default());
    plan.steps = Steps::told_to(move |step| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push((step, Instant::now()));
        begun(step);
    });
    let cancel = Cancel::default();
    let reached = match extent {
        Extent::Reach => dial::reach(&plan, &cancel),
        Extent::Hello => dial::dial(&plan, &cancel)
            .map(|dialed| Reached { socket: dialed.socket, report: dialed.report })
            .map_err(|failure| failure.error),
    };
    let over = Instant::now();
    let outcome = reached.map(|Reached { mut socket, report }| {
        // It works, however the goodbye is taken.
        let _ = socket.send(Message::Close(None));
        socket.get_mut().finish();
        report
    });
    let begins = begins.lock().unwrap_or_else(PoisonError::into_inner);
    let ends = begins.iter().skip(1).map(|(_, end)| *end).chain([over]);
    let steps = begins.iter().zip(ends).map(|((step, begin), end)| (*step, end - *begin)).collect();
    Probed { steps, outcome }
}
