//! How far the end of a child's processes has come, and what is left of them.

use std::fmt;
use std::time::{Duration, Instant};

/// How long processes have between the request to end and being killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// What is left when everything was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Processes that still live: hanging in the kernel, or another user's.
    pub left: usize,
    /// Those of them that belong to another user.
    pub denied: usize,
}

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Step again when something of it has ended, or at this moment.
    Waiting(Instant),
    /// It is over.
    Over(Ended),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hanging = self.left - self.denied;
        match (hanging, self.denied) {
            (0, 0) => f.write_str("all processes have ended"),
            (0, denied) => write!(f, "{denied} process(es) of another user could not be ended"),
            (hanging, 0) => write!(f, "{hanging} process(es) hang in the kernel and were left"),
            (hanging, denied) => write!(
                f,
                "{hanging} process(es) hang in the kernel and were left, \
                 {denied} of another user could not be ended"
            ),
        }
    }
}
