//! The link against small hubs of these tests' own, over real sockets.

mod fake;
mod order_survives_cuts;
mod registering;
mod shutting_down;
mod slow_is_not_dead;
#[cfg(feature = "tls")]
mod through_tls_and_proxies;
