//! What sessions say to the owner of a CLI process.

use std::sync::Arc;

use super::audience::Listener;
use crate::agent::process::piece::Piece;
use crate::config::Endpoint;

/// What sessions say to the owner of a process.
pub enum Command {
    /// This session hears everything from now on.
    Join(Box<Listener>),
    /// A message: opens a turn.
    Turn(Message),
    /// More input for the running turn.
    Input { from: u64, piece: Piece },
    /// A line that tells of a file; it waits for the process to be there.
    File { from: u64, piece: Piece },
    /// SIGINT to what runs in the foreground, if the turn is this session's or nobody's.
    Stop { from: u64 },
    /// End the processes, if the turn is this session's.
    End { from: u64 },
    /// Nothing was written for `idle_timeout` in this turn.
    IdleExpired { from: u64, turn: u64 },
    /// New processes follow this.
    Reconfigure(Arc<Endpoint>),
    /// This session ends, and a process of its own with it.
    Leave { from: u64 },
    /// End the process and everything of it.
    Close,
}

impl Command {
    /// The session that says it.
    pub fn from(&self) -> Option<u64> {
        match self {
            Self::Turn(Message { from, .. })
            | Self::Input { from, .. }
            | Self::File { from, .. }
            | Self::Stop { from }
            | Self::End { from }
            | Self::IdleExpired { from, .. }
            | Self::Leave { from } => Some(*from),
            Self::Join(_) | Self::Reconfigure(_) | Self::Close => None,
        }
    }
}

/// A message of one session.
pub struct Message {
    /// The session's number in this process.
    pub from: u64,
    /// The turn's number in the session.
    pub turn: u64,
    /// What is written.
    pub piece: Piece,
}
