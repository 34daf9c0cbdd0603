//! One file per subcommand. A command reads its arguments, calls the library
//! and says how it went; it decides nothing about hubs, sessions or agents.

pub mod exit;
pub mod trial;
