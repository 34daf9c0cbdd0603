//! The store on Unix: every step is taken by descriptor, and follows no link.

pub mod beneath;
pub mod directory;
pub mod remove;
