//! Which messages each session has taken, so that none is executed twice.
//!
//! A hub sends again what it cannot know to have arrived. The dispatcher, which every
//! message passes, owns this: what is known of a session holds from one of its lives to
//! the next. It does not know what became of a message.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Message ids remembered of a live session.
const LIVE: usize = 1024;
/// So many of them outlive the session, for when it is made again.
const ENDED: usize = 64;

/// The last message ids of every session, live and remembered.
#[derive(Debug, Default)]
pub struct Seen {
    live: HashMap<Arc<str>, History>,
    /// Oldest first; thousands of ended sessions are remembered, so without an index.
    ended: HashMap<Arc<str>, Box<[Arc<str>]>>,
}

impl Seen {
    /// What sessions of earlier runs have taken, oldest first.
    pub fn of_earlier_runs(seen: HashMap<Arc<str>, Vec<Arc<str>>>) -> Self {
        let ended = seen.into_iter().map(|(session, ids)| (session, ids.into()));
        Self { live: HashMap::new(), ended: ended.collect() }
    }

    /// Whether the session has taken that message already.
    pub fn knows(&self, session_id: &str, message_id: &str) -> bool {
        match self.live.get(session_id) {
            Some(history) => history.ids.contains(message_id),
            None => self
                .ended
                .get(session_id)
                .is_some_and(|ids| ids.iter().any(|id| **id == *message_id)),
        }
    }

    /// Notes a message that the session takes.
    pub fn note(&mut self, session_id: &Arc<str>, message_id: &Arc<str>) {
        if let Some(history) = self.live.get_mut(session_id) {
            return history.push(Arc::clone(message_id));
        }
        let mut history = History::default();
        for id in self.ended.remove(session_id).into_iter().flatten() {
            history.push(id);
        }
        history.push(Arc::clone(message_id));
        self.live.insert(Arc::clone(session_id), history);
    }

    /// The session is not live any more: only the newest ids are kept.
    pub fn session_ended(&mut self, session_id: &Arc<str>) {
        if let Some(history) = self.live.remove(session_id) {
            let skipped = history.order.len().saturating_sub(ENDED);
            let newest = history.order.into_iter().skip(skipped).collect();
            self.ended.insert(Arc::clone(session_id), newest);
        }
    }

    /// The session is not remembered any more.
    pub fn forget(&mut self, session_id: &str) {
        self.live.remove(session_id);
        self.ended.remove(session_id);
    }
}

#[derive(Debug, Default)]
struct History {
    ids: HashSet<Arc<str>>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
}

impl History {
    fn push(&mut self, id: Arc<str>) {
        if !self.ids.insert(Arc::clone(&id)) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > LIVE
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seen: &mut Seen, session: &Arc<str>, count: usize) {
        for n in 0..count {
            seen.note(session, &n.to_string().into());
        }
    }

    #[test]
    fn an_id_is_known_while_it_is_among_the_last() {
        let (mut seen, session) = (Seen::default(), "s".into());
        seen.note(&session, &"a".into());
        numbers(&mut seen, &session, LIVE - 1);
        assert!(seen.knows("s", "a"));
        assert!(!seen.knows("another", "a"));
        seen.note(&session, &"one more".into());
        assert!(!seen.knows("s", "a"), "the oldest was forgotten");
        assert_eq!(seen.live["s"].ids.len(), LIVE);
    }

    #[test]
    fn the_newest_outlive_the_session_and_are_there_in_its_next_life() {
        let (mut seen, session) = (Seen::default(), "s".into());
        numbers(&mut seen, &session, ENDED + 1);
        seen.session_ended(&session);
        assert!(!seen.knows("s", "0"));
        assert!(seen.knows("s", "1"));
        seen.note(&session, &"again".into());
        assert!(seen.knows("s", "1") && seen.knows("s", "again"));
        seen.forget("s");
        assert!(!seen.knows("s", "again"));
    }
}
