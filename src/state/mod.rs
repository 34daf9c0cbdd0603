//! What outlives the process, in one private directory for each `runtime.id`.

pub mod dir;
mod disk;
mod lock;

#[cfg(test)]
pub(crate) mod testing;

pub use self::lock::Held;
