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
