//! How much is measured: a few minutes' worth, or all of it.

use std::time::Duration;

/// Sizes of all scenarios.
pub struct Scale {
    pub name: &'static str,
    /// Runs of what takes milliseconds.
    pub short_runs: usize,
    /// Runs of what takes seconds.
    pub runs: usize,
    /// Sessions of the memory figures.
    pub sessions: u32,
    /// How long nothing happens while context switches are counted.
    pub idle: Duration,
    /// How long nothing happens before memory is read.
    pub settle: Duration,
    /// Sessions of the largest scenario, all idle.
    pub many: u32,
    /// Sessions that are busy at once.
    pub busy: u32,
    /// Messages of each busy session.
    pub rounds: u32,
    /// Messages of the session that is alone.
    pub messages: u32,
    /// Most bytes of one flood.
    pub flood: u64,
    /// How long a flood should take.
    pub flood_time: Duration,
    /// Runtimes against one hub's restart.
    pub fleet: u32,
}

impl Scale {
    /// `quick` or `full`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "quick" => Some(Self::QUICK),
            "full" => Some(Self::FULL),
            _ => None,
        }
    }

    /// Under three minutes on two cores.
    const QUICK: Self = Self {
        name: "quick",
        short_runs: 15,
        runs: 3,
        sessions: 100,
        idle: Duration::from_secs(5),
        settle: Duration::from_secs(2),
        many: 300,
        busy: 50,
        rounds: 10,
        messages: 50,
        flood: 256 << 20,
        flood_time: Duration::from_secs(1),
        fleet: 20,
    };

    /// The sizes of the goals.
    const FULL: Self = Self {
        name: "full",
        short_runs: 31,
        runs: 5,
        sessions: 1000,
        idle: Duration::from_secs(60),
        settle: Duration::from_secs(3),
        many: 4000,
        busy: 500,
        rounds: 10,
        messages: 200,
        flood: 2 << 30,
        flood_time: Duration::from_secs(4),
        fleet: 200,
    };
}
