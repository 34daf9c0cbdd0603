//! Identifiers that are unique for as long as anybody remembers them.
//!
//! A random part per process, a counter per identifier. Uniqueness is all they
//! promise: they are not secrets.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// This process's random part: 16 hexadecimal digits, the same for its whole life.
pub fn process_nonce() -> &'static str {
    static NONCE: OnceLock<String> = OnceLock::new();
    NONCE.get_or_init(|| format!("{:016x}", fastrand::u64(..)))
}

/// A new identifier, never given out before: `<nonce>-<counter>`, visible ASCII only.
pub fn next_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    format!("{}-{:x}", process_nonce(), COUNTER.fetch_add(1, Ordering::Relaxed))
}
