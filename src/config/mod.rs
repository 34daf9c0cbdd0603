//! Configuration: read, expanded, checked whole, decided once.

pub mod types;

pub use types::*;
