//! Sessions: who exists, what each is doing, and what it says.

pub mod output;
