//! What the tests from outside share: a scene with the real binary in it, a
//! bare runtime's side of the socket, and a proxy that breaks connections.

// Every test file is a crate of its own and uses its part of this.
#![allow(dead_code, unused_imports, missing_docs)]

pub mod bare_runtime;
#[cfg(unix)]
mod fault_link;
#[cfg(unix)]
pub mod fault_proxy;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod scene;
#[cfg(target_os = "linux")]
pub mod session;
#[cfg(target_os = "linux")]
pub mod setup;

use std::time::{Duration, Instant};

/// The deadline of every wait: far beyond what a slow machine needs.
pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// How long [`soon`] is.
pub const PATIENCE: Duration = Duration::from_secs(20);
