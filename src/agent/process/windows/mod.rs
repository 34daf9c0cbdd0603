//! Children on Windows: a job object holds each of them with everything that
//! comes of it, and ends with the last handle on it, so with this process too,
//! however that ends. Three threads read and write each child's pipes, and one
//! waits for its end: pipes and processes cannot be waited for beside a socket.
//!
//! What there is not: terminals, confinement, a look at what a process waits
//! for. Work that a program hands to others (a service, the task scheduler)
//! leaves its job, and is not ended.

mod calls;
pub mod end;
pub mod family;
pub mod interrupt;
pub mod launch;
pub mod original;
pub mod pipes;
pub mod reaper;
pub mod stdin;
