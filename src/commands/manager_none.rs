//! Service managers of other systems are told nothing.

use std::time::Duration;

/// The service is up, with or without a hub.
pub fn ready(_connected: bool) {}

/// The connection has come or gone.
pub fn connection(_connected: bool) {}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {}

/// The service ends.
pub fn stopping() {}

/// How often [`alive`] has to be said: never.
pub fn pulse() -> Option<Duration> {
    None
}

/// Every thread answers.
pub fn alive() {}
