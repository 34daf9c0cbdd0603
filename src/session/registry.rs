//! Which sessions exist, which ended ones are remembered, and who makes room
//! when a cap is reached. Pure bookkeeping, owned by the dispatcher.
//!
//! Hubs never say that a user closed a session, so a runtime at its cap would
//! refuse everybody until sessions time out. Instead the one that has been
//! quiet longest gives way; its next message makes it again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

/// Ended sessions that can be made again.
pub const MAX_REMEMBERED: usize = 4096;

/// What a session's worker lets others see.
#[derive(Debug)]
pub struct Facts {
    base: Instant,
    active_ms: AtomicU64,
    /// A turn is open, or messages wait. Written by [`Facts::show_busy`].
    pub busy: AtomicBool,
    /// Messages on their way to the worker.
    coming: AtomicUsize,
    /// Whom to tell when that is over.
    idle: OnceLock<Sender<()>>,
    /// The last turn ended only by `idle_timeout`, so a command may still run.
    pub uncertain: AtomicBool,
    /// Permission requests that wait for an answer.
    pub permissions: AtomicUsize,
    /// A stop is on its way; a second one would say nothing new.
    pub stopping: AtomicBool,
    /// A second `session.create` is on its way to be answered.
    pub reattaching: AtomicBool,
    /// Turns so far.
    pub turns: AtomicU64,
    /// Messages that were not taken.
    pub refused: AtomicU64,
    /// When the open turn began, as `active_ms`, plus one; 0 without one.
    turn_ms: AtomicU64,
}

impl Facts {
    /// Facts of a session that is active now.
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            active_ms: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            coming: AtomicUsize::new(0),
            idle: OnceLock::new(),
            uncertain: AtomicBool::new(false),
            permissions: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            reattaching: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            turn_ms: AtomicU64::new(0),
        }
    }

    /// A message is given to the worker.
    pub fn comes(&self) {
        self.coming.fetch_add(1, Ordering::Relaxed);
    }

    /// The worker has it.
    pub fn came(&self) {
        self.coming.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a turn is open, or messages wait or are on their way.
    pub fn is_busy(&self) -> bool {
        self.coming.load(Ordering::Relaxed) > 0 || self.busy.load(Ordering::Relaxed)
    }

    /// Shows whether a turn is open or messages wait.
    pub fn show_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        // Either this sees whom to tell, or that one sees `busy` as it is now.
        fence(Ordering::SeqCst);
        if let Some(idle) = self.idle.get()
            && !busy
        {
            // It is full when somebody was told already.
            let _ = idle.try_send(());
        }
    }

    /// From now on `idle` is told whenever nothing is open any more. What is so
    /// already is for the caller to look at, after this.
    pub fn tell_when_idle(&self, idle: &Sender<()>) {
        let _ = self.idle.set(idle.clone());
        fence(Ordering::SeqCst);
    }

    /// When the session was started.
    pub fn started(&self) -> Instant {
        self.base
    }

    /// A turn begins.
    pub fn begin_turn(&self, now: Instant) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.turn_ms.store(self.ms(now).saturating_add(1), Ordering::Relaxed);
    }

    /// The open turn is over.
    pub fn end_turn(&self) {
        self.turn_ms.store(0, Ordering::Relaxed);
    }

    /// When the open turn began; `None` without one.
    pub fn turn_since(&self) -> Option<Instant> {
        let ms = self.turn_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_millis(ms))
    }

    fn ms(&self, now: Instant) -> u64 {
        let ms = now.saturating_duration_since(self.base).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// Notes activity at `now`.
    pub fn touch(&self, now: Instant) {
        self.active_ms.fetch_max(self.ms(now), Ordering::Relaxed);
    }

    /// The latest activity.
    pub fn last_active(&self) -> Instant {
        self.base + Duration::from_millis(self.active_ms.load(Ordering::Relaxed))
    }
}

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
    /// The way to its worker.
    pub handle: H,
}

/// Sessions by id.
#[derive(Debug)]
pub struct Registry<H> {
    live: HashMap<Arc<str>, Live<H>>,
    remembered: HashMap<Arc<str>, Remembered>,
    order: VecDeque<Arc<str>>,
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
        Self {
            live: HashMap::new(),
            remembered: HashMap::new(),
            order: VecDeque::new(),
            next_number: 1,
        }
    }
}

impl<H> Registry<H> {
    /// The live session of that id.
    pub fn get(&self, session_id: &str) -> Option<&Live<H>> {
        self.live.get(session_id)
    }

    /// The live session of that id, and the id as it is kept.
    pub fn get_key_value(&self, session_id: &str) -> Option<(&Arc<str>, &Live<H>)> {
        self.live.get_key_value(session_id)
    }

    /// All live sessions.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Live<H>)> {
        self.live.iter()
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

    /// Enters a session that was started, and remembers it. Returns the session
    /// that was forgotten for it, if the memory was full.
    pub fn insert(&mut self, session_id: Arc<str>, live: Live<H>) -> Option<Arc<str>> {
        let forgotten = self.remember(Arc::clone(&session_id), live.identity.clone());
        self.live.insert(session_id, live);
        forgotten
    }

    /// Takes a session out that is about to end or has ended by itself; it is
    /// still remembered. With a `number`, only that very one: the id may have a
    /// newer holder.
    pub fn remove(&mut self, session_id: &str, number: Option<u64>) -> Option<Live<H>> {
        let live = self.live.get(session_id)?;
        if number.is_some_and(|number| number != live.number) {
            return None;
        }
        let ended = self.live.remove(session_id);
        // What grew for a crowd is given back when the crowd has gone.
        if self.live.len() * 4 < self.live.capacity() {
            self.live.shrink_to(self.live.len() * 2);
        }
        ended
    }

    /// Remembers what is needed to make the session again. Returns the session
    /// that was forgotten for it, if the memory was full.
    pub fn remember(&mut self, session_id: Arc<str>, identity: Remembered) -> Option<Arc<str>> {
        if self.remembered.insert(Arc::clone(&session_id), identity).is_some() {
            // Used again: forgotten after all that were not.
            self.order.retain(|id| *id != session_id);
        }
        self.order.push_back(session_id);
        if self.order.len() <= MAX_REMEMBERED {
            return None;
        }
        let gone = self.order.iter().position(|id| !self.live.contains_key(id))?;
        let oldest = self.order.remove(gone)?;
        self.remembered.remove(&oldest);
        Some(oldest)
    }

    /// What is known about a session that may have ended.
    pub fn recall(&self, session_id: &str) -> Option<&Remembered> {
        self.remembered.get(session_id)
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
            self.registry.insert(id.into(), Live { number, identity, facts, handle: () });
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
    fn the_memory_that_was_not_used_for_longest_goes_first() {
        let mut scene = Scene::new();
        scene.session("alive", "ann", 0);
        for n in 0..MAX_REMEMBERED - 1 {
            scene.session(&format!("s{n}"), "ann", 0);
            scene.registry.remove(&format!("s{n}"), None);
        }
        scene.session("s0", "ann", 0);
        scene.registry.remove("s0", None);
        scene.session("new", "ann", 0);
        assert!(scene.registry.recall("s1").is_none());
        assert!(["alive", "s0", "s2"].iter().all(|id| scene.registry.recall(id).is_some()));
    }
}
