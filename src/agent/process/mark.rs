//! The mark every process of a session carries in its environment.
//!
//! Whoever inherits the environment inherits the mark, across `fork`, `exec`,
//! `setsid` and the death of every ancestor. It is a means of recognition, not
//! a secret: a process may drop it, and one that forges it only offers itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::process_nonce;

/// `<nonce of the runtime>.<number of the session>`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark(Arc<str>);

impl Mark {
    /// The variable it travels in.
    pub const VARIABLE: &'static str = "AMURG_MARK";

    /// A mark no other session of this runtime has.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}.{number}", process_nonce()).into())
    }

    /// The text of the variable.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `mark` was given out by the runtime that had `nonce`.
#[cfg(unix)]
pub(crate) fn is_of(mark: &[u8], nonce: &str) -> bool {
    mark.strip_prefix(nonce.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'.'))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_its_runtime_and_no_other() {
        let mark = Mark::next();
        assert!(is_of(mark.as_str().as_bytes(), process_nonce()));
        assert!(!is_of(b"abcd.1", "abc"));
        assert!(!is_of(b"abc.1", ""));
        assert_ne!(mark, Mark::next());
    }
}
