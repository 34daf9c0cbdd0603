//! What is written into a child.

use crate::session::admission::Permit;

/// Bytes for a child, with their place among what waits.
#[derive(Debug)]
pub struct Piece {
    /// What is written.
    pub bytes: Vec<u8>,
    /// Given back when all of it is written or given up.
    pub permit: Permit,
}

impl Piece {
    /// Its bytes, if no permit bounds them.
    pub(super) fn uncounted(&self) -> usize {
        if self.permit.is_counted() { 0 } else { self.bytes.len() }
    }
}
