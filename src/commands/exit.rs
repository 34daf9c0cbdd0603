//! Exit codes, after `sysexits.h` where it has one.

/// All is well.
pub const OK: u8 = 0;
/// The command was used wrongly.
pub const USAGE: u8 = 64;
/// What it needs is not there: no running gateway, no connection, or another holds the lock.
pub const UNAVAILABLE: u8 = 69;
/// Something inside failed.
pub const INTERNAL: u8 = 70;
/// The configuration cannot be used.
pub const CONFIG: u8 = 78;
/// A health probe's "no": not connected, or refused.
pub const NO: u8 = 1;
/// Ctrl-C, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// What each code means, for the man page.
pub const MEANINGS: [(u8, &str); 7] = [
    (OK, "All is well; of `status`: connected."),
    (NO, "A probe's no: `status` of a runtime that is not connected, a refused `control`."),
    (USAGE, "Wrong usage, everywhere."),
    (
        UNAVAILABLE,
        "What it needs is not there: no running runtime, no hub, or another process holds the lock.",
    ),
    (INTERNAL, "The system refused something, or a defect."),
    (CONFIG, "The configuration cannot be used."),
    (
        INTERRUPTED,
        "Interrupted by Ctrl-C. `try` ends with the exit code of the turn, whatever that is.",
    ),
];
