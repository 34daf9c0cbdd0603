//! Sessions: who exists, what each is doing, and what it says.
//!
//! ```text
//! hub ──► dispatcher ──► inbox ──► worker ──► agent
//!            │                       │          │
//!         registry            turns, journal    ▼
//!                                    └──► output ──► lane ──► hub
//! ```
//!
//! - [`dispatcher`] decides which sessions exist ([`registry`], by their [`facts`]) and that
//!   no message is executed twice ([`seen`]), [`push`] what a hub may change of an endpoint,
//!   [`admission`] how much may wait; [`requests`] are what the runtime asks of it.
//! - [`worker`] is one session: its turns ([`event`], [`deadlines`], [`permissions`]).
//! - [`output`], [`stream`] and [`gather`] are the way of an agent's bytes into messages.
//! - [`notices`] are the sentences a user may read.
//!
//! Nothing here knows what an agent is made of, or how a hub is reached.

pub mod admission;
pub mod deadlines;
pub mod dispatcher;
pub mod event;
pub mod facts;
pub mod gather;
pub mod notices;
pub mod output;
pub mod permissions;
pub mod push;
pub mod registry;
pub mod requests;
pub mod seen;
pub mod stream;
pub mod worker;
