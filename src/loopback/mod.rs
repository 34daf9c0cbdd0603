//! A small hub in this process, speaking the hub's side of both dialects over
//! a real loopback socket.
//!
//! `try` talks to its runtime through it, and so do the tests. It behaves as
//! the hub's wire protocol says real hubs do: it reads a connection strictly in
//! order and answers a ping only after it has handled everything before it,
//! refuses a hello with an ack and a bare close, lets a second connection
//! replace the first in the way of its dialect, drops what is addressed to a
//! runtime that is not there, and closes with 1009 above its frame limit.
//!
//! ```text
//! accept ──► reader (one per connection) ──► history, registry, sessions
//!                 │ acks, pongs
//!                 ▼
//! Client ──► writer (one per connection) ──► socket
//! ```
//!
//! Every thread blocks on its socket or its channel; shutting the socket ends
//! both. It deliberately knows no faults: a test that wants one gives a
//! [`Script`] that judges each message before it is handled, or puts a proxy
//! in between. It has no users, no storage and no browser side.

mod client;
mod connection;
mod frame;
mod history;
mod hub;
mod peer;
mod registry;
mod scratch;
mod script;
mod sessions;
mod shared;
mod speech;

pub use client::{Client, Output};
pub use frame::{Direction, Frame};
pub use history::{Counts, Event, Keep, Timeout};
pub use hub::{LoopbackHub, Options};
pub use scratch::ScratchDir;
pub use script::{Incoming, Received, Script, Verdict};
pub use sessions::SessionState;
