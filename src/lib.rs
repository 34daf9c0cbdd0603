//! Amurg Runtime: a small synchronous gateway between the agents of one
//! machine and an Amurg Hub.
//!
//! It dials out over one WebSocket, keeps agent sessions and forwards messages
//! verbatim both ways. There is no async executor: every box below is a named
//! thread, every arrow a channel.
//!
//! ```text
//! hub ──► link reader ──► dispatcher ──► session worker ──► agent (pipes / HTTP)
//! hub ◄── link writer ◄── outbox ◄────── session worker ◄── pipe readers
//!                           watchdog ───► session worker      (deadlines)
//! ```

pub mod agent;
pub mod commands;
pub mod config;
pub mod control;
pub mod files;
pub mod hub;
pub mod ids;
pub mod logging;
pub mod loopback;
pub mod protocol;
pub mod runtime;
pub mod sandbox;
pub mod secret;
pub mod session;
pub mod signals;
pub mod state;
pub mod threads;
pub mod timestamp;
pub mod wake;
pub mod watchdog;
