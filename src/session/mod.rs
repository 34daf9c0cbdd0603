//! Sessions: who exists, what each is doing, and what it says.

pub mod gather;
pub mod output;
pub mod stream;
