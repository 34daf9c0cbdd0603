//! Amurg Runtime: a small synchronous gateway between the agents of one
//! machine and an Amurg Hub.
//!
//! It dials out over one WebSocket, keeps agent sessions and forwards messages
//! verbatim both ways. There is no async executor.
//!
//! # The way of a message
//!
//! ```text
//! hub ──► dispatcher ───────────────────► session worker ◄──► agent (pipes / HTTP)
//! hub ◄── link writer ◄── outbox ◄────── session worker
//!                           watchdog ───► session worker      (deadlines)
//! ```
//!
//! Every box is a named thread with one job and one owner that joins it; every
//! arrow is a channel, or a `queue` where a channel would cost too much. State lives in one
//! thread; what others need of it they ask for by message, or read as a plain count.
//! A thread waits either on channels (`select!`, or parked) or on descriptors
//! (`poll`), never on both: whoever polls is woken through a descriptor ([`wake`]). The
//! dispatcher polls the hub's connection, which it reads, the link writer that same one. A
//! worker with a process of its own polls its pipes; jobs, adapters and shared
//! processes have a thread for theirs.
//! No lock is held across anything that blocks, and nothing polls but the one check
//! [`agent::cli::waiting`] tells of.
//!
//! # The rooms
//!
//! | room | lives here |
//! |---|---|
//! | [`commands`] | one file per subcommand; `run` is the service |
//! | [`config`] | a file becomes decided configuration, once, with every problem told |
//! | [`protocol`] | envelope and messages of both dialects, without I/O |
//! | [`hub`] | dialling, the link's two sides, the delivery window, the supervisor |
//! | [`handshake`] | how a WebSocket begins, as both sides see it |
//! | [`session`] | which sessions exist, their turns, the way of output into messages |
//! | [`agent`] | what a session talks to: `cli`, `job`, `http`, `external`; `process` beneath |
//! | [`sandbox`] | what a child may touch, and the threat model |
//! | [`files`] | uploads, and what adapters offer |
//! | [`state`] | the state directory: lock, journal, refreshed token |
//! | [`watchdog`] | one heap of deadlines, one thread |
//! | [`control`] | the local socket that `status` asks |
//! | [`runtime`] | puts the boxes together |
//! | [`resident`] | memory that was used once and goes back; beside it `memory`, the heap, and `packed`, many small records in one piece |
//! | [`json`] | JSON in one way for everybody |
//! | [`queue`] | what sessions and the dispatcher are told through, a channel that costs little; [`receive`]: how their threads sleep |
//! | [`threads`] | how threads are made; beside it `futexes`, the kernel's room for those that wait |
//! | [`loopback`] | a small hub in-process: `try` uses it, so do the tests |
//!
//! # Other systems
//!
//! What a system provides lies in a folder of its room: `agent/process`, `files`,
//! `state`, `control`, `signals` and [`wake`] each have a `unix` and a `windows`
//! side with the same names, of which one is compiled. What only Linux has
//! (confinement, a look at what a program waits for, systemd) has an empty other side.
//!
//! # Where to begin
//!
//! [`runtime::Runtime::start`] makes the picture above. Then follow one message:
//! [`protocol::inbound`], [`session::dispatcher`], [`session::worker`],
//! [`agent::job`], [`session::stream`], [`hub::outbox`], `hub::window`.

pub mod agent;
pub mod commands;
pub mod config;
pub mod control;
pub mod files;
mod futexes;
pub mod handshake;
pub mod hub;
pub mod ids;
pub mod json;
pub mod logging;
pub mod loopback;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(test)]
mod messages;
mod packed;
pub mod protocol;
pub mod queue;
pub mod receive;
pub mod resident;
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
