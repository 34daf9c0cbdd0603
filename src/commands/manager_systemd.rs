//! What systemd is told. Nobody listens where there is no service manager.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is up, with or without a hub.
pub fn ready(connected: bool) {
    tell(&[NotifyState::Ready, status(connected)]);
}

/// The connection has come or gone.
pub fn connection(connected: bool) {
    tell(&[status(connected)]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The service ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How often [`alive`] has to be said; `None`: never.
pub fn pulse() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

/// Every thread answers.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn status(connected: bool) -> NotifyState<'static> {
    NotifyState::Status(if connected { "connected to the hub" } else { "not connected to the hub" })
}

fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
