//! A look at a running process, on systems that do not tell what one waits for:
//! there, exit and `idle_timeout` end a turn.

use crate::agent::process::child::Child;
use crate::agent::process::mark::Mark;

/// What a process reads; never known here.
#[derive(Debug)]
pub enum Input {}

impl Input {
    /// Nothing can be told.
    pub fn of(_child: &Child) -> Option<Self> {
        None
    }

    /// Nobody has an input to ask about.
    pub fn is_awaited_by(&self, _child: &Child, _mark: &Mark) -> bool {
        match *self {}
    }
}
