//! Which sessions exist, which ended ones are remembered, and who makes room
//! when a cap is reached. Pure bookkeeping, owned by the dispatcher.
//!
//! Hubs never say that a user closed a session, so a runtime at its cap would
//! refuse everybody until sessions time out. Instead the one that has been
//! quiet longest gives way; its next message makes it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::facts::Facts;
use super::seen::History;
use crate::packed::Packed;
use crate::resident;

/// Ended sessions that can be made again.
pub const MAX_REMEMBERED: usize = 4096;

/// What is needed to make a session again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its endpoint.
    pub endpoint_id: Arc<str>,
    /// Whose it was.
    pub user_id: Arc<str>,
}

/// A session that exists, with whatever its owner needs to reach it.
#[derive(Debug)]
pub struct Live<H> {
    /// Unique in this process: a late word of an ended namesake is told by it.
    pub number: u64,
    /// Its endpoint and user.
    pub identity: Remembered,
    /// What its worker shows.
    pub facts: Arc<Facts>,
    /// The messages it has taken, in earlier lives as well.
    pub seen: History,
    /// The way to its worker.
    pub handle: H,
}

/// Sessions by id.
#[derive(Debug)]
pub struct Registry<H> {
    // Few at most times, and room for many in the table: so it holds pointers.
    live: HashMap<Arc<str>, Box<Live<H>>>,
    /// Those that have ended; the last to do so is the last here.
    ended: Packed,
    next_number: u64,
}

/// Which cap refuses a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// `runtime.max_sessions`
    Runtime(usize),
    /// The endpoint's `limits.max_sessions`
    Endpoint(usize),
}

/// Whether a new session may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// At once.
    Free,
    /// After this one was told to close.
    Reclaim(Arc<str>),
    /// No: the cap is reached and everybody is in use.
    Full(Cap),
}

/// The caps a new session must fit under.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// `runtime.max_sessions`
    pub runtime: usize,
    /// The endpoint's `limits.max_sessions`
    pub endpoint: Option<usize>,
    /// How quiet a session must have been to make room; `None`: never.
    pub reclaim_after: Option<Duration>,
}

impl<H> Default for Registry<H> {
    fn default() -> Self {
        Self { live: HashMap::new(), ended: Packed::default(), next_number: 1 }
    }
}

impl<H> Registry<H> {
    /// The live session of that id.
    pub fn get(&self, session_id: &str) -> Option<&Live<H>> {
        self.live.get(session_id).map(|live| &**live)
    }

    /// The same, for what it takes to be noted.
    pub fn get_mut(&mut self, session_id: &str) -> Option<&mut Live<H>> {
        self.live.get_mut(session_id).map(|live| &mut **live)
    }

