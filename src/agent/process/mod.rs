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
//! [`pump`] is the thread that reads a child's pipes, writes into it and ends it;
//! [`start`] brings an endpoint there.
//!
//! A [`Family`](family::Family) is recognised by descent, by the `setsid`
//! session of its first process, by the [`Mark`](mark::Mark) in its
//! environment, and by its control group where there can be one. What sheds all
//! of them while no look was taken is ended with the runtime.

mod carried;
pub mod census;
pub mod cgroup;
mod course;
pub mod end;
pub mod environment;
pub mod family;
mod held;
mod inherited;
pub mod launch;
pub mod launcher;
pub mod mark;
mod order;
pub mod original;
mod orphans;
mod os_text;
pub mod pipes;
pub mod plan;
mod poll;
pub mod procfs;
mod pty;
pub mod pump;
pub mod reaper;
mod rounds;
pub mod shared;
pub mod start;
pub mod stdin;

pub use order::Failure;
