//! Every figure there is, with its unit and its goal.

/// A figure before it has values.
#[derive(Debug, PartialEq)]
pub struct Measure {
    pub name: &'static str,
    pub unit: &'static str,
    pub goal: Goal,
}

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// It is there to explain another one.
    None,
}

impl Goal {
    /// Whether a value is good enough; where nothing is wanted, everything is.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::None => true,
        }
    }
}

macro_rules! measures {
    ($($constant:ident = $name:literal, $unit:literal, $goal:expr;)*) => {
        $(pub const $constant: Measure = Measure { name: $name, unit: $unit, goal: $goal };)*
    };
}

use Goal::{AtLeast, AtMost};

measures! {
    START = "start to hello", "ms", AtMost(2.5);
    IDLE_MEMORY = "idle memory (PSS)", "MB", AtMost(1.6);
    SESSION_MEMORY = "memory per used CLI session (PSS)", "KB", AtMost(24.0);
    SESSION_THREADS = "threads per idle CLI session", "", AtMost(2.0);
    SESSION_DESCRIPTORS = "descriptors per idle CLI session", "", AtMost(4.0);
    CLOSED_MEMORY = "memory kept after all are closed (PSS)", "MB", AtMost(1.0);
    SWITCHES = "context switches, all sessions idle", "1/s", AtMost(0.1);
    CREATE_RATE = "sessions created", "1/s", Goal::None;
    CREATE_CPU = "CPU per session created and used once", "ms", Goal::None;
    CLOSE_RATE = "sessions closed", "1/s", Goal::None;
    MANY_MEMORY = "memory per unused session, many (PSS)", "KB", AtMost(22.5);
    MANY_TOTAL = "memory with many idle sessions (PSS)", "MB", Goal::None;
    MANY_SHUTDOWN = "shutdown with many idle sessions", "s", AtMost(2.0);
    ECHO_CPU = "echo: CPU per message", "us", AtMost(60.0);
    ECHO_TURN_CPU = "echo: CPU per message, turn's end awaited", "us", AtMost(60.0);
    ECHO_TURN_TIME = "echo: time of a turn", "ms", Goal::None;
    ECHO_SYSCALLS = "echo: system calls per message", "", Goal::None;
    BUSY_CPU = "echo in many sessions at once: CPU per message", "us", AtMost(60.0);
    BUSY_RATE = "echo in many sessions at once: messages", "1/s", Goal::None;
    CLI_CPU = "forwarding, CLI: CPU per GB", "s", AtMost(1.3);
    CLI_RATE = "forwarding, CLI: throughput", "MB/s", AtLeast(450.0);
    CLI_WIRE = "forwarding, CLI: wire bytes per byte", "", AtMost(1.03);
    CLI_HARNESS = "forwarding, CLI: CPU of the hub per GB", "s", Goal::None;
    JOB_CPU = "forwarding, job: CPU per GB", "s", AtMost(1.3);
    JOB_RATE = "forwarding, job: throughput", "MB/s", AtLeast(450.0);
    JOB_WIRE = "forwarding, job: wire bytes per byte", "", AtMost(1.03);
    JOB_HARNESS = "forwarding, job: CPU of the hub per GB", "s", Goal::None;
    CONTROL_CPU = "forwarding control bytes: CPU per GB", "s", AtMost(6.0);
    CONTROL_RATE = "forwarding control bytes: throughput", "MB/s", Goal::None;
    CONTROL_WIRE = "forwarding control bytes: wire bytes per byte", "", Goal::None;
    CONTROL_HARNESS = "forwarding control bytes: CPU of the hub per GB", "s", Goal::None;
    BESIDE_TIME = "echo beside a flood: time to the answer, median", "ms", Goal::None;
    BESIDE_WORST = "echo beside a flood: time to the answer, worst", "ms", Goal::None;
    RECONNECT_FIRST = "fleet: first back after a hub's restart", "s", Goal::None;
    RECONNECT_LAST = "fleet: last back after a hub's restart", "s", Goal::None;
    FLOOR_CPU = "floor: bare copy from a pipe to a socket: CPU per GB", "s", Goal::None;
    FLOOR_RATE = "floor: bare copy: throughput", "MB/s", Goal::None;
    BINARY = "size of the binary, stripped", "MB", Goal::None;
}