    /// All live sessions.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Live<H>)> {
        self.live.iter().map(|(id, live)| (id, &**live))
    }

    /// How many live sessions there are.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether no session is live.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// A number no session of this process had.
    pub fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Enters a session that was started. What it took in earlier lives it has taken.
    pub fn insert(&mut self, session_id: Arc<str>, mut live: Live<H>) {
        if let Some(ended) = self.ended.get(&session_id).and_then(Ended::unpack) {
            live.seen = History::unpack(ended.seen);
        }
        self.ended.remove(&session_id);
        self.live.insert(session_id, Box::new(live));
    }

    /// Takes a session out that is about to end or has ended by itself, and
    /// remembers it. With a `number`, only that very one: the id may have a newer holder.
    pub fn remove(&mut self, session_id: &str, number: Option<u64>) -> Option<Box<Live<H>>> {
        let live = self.live.get(session_id)?;
        if number.is_some_and(|number| number != live.number) {
            return None;
        }
        let ended = self.live.remove(session_id)?;
        resident::shrink(&mut self.live);
        self.remember(session_id, &ended.identity, &ended.seen);
        Some(ended)
    }

    /// Remembers a session that has ended. If there are too many of these, the one
    /// that ended first is forgotten.
    pub fn remember(&mut self, session_id: &str, identity: &Remembered, seen: &History) {
        self.ended.push(session_id, &Ended::pack(identity, seen));
        if self.ended.len() > MAX_REMEMBERED {
            let oldest = self.ended.iter().next().map(|(id, _)| id.to_owned());
            self.ended.remove(&oldest.unwrap_or_default());
        }
    }

    /// What is known about a session that may have ended.
    pub fn recall(&self, session_id: &str) -> Option<Remembered> {
        if let Some(live) = self.live.get(session_id) {
            return Some(live.identity.clone());
        }
        let Ended { endpoint_id, user_id, .. } = Ended::unpack(self.ended.get(session_id)?)?;
        Some(Remembered { endpoint_id: endpoint_id.into(), user_id: user_id.into() })
    }

    /// Whether the session has taken that message, in this life or an earlier one.
    pub fn knows(&self, session_id: &str, message_id: &str) -> bool {
        if let Some(live) = self.live.get(session_id) {
            return live.seen.knows(message_id);
        }
        let ended = self.ended.get(session_id).and_then(Ended::unpack);
        ended.is_some_and(|ended| History::unpack(ended.seen).knows(message_id))
    }

    /// Whether a session of `endpoint` for `user` may start at `now`;
    /// `active` tells when a session last did or said something.
    pub fn room_for(
        &self,
        endpoint: &str,
        user: &str,
        caps: Caps,
        now: Instant,
        active: impl Fn(&Live<H>) -> Instant,
    ) -> Room {
        let of_endpoint = |live: &Live<H>| &*live.identity.endpoint_id == endpoint;
        let cap = match caps.endpoint {
            Some(max) if self.live.values().filter(|live| of_endpoint(live)).count() >= max => {
                Cap::Endpoint(max)
            }
            _ if self.live.len() >= caps.runtime => Cap::Runtime(caps.runtime),
            _ => return Room::Free,
        };
        let Some(reclaim_after) = caps.reclaim_after else { return Room::Full(cap) };
        self.live
            .iter()
            .filter(|(_, live)| matches!(cap, Cap::Runtime(_)) || of_endpoint(live))
            .filter(|(_, live)| {
                !live.facts.is_busy()
                    && !live.facts.uncertain.load(Ordering::Relaxed)
                    && now.saturating_duration_since(active(live)) >= reclaim_after
            })
            // The same user's first, then whoever has been quiet longest.
            .min_by_key(|(_, live)| (&*live.identity.user_id != user, active(live)))
            .map_or(Room::Full(cap), |(id, _)| Room::Reclaim(Arc::clone(id)))
    }
}

/// What is kept of a session that has ended, as it is packed: length and text of
/// the endpoint's id, the same of the user's, and what the session has taken.
struct Ended<'a> {
    endpoint_id: &'a str,
    user_id: &'a str,
    seen: &'a [u8],
}

impl<'a> Ended<'a> {
    fn pack(identity: &Remembered, seen: &History) -> Vec<u8> {
        let mut packed = Vec::new();
        for text in [&identity.endpoint_id, &identity.user_id] {
            packed.extend_from_slice(&text.len().to_ne_bytes());
            packed.extend_from_slice(text.as_bytes());
        }
        seen.pack(&mut packed);
        packed
    }

    fn unpack(packed: &'a [u8]) -> Option<Self> {
        let (endpoint_id, rest) = Self::text(packed)?;
        let (user_id, seen) = Self::text(rest)?;
        Some(Self { endpoint_id, user_id, seen })
    }

