//! Children: one way to start them, one place that reaps them, one end for
//! everything that came of them. Beneath `cli`, `job` and `external`, and
//! knowing nothing of turns, messages or hubs.
//!
//! ```text
//! SpawnPlan ──► Launcher::launch ──► Child { pipes, exit, family }
//!                    │ socket               │        └──► Ending ──► Ended
//!                    ▼                      ▼
//!            our own binary,           ExitWatch ◄── Reaper ◄── SIGCHLD
//!            __launch ──exec──► the agent's program
//! ```
//!
//! So on Unix (`unix/`). On Windows (`windows/`) the same names stand for children
//! in job objects, with no launcher and nothing to reap.
//!
//! [`pump`] reads a child's pipes, writes into it and ends it; [`start`] brings an
//! endpoint there. The thread that does so is called the child's *pipe thread* here:
//! a session's own, or one that does nothing else.
//!
//! A [`Family`](family::Family) is recognised by descent, by the `setsid`
//! session of its first process, by the [`Mark`](mark::Mark) in its
//! environment, and by its control group where there can be one. What sheds all
//! of them while no look was taken is ended with the runtime.

pub mod child;
mod course;
pub mod ended;
pub mod environment;
pub mod inbox;
pub mod mark;
pub mod piece;
pub mod plan;
pub mod pump;
pub mod shared;
pub mod start;
pub mod stream;
#[cfg_attr(unix, path = "unix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod system;

pub use system::*;
