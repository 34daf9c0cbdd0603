//! Which pongs of one connection tell anything: those that answer a ping newer
//! than every ping answered before.
//!
//! A hub may send pongs without end, and whoever reads them hands them to another
//! thread that may sleep. What is handed on is bounded by the pings that were sent.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of pings, as they stand in their payloads. They begin at 1.
#[derive(Debug, Default)]
pub struct Pongs {
    /// The newest that was sent.
    asked: AtomicU64,
    /// The newest that was answered.
    answered: AtomicU64,
}

impl Pongs {
    /// A ping with this payload is about to be sent.
    pub fn asked(&self, payload: [u8; 8]) {
        self.asked.store(u64::from_be_bytes(payload), Ordering::SeqCst);
    }

    /// Whether a pong with this payload is the first answer to its ping and to
    /// every later one.
    pub fn is_answer(&self, payload: &[u8]) -> bool {
        let Ok(number) = payload.try_into().map(u64::from_be_bytes) else { return false };
        number <= self.asked.load(Ordering::SeqCst)
            && number > self.answered.fetch_max(number, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ping_is_answered_once_and_the_newest_answers_for_all() {
        let pongs = Pongs::default();
        let is_answer = |number: u64| pongs.is_answer(&number.to_be_bytes());
        assert!(!is_answer(0) && !is_answer(1) && !pongs.is_answer(b""));
        pongs.asked(3u64.to_be_bytes());
        assert!(!is_answer(4) && !pongs.is_answer(b"12345678"));
        assert_eq!([1, 1, 3, 2, 3].map(is_answer), [true, false, true, false, false]);
        pongs.asked(4u64.to_be_bytes());
        assert!(is_answer(4));
    }
}
