//! A child's outputs, by name, and what reading one brings.

use std::time::Duration;

/// How much one read takes: what a pipe holds.
pub const READ: usize = 64 * 1024;

/// One of a child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error; never there on a terminal.
    Stderr,
}

impl Stream {
    /// Both, in the order in which a child's pipes keep them.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes.
    Bytes(usize),
    /// Nothing at the moment.
    Nothing,
    /// Every writer has closed it.
    End,
}

/// What a pipe thread waits for, besides its waker.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Output, which is left alone while there is no room for it.
    pub output: bool,
    /// Longest wait; `None`: without end.
    pub limit: Option<Duration>,
}

/// What a wait found. Nothing at all: it is time to look around.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// The thread was woken.
    pub woken: bool,
    /// There is something to read, or its end, by stream.
    pub readable: [bool; 2],
}
