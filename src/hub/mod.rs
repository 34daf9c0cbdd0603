//! The link to the hub: dialling, one connection at a time, and the delivery
//! window that outlives connections.

pub mod outbox;
