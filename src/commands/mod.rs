//! One file per subcommand.
//!
//! A command takes its parsed arguments and returns its exit code; what it does is
//! done by the rooms beside this one.

pub mod arguments;
pub mod check;
pub mod exit;