    fn text(packed: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let (length, rest) = packed.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::from_ne_bytes(*length))?;
        Some((str::from_utf8(text).ok()?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Scene {
        registry: Registry<()>,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { registry: Registry::default(), now: Instant::now() + 100 * MINUTE }
        }

        fn session(&mut self, id: &str, user: &str, quiet_minutes: u32) -> Arc<Facts> {
            let facts = Arc::new(Facts::new(self.now.checked_sub(quiet_minutes * MINUTE).unwrap()));
            let identity = Remembered { endpoint_id: "sh".into(), user_id: user.into() };
            let number = self.registry.take_number();
            let shown = Arc::clone(&facts);
            let seen = History::default();
            self.registry.insert(id.into(), Live { number, identity, facts, seen, handle: () });
            shown
        }

        fn room(&self, max: usize) -> Room {
            let caps = Caps { runtime: max, endpoint: None, reclaim_after: Some(5 * MINUTE) };
            self.registry.room_for("sh", "ann", caps, self.now, |live| live.facts.last_active())
        }
    }

    #[test]
    fn the_longest_quiet_session_makes_room() {
        let mut scene = Scene::new();
        scene.session("a", "bob", 6);
        scene.session("b", "bob", 9);
        assert_eq!(scene.room(2), Room::Reclaim("b".into()));
        assert_eq!(scene.room(3), Room::Free);
    }

    #[test]
    fn the_same_user_makes_room_first() {
        let mut scene = Scene::new();
        scene.session("a", "ann", 6);
        scene.session("b", "bob", 9);
        assert_eq!(scene.room(2), Room::Reclaim("a".into()));
    }

    #[test]
    fn nobody_in_use_makes_room() {
        let mut scene = Scene::new();
        scene.session("a", "ann", 9).busy.store(true, Ordering::Relaxed);
        scene.session("b", "ann", 9).uncertain.store(true, Ordering::Relaxed);
        scene.session("c", "ann", 4);
        assert_eq!(scene.room(3), Room::Full(Cap::Runtime(3)));
    }

    #[test]
    fn an_endpoint_has_a_cap_of_its_own() {
        let mut scene = Scene::new();
        scene.session("a", "ann", 1);
        let caps = Caps { runtime: 10, endpoint: Some(1), reclaim_after: None };
        let ask = |id| scene.registry.room_for(id, "ann", caps, scene.now, |_| scene.now);
        assert_eq!(ask("sh"), Room::Full(Cap::Endpoint(1)));
        assert_eq!(ask("other"), Room::Free);
    }

    #[test]
    fn a_late_word_of_an_ended_namesake_changes_nothing() {
        let mut scene = Scene::new();
        scene.session("a", "ann", 0);
        let first = scene.registry.get("a").unwrap().number;
        scene.session("a", "ann", 0);
        assert!(scene.registry.remove("a", Some(first)).is_none());
        assert!(scene.registry.get("a").is_some());
    }

    #[test]
    fn the_session_that_ended_first_is_forgotten_first() {
        let mut scene = Scene::new();
        scene.session("alive", "ann", 0);
        let mut short = |id: &str| {
            scene.session(id, "ann", 0);
            scene.registry.remove(id, None);
        };
        (0..MAX_REMEMBERED).for_each(|n| short(&format!("s{n}")));
        short("s0");
        short("new");
        assert!(scene.registry.recall("s1").is_none());
        assert!(["alive", "s0", "s2"].iter().all(|id| scene.registry.recall(id).is_some()));
    }

    #[test]
    fn what_a_session_was_and_took_is_known_in_its_next_life() {
        let mut scene = Scene::new();
        scene.session("a", "ünal", 0);
        scene.registry.get_mut("a").unwrap().seen.note("m1");
        scene.registry.remove("a", None);
        let known = scene.registry.recall("a").unwrap();
        assert_eq!((&*known.endpoint_id, &*known.user_id), ("sh", "ünal"));
        assert!(scene.registry.knows("a", "m1") && !scene.registry.knows("a", "m2"));
        scene.session("a", "ünal", 0);
        scene.registry.get_mut("a").unwrap().seen.note("m2");
        assert!(["m1", "m2"].iter().all(|message| scene.registry.knows("a", message)));
        assert!(!scene.registry.knows("b", "m1"));
    }
}
