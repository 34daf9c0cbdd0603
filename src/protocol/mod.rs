//! What passes between runtime and hub, as types and pure functions.
//!
//! Knows both dialects and nothing of sockets or threads, and of time only the
//! stamp an envelope needs. Source of every fact: the hub's wire protocol as
//! checked against running hubs of both kinds.

mod decode;
mod envelope;
pub mod escape;
mod fields;
pub mod inbound;
pub mod outbound;
pub mod output_frame;
pub mod registration;

/// The two spellings of hubs. An answer uses the dialect of what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Older hubs: `endpoint_id`, `endpoint.config_update`.
    Endpoint,
    /// Newer hubs: `agent_id`, `agent.config_update`.
    Agent,
}
