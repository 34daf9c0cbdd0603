//! Stories of a user, from outside: the real binary, a real socket, real
//! processes. Each module is a subject, each test the claim it proves.

#[path = "../support/mod.rs"]
mod support;

mod adapters;
mod delivery;
mod ending;
mod files;
mod limits;
mod link;
mod persistent;
mod pushes;
mod reload;
mod restart;
mod sessions;
mod shells;
mod turns;
mod verbatim;
