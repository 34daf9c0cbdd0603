//! The link against small hubs of these tests' own, over real sockets.

mod fake;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../support/fault_link.rs"]
mod fault_link;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod long_links;
mod order_survives_cuts;
mod registering;
mod shutting_down;
mod slow_is_not_dead;
#[cfg(feature = "tls")]
mod through_tls_and_proxies;

/// What the proxy waits with.
const PATIENCE: std::time::Duration = fake::LIMIT;
