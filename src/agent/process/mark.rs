//! The mark every process of a session carries in its environment.
//!
//! Whoever inherits the environment inherits the mark, across `fork`, `exec`,
//! `setsid` and the death of every ancestor. It is a means of recognition, not
//! a secret: a process may drop it, and one that forges it only offers itself.
//! So a strange mark says nothing, unless it is one that is in use here.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::ids::process_nonce;
use crate::resident;

/// The numbers of the marks that somebody holds.
static IN_USE: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

/// `<nonce of the runtime>.<number of the session>`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark(Arc<Text>);

/// In use as long as it is there.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Text {
    number: u64,
    text: Box<str>,
}

impl Mark {
    /// The variable it travels in.
    pub const VARIABLE: &'static str = "AMURG_MARK";

    /// A mark no other session of this runtime has.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let text = format!("{}.{number}", process_nonce()).into();
        in_use().insert(number);
        Self(Arc::new(Text { number, text }))
    }

    /// The text of the variable.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut in_use = in_use();
        in_use.remove(&self.number);
        resident::shrink_set(&mut in_use);
    }
}

fn in_use() -> MutexGuard<'static, HashSet<u64>> {
    // Every change is one step: a panic leaves nothing half done.
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `mark` was given out by the runtime that had `nonce`.
#[cfg(unix)]
pub(crate) fn is_of(mark: &[u8], nonce: &str) -> bool {
    number(mark, nonce).is_some()
}

/// What stands behind the nonce and its dot.
#[cfg(unix)]
fn number<'a>(mark: &'a [u8], nonce: &str) -> Option<&'a [u8]> {
    mark.strip_prefix(nonce.as_bytes())?.strip_prefix(b".")
}

/// Whether somebody in this process holds `mark`.
#[cfg(unix)]
pub(super) fn is_in_use(mark: &[u8]) -> bool {
    let number = number(mark, process_nonce()).and_then(|number| str::from_utf8(number).ok());
    number.and_then(|number| number.parse().ok()).is_some_and(|number| in_use().contains(&number))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_in_use_until_its_last_holder_lets_go() {
        let mark = Mark::next();
        let text = mark.as_str().as_bytes().to_vec();
        let other = mark.clone();
        drop(mark);
        assert!(is_in_use(&text));
        drop(other);
        assert!(!is_in_use(&text));
        assert!(!is_in_use(b"x") && !is_in_use(b"\xff"));
    }

    #[test]
    fn a_mark_tells_its_runtime_and_no_other() {
        let mark = Mark::next();
        assert!(is_of(mark.as_str().as_bytes(), process_nonce()));
        assert!(!is_of(b"abcd.1", "abc"));
        assert!(!is_of(b"abc.1", ""));
        assert_ne!(mark, Mark::next());
    }
}
