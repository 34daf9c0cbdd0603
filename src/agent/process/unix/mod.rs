//! Children on Unix: `setsid` sessions started by way of a launcher, signals,
//! descriptors that are polled, and `/proc` where there is one.

mod carried;
pub mod census;
pub mod cgroup;
pub mod end;
pub mod family;
mod held;
mod inherited;
pub mod launch;
pub mod launcher;
mod order;
pub mod original;
mod orphans;
mod os_text;
pub mod pipes;
mod poll;
pub mod procfs;
mod pty;
pub mod reaper;
mod rounds;
pub mod stdin;

pub use order::Failure;
