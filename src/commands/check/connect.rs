//! `check --connect`: what the hub says to this configuration, step by step.
//!
//! A hub takes whoever says hello with an id for its runtime, and ends the
//! connection it had before. So where that runtime may be running, nothing is
//! said: the way to the hub is tried, and the running one is asked.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::presence::{self, Presence};
use super::super::progress::Progress;
use super::facts::Fact;
use crate::config::{Config, Environment};
use crate::hub::dial::Step;
use crate::hub::probe::{Extent, Probed, probe};
use crate::hub::proxy::ProxySettings;
use crate::hub::{HubSettings, NoStore};
use crate::logging::Quoted;

/// What came of dialling the hub.
#[derive(Debug, Serialize)]
pub struct Connection {
    /// Whether this runtime can be connected, or is.
    pub ok: bool,
    /// Each step that was begun, in order.
    pub steps: Vec<StepTaken>,
    /// Whether the hub was told who we are.
    pub said_hello: bool,
    /// What the hub answered, or the running runtime says of it.
    pub answer: Option<String>,
    /// Why there is no connection, and what to do.
    pub error: Option<String>,
}

/// One step of a dial.
#[derive(Debug, Serialize)]
pub struct StepTaken {
    /// `dns`, `tcp`, `proxy`, `tls`, `websocket`, `hello`
    pub step: &'static str,
    /// How long it took.
    pub milliseconds: f64,
    /// Whether it came to its end.
    pub ok: bool,
    /// What is known of it.
    pub about: Option<String>,
}

impl Connection {
    /// Dials. Shows somebody at a terminal what is waited for.
    pub fn of(config: &Config, environment: &dyn Environment) -> Self {
        let mut settings = HubSettings::new(config, std::sync::Arc::new(NoStore));
        settings.proxies =
            ProxySettings::from_lookup(|name| environment.variable(name)?.into_string().ok());
        let presence = presence::of(config);
        let extent = match presence {
            Presence::Nobody => Extent::Hello,
            Presence::Running { .. } | Presence::Unknown { .. } => Extent::Reach,
        };
        let progress = Progress::begin("the hub");
        let probed = probe(&settings, extent, move |step| progress.now(waits_for(step)));
        Self::judge(config, &presence, probed)
    }

    fn judge(config: &Config, presence: &Presence, Probed { steps, outcome }: Probed) -> Self {
        let last = steps.len().saturating_sub(1);
        let steps: Vec<StepTaken> = steps
            .into_iter()
            .enumerate()
            .map(|(index, (step, took))| StepTaken {
                step: name(step),
                milliseconds: took.as_secs_f64() * 1000.0,
                ok: outcome.is_ok() || index < last,
                about: outcome.as_ref().ok().and_then(|report| match step {
                    Step::Resolve => {
                        let address = report.address.ip().to_string();
                        (report.host != address).then(|| format!("{} is {address}", report.host))
                    }
                    Step::Connect => Some(report.address.to_string()),
                    Step::Tunnel => report.proxy.clone(),
                    Step::Tls => Some(tls(config, report.certificate_until.as_deref())),
                    Step::Upgrade | Step::Hello => None,
                }),
            })
            .collect();
        let (answer, error) = match (&outcome, presence) {
            (Err(error), _) => (None, Some(error.to_string())),
            (Ok(_), Presence::Nobody) => {
                (Some(format!("registered as {}", Quoted(&config.runtime.id))), None)
            }
            (Ok(_), Presence::Running { said, connected: Some(false) }) => {
                (None, Some(format!("{said}; amurg-runtime status tells more")))
            }
            (Ok(_), Presence::Running { said, .. }) => {
                (Some(format!("not said, since it would end that one's connection: {said}")), None)
            }
            (Ok(_), Presence::Unknown { why }) => {
                (Some(format!("not said, since this runtime may be running: {why}")), None)
            }
        };
        let said_hello = steps.iter().any(|taken| taken.step == name(Step::Hello));
        Self { ok: error.is_none(), steps, said_hello, answer, error }
    }

    /// A line for each step, and one for the answer.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self
            .steps
            .iter()
            .map(|taken| {
                let took = format!("{:>9}", shown(taken.milliseconds));
                let about = match (&taken.about, taken.ok) {
                    (_, false) => "failed",
                    (Some(about), true) => about,
                    (None, true) if taken.step == name(Step::Hello) => {
                        self.answer.as_deref().unwrap_or_default()
                    }
                    (None, true) => "",
                };
                Fact::new(taken.step, format!("{took}  {about}").trim_end())
            })
            .collect();
        if !self.said_hello
            && let Some(answer) = &self.answer
        {
            facts.push(Fact::new(name(Step::Hello), answer));
        }
        facts
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Resolve => "dns",
        Step::Connect => "tcp",
        Step::Tunnel => "proxy",
        Step::Tls => "tls",
        Step::Upgrade => "websocket",
        Step::Hello => "hello",
    }
}

fn waits_for(step: Step) -> &'static str {
    match step {
        Step::Resolve => "the address of the hub's name",
        Step::Connect => "a TCP connection",
        Step::Tunnel => "the proxy",
        Step::Tls => "the TLS handshake",
        Step::Upgrade => "the WebSocket handshake",
        Step::Hello => "the hub's answer to the hello",
    }
}

fn shown(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.1} s", milliseconds / 1000.0)
    }
}

/// What TLS found out about the hub.
fn tls(config: &Config, until: Option<&str>) -> String {
    let verified = if config.hub.tls_skip_verify { "not verified" } else { "verified" };
    let Some(until) = until else { return format!("certificate {verified}") };
    let day = until.split('T').next().unwrap_or(until);
    let left = humantime::parse_rfc3339(until)
        .ok()
        .and_then(|end| end.duration_since(SystemTime::now()).ok())
        .unwrap_or(Duration::ZERO);
    let days = left.as_secs() / (24 * 60 * 60);
    format!("certificate {verified}, valid until {day} ({days} days)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_for_people() {
        for (milliseconds, expected) in [(0.04, "0.0 ms"), (12.34, "12.3 ms"), (15_012.0, "15.0 s")]
        {
            assert_eq!(shown(milliseconds), expected);
        }
    }
}
