//! The cage of a confined child, from inside: every way out that is known is
//! tried by a real process and refused, and what a program needs works.

#[path = "../support/children.rs"]
mod children;
mod enforcement;
mod layers;
mod limits;
mod room;
mod ways_out;
mod works;
