//! Which messages a session has taken, so that none is executed twice.
//!
//! A hub sends again what it cannot know to have arrived. Of each message eight
//! bytes are kept, a hash of its id with a key of this process: that two messages of
//! a session are taken for one is less likely than a bit of memory that changes by
//! itself, and nobody outside can bring it about. What became of a message is not
//! known here.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;

/// Messages remembered of a live session.
const LIVE: usize = 1024;
/// So many of them outlive the session, for when it is made again.
const ENDED: usize = 64;

static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The last messages of one session, oldest first.
#[derive(Debug, Default)]
pub struct History(VecDeque<u64>);

impl History {
    /// Of an earlier run's messages, oldest first.
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a str>) -> Self {
        let mut history = Self::default();
        messages.into_iter().for_each(|message_id| history.note(message_id));
        history
    }

    /// Whether that message is among them.
    pub fn knows(&self, message_id: &str) -> bool {
        self.0.contains(&KEY.hash_one(message_id))
    }

    /// One more.
    pub fn note(&mut self, message_id: &str) {
        let message = KEY.hash_one(message_id);
        if self.0.contains(&message) {
            return;
        }
        if self.0.len() == LIVE {
            self.0.pop_front();
        }
        self.0.push_back(message);
    }

    /// Puts the newest behind what is in `packed`.
    pub fn pack(&self, packed: &mut Vec<u8>) {
        let newest = self.0.range(self.0.len().saturating_sub(ENDED)..);
        packed.extend(newest.flat_map(|message| message.to_ne_bytes()));
    }

    /// What was packed.
    pub fn unpack(packed: &[u8]) -> Self {
        let (messages, _) = packed.as_chunks();
        Self(messages.iter().copied().map(u64::from_ne_bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<String> {
        (0..count).map(|number| number.to_string()).collect()
    }

    #[test]
    fn a_message_is_known_while_it_is_among_the_last() {
        let numbers = numbers(LIVE - 1);
        let mut history = History::of(["a"].into_iter().chain(numbers.iter().map(String::as_str)));
        history.note("a");
        assert!(history.knows("a") && history.knows("0"));
        history.note("one more");
        assert!(!history.knows("a"), "the oldest was forgotten");
        assert!(history.knows("0") && history.knows("one more"));
        assert_eq!(history.0.len(), LIVE);
    }

    #[test]
    fn the_newest_are_packed() {
        let numbers = numbers(ENDED + 1);
        let mut packed = Vec::new();
        History::of(numbers.iter().map(String::as_str)).pack(&mut packed);
        let history = History::unpack(&packed);
        assert!(!history.knows("0") && history.knows("1"));
        assert!(history.knows(&ENDED.to_string()));
    }
}
