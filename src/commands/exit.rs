//! Exit codes, after `sysexits.h` where it has one.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Did what was asked.
    Ok,
    /// A health probe's "no": not connected.
    No,
    /// An agent's own exit code, of `try`.
    Agent(u8),
    /// Wrong usage (`EX_USAGE`).
    Usage,
    /// Nobody there, or somebody else holds the lock (`EX_UNAVAILABLE`).
    Unavailable,
    /// A defect of the program (`EX_SOFTWARE`).
    Internal,
    /// Bad configuration (`EX_CONFIG`).
    Config,
}

impl Exit {
    /// The number the parent sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Agent(code) => code,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
