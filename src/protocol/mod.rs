//! What passes between runtime and hub, as types and pure functions.
//!
//! Knows both dialects and nothing of sockets, threads or time. Source of every
//! fact: the hub's wire protocol as checked against running hubs of both kinds.

pub mod inbound;
pub mod outbound;

/// The two spellings of hubs. An answer uses the dialect of what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Older hubs: `endpoint_id`, `endpoint.config_update`.
    Endpoint,
    /// Newer hubs: `agent_id`, `agent.config_update`.
    Agent,
}
