//! The rounds in which a set of processes is ended, without a clock and without
//! a process: both are given, so that every case can be tested with made-up ones.
//!
//! ```text
//! asking   TERM to everything found, and CONT, so that whoever is stopped hears it
//!   │  all known have ended: look again, TERM to what is new
//!   │  `kill_at`
//! killing  STOP to everything, look for more until there is none, KILL; look again, …
//!   │  two looks find nothing               │  KILL_WAIT after the first KILL
//! over     none left                      over   what hangs in the kernel is counted
//! ```
//!
//! Why STOP before KILL: a process that shed its marks is found only through its
//! parent, and a parent that is not stopped may start another between our look and
//! its death. What belongs to another user is counted, and not waited for.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::census::Look;
use super::procfs::Process;
use crate::agent::process::ended::{Ended, Progress};

/// How long after a KILL a process may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// When to look again where nothing can wake us: no descriptor to wait on, a
/// process that forks and exits faster than it can be taken hold of, or one in
/// the middle of an `exec`.
const RETRY: Duration = Duration::from_millis(20);

/// Looks in one step before the caller's turn.
const LOOKS: u32 = 8;

/// Looks before a KILL after which whole process groups are killed: a chain of
/// processes, each forking the next and exiting, only dies at once or not at all.
const PATIENCE: u32 = 2;

/// The processes to end, and the system calls on them.
pub(super) trait World {
    /// A process taken hold of.
    type Hold: Hold;
    /// Looks for living processes; `known` were found before.
    fn look(&mut self, known: &[Process]) -> Look;
    /// Takes hold; `None` when it is gone.
    fn hold(&mut self, process: &Process) -> Option<Self::Hold>;
    /// Kills everything that can be killed without being looked at.
    fn kill_unseen(&mut self);
    /// Kills a whole process group.
    fn kill_group(&mut self, group: Pid);
    /// Reaps it, if it is ours to reap.
    fn reap(&mut self, pid: Pid);
}

/// A process taken hold of.
pub(super) trait Hold {
    /// Signals it. `SRCH`: it has ended. `PERM`: it is another user's.
    fn signal(&self, signal: Signal) -> rustix::io::Result<()>;
    /// Whether nothing of it runs any more; it may still have to be reaped.
    fn has_ended(&self) -> bool;
    /// Becomes readable when it ends.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// The state between steps.
#[derive(Debug)]
pub(super) struct Rounds<W: World> {
    world: W,
    kill_at: Instant,
    /// Set with the first KILL.
    give_up: Option<Instant>,
    held: Vec<(Process, W::Hold)>,
    denied: Vec<Process>,
    /// Looks that found something since the first KILL was due.
    kill_looks: u32,
}

impl<W: World> Rounds<W> {
    /// Ends `world`'s processes, with KILL from `kill_at` on.
    pub fn new(world: W, kill_at: Instant) -> Self {
        Self { world, kill_at, give_up: None, held: Vec::new(), denied: Vec::new(), kill_looks: 0 }
    }

    /// Brings the first KILL forward.
    pub fn kill_by(&mut self, at: Instant) {
        self.kill_at = self.kill_at.min(at);
    }

    /// What is being ended.
    pub fn world_mut(&mut self) -> &mut W {
        &mut self.world
    }

    /// What to wait on, besides the moment in [`Progress::Waiting`].
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.held.iter().filter_map(|(_, hold)| hold.fd())
    }

    /// Does what can be done now. Never blocks.
    pub fn step(&mut self, now: Instant) -> Progress {
        self.forget_ended();
        if now >= self.kill_at && self.give_up.is_none() {
            self.give_up = Some(now + KILL_WAIT);
            self.signal_held(Signal::STOP);
            self.kill_round();
        }
        let mut quiet = 0;
        for _ in 0..LOOKS {
            self.forget_ended();
            if self.give_up.is_some_and(|at| now >= at) {
                return Progress::Over(self.count());
            }
            if !self.held.is_empty() {
                return Progress::Waiting(self.next_look(now));
            }
            let found = if self.give_up.is_some() { self.kill_round() } else { self.look() };
            quiet = if found { 0 } else { quiet + 1 };
            if quiet == 2 {
                return Progress::Over(self.count());
            }
        }
        Progress::Waiting(now + RETRY)
    }

    fn next_look(&self, now: Instant) -> Instant {
        let at = self.give_up.unwrap_or(self.kill_at);
        let blind = self.held.iter().any(|(_, hold)| hold.fd().is_none());
        if blind { at.min(now + RETRY) } else { at }
    }

    fn count(&self) -> Ended {
        let denied = self.denied.len();
        Ended { left: self.held.len() + denied, denied }
    }

    fn forget_ended(&mut self) {
        let world = &mut self.world;
        self.held.retain(|(process, hold)| {
            let ended = hold.has_ended();
            if ended {
                world.reap(process.pid);
            }
            !ended
        });
    }

    /// Looks for processes not held yet, takes hold of them and signals them.
    /// `false`: there are none for sure.
    fn look(&mut self) -> bool {
        let known: Vec<Process> =
            self.held.iter().map(|(process, _)| process).chain(&self.denied).copied().collect();
        let Look { living, unsure } = self.world.look(&known);
        self.denied.retain(|denied| living.iter().any(|process| process.is(denied)));
        let is_new = |process: &&Process| !known.iter().any(|known| known.is(process));
        let new: Vec<Process> = living.iter().filter(is_new).copied().collect();
        let killing = self.give_up.is_some();
        if killing && !new.is_empty() {
            self.kill_looks += 1;
        }
        for process in &new {
            if let Some(group) = process.group.filter(|_| self.kill_looks > PATIENCE) {
                self.world.kill_group(group);
            }
            if let Some(hold) = self.world.hold(process) {
                match send(&hold, killing) {
                    Err(Errno::PERM) => self.denied.push(*process),
                    _ => self.held.push((*process, hold)),
                }
            }
        }
        unsure || !new.is_empty()
    }

    /// Stops whatever is found until nothing new is, then kills all of it.
    /// `false`: there is nothing new for sure.
    fn kill_round(&mut self) -> bool {
        let mut found = false;
        for _ in 0..LOOKS {
            if !self.look() {
                break;
            }
            found = true;
        }
        self.world.kill_unseen();
        self.signal_held(Signal::KILL);
        found
    }

    fn signal_held(&self, signal: Signal) {
        for (_, hold) in &self.held {
            // One that has ended is forgotten in the next step.
            let _ = hold.signal(signal);
        }
    }
}

fn send(hold: &impl Hold, killing: bool) -> rustix::io::Result<()> {
    if killing {
        return hold.signal(Signal::STOP);
    }
    hold.signal(Signal::TERM)?;
    // Whoever is stopped, or just being stopped, must go on to hear it.
    hold.signal(Signal::CONT)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        DiesOnTerm,
        IgnoresTerm,
        /// Leaves an orphan behind when it dies.
        Forks,
        /// Not even KILL ends it.
        Hangs,
        OfAnotherUser,
        /// Gone before it can be held, with a successor in its group.
        Hops,
        /// Ignores TERM, and starts something nobody will find when another dies.
        Respawns,
    }

    #[derive(Default)]
    struct State {
        living: Vec<(Process, Kind)>,
        signals: Vec<(i32, Signal)>,
        groups_killed: Vec<i32>,
        reaped: Vec<i32>,
        unsure: bool,
        stopped: Vec<Pid>,
        lost: usize,
        next: i32,
    }

    #[derive(Clone, Default)]
    struct Fake(Rc<RefCell<State>>);

    impl Fake {
        fn add(&self, kind: Kind) -> i32 {
            self.add_in(kind, 'S', None)
        }

        fn add_in(&self, kind: Kind, letter: char, group: Option<Pid>) -> i32 {
            let mut state = self.0.borrow_mut();
            state.next += 1;
            let pid = Pid::from_raw(state.next).unwrap();
            let process = Process {
                pid,
                start: 1,
                state: letter,
                parent: None,
                group: group.or(Some(pid)),
                session: None,
                threads: 1,
            };
            state.living.push((process, kind));
            state.next
        }

        fn signals(&self) -> Vec<(i32, Signal)> {
            self.0.borrow().signals.clone()
        }
    }

    impl World for Fake {
        type Hold = FakeHold;

        fn look(&mut self, _known: &[Process]) -> Look {
            let state = self.0.borrow();
            let living = state.living.iter().map(|(process, _)| *process).collect();
            Look { living, unsure: state.unsure }
        }

        fn hold(&mut self, process: &Process) -> Option<FakeHold> {
            let at = {
                let state = self.0.borrow();
                let at = state.living.iter().position(|(living, _)| living.is(process))?;
                (state.living[at].1 == Kind::Hops).then_some(at)
            };
            if let Some(at) = at {
                self.0.borrow_mut().living.remove(at);
                self.add_in(Kind::Hops, 'R', process.group);
                return None;
            }
            Some(FakeHold { world: self.clone(), process: *process })
        }

        fn kill_unseen(&mut self) {}

        fn kill_group(&mut self, group: Pid) {
            let mut state = self.0.borrow_mut();
            state.living.retain(|(process, _)| process.group != Some(group));
            state.groups_killed.push(group.as_raw_nonzero().get());
        }

        fn reap(&mut self, pid: Pid) {
            self.0.borrow_mut().reaped.push(pid.as_raw_nonzero().get());
        }
    }

    struct FakeHold {
        world: Fake,
        process: Process,
    }

    impl FakeHold {
        fn place(&self) -> Option<usize> {
            let state = self.world.0.borrow();
            state.living.iter().position(|(living, _)| living.is(&self.process))
        }
    }

    impl Hold for FakeHold {
        fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
            let at = self.place().ok_or(Errno::SRCH)?;
            let kind = self.world.0.borrow().living[at].1;
            if kind == Kind::OfAnotherUser {
                return Err(Errno::PERM);
            }
            let mut state = self.world.0.borrow_mut();
            let pid = self.process.pid.as_raw_nonzero().get();
            state.signals.push((pid, signal));
            if signal == Signal::STOP {
                state.stopped.push(self.process.pid);
            }
            let ignores = matches!(kind, Kind::IgnoresTerm | Kind::Respawns | Kind::Hangs);
            let dies = match signal {
                Signal::KILL => kind != Kind::Hangs,
                // What is stopped does not hear of a TERM before it goes on.
                Signal::TERM => !ignores && self.process.state != 'T',
                Signal::CONT => !ignores && self.process.state == 'T',
                _ => false,
            };
            if dies {
                state.living.remove(at);
                let respawns = |(process, kind): &&(Process, Kind)| {
                    *kind == Kind::Respawns && !state.stopped.contains(&process.pid)
                };
                state.lost += state.living.iter().filter(respawns).count();
            }
            drop(state);
            if dies && kind == Kind::Forks {
                self.world.add(Kind::DiesOnTerm);
            }
            Ok(())
        }

        fn has_ended(&self) -> bool {
            self.place().is_none()
        }

        fn fd(&self) -> Option<BorrowedFd<'_>> {
            Some(rustix::stdio::stdin())
        }
    }

    const GRACE: Duration = Duration::from_secs(5);

    fn begin(world: &Fake) -> (Rounds<Fake>, Instant) {
        let now = Instant::now();
        (Rounds::new(world.clone(), now + GRACE), now)
    }

    fn over(left: usize, denied: usize) -> Progress {
        Progress::Over(Ended { left, denied })
    }

    #[test]
    fn what_dies_on_term_is_never_killed_and_is_reaped() {
        let world = Fake::default();
        let (one, two) = (world.add(Kind::DiesOnTerm), world.add(Kind::DiesOnTerm));
        let (mut rounds, now) = begin(&world);
        // Made-up processes die at once, and a step goes as far as it can.
        assert_eq!(rounds.step(now), over(0, 0));
        assert_eq!(world.signals(), [(one, Signal::TERM), (two, Signal::TERM)]);
        assert_eq!(world.0.borrow().reaped, [one, two]);
    }

    #[test]
    fn nothing_to_end_is_over_at_once() {
        let (mut rounds, now) = begin(&Fake::default());
        assert_eq!(rounds.step(now), over(0, 0));
    }

    #[test]
    fn what_ignores_term_is_killed_at_the_moment_given_and_not_before() {
        let world = Fake::default();
        let pid = world.add(Kind::IgnoresTerm);
        let (mut rounds, now) = begin(&world);
        rounds.step(now);
        let just_before = (now + GRACE).checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(rounds.step(just_before), Progress::Waiting(now + GRACE));
        assert_eq!(world.signals(), [(pid, Signal::TERM), (pid, Signal::CONT)]);
        assert_eq!(rounds.step(now + GRACE), over(0, 0));
        assert_eq!(world.signals().last(), Some(&(pid, Signal::KILL)));
    }

    #[test]
    fn the_moment_can_be_brought_forward() {
        let world = Fake::default();
        world.add(Kind::IgnoresTerm);
        let (mut rounds, now) = begin(&world);
        rounds.step(now);
        rounds.kill_by(now);
        assert_eq!(rounds.step(now), over(0, 0));
    }

    #[test]
    fn a_moment_that_has_passed_means_kill_without_term() {
        let world = Fake::default();
        let pid = world.add(Kind::DiesOnTerm);
        let now = Instant::now();
        assert_eq!(Rounds::new(world.clone(), now).step(now), over(0, 0));
        assert_eq!(world.signals(), [(pid, Signal::STOP), (pid, Signal::KILL)]);
    }

    #[test]
    fn what_is_stopped_is_continued_after_its_term() {
        let world = Fake::default();
        let pid = world.add_in(Kind::DiesOnTerm, 'T', None);
        let (mut rounds, now) = begin(&world);
        assert_eq!(rounds.step(now), over(0, 0));
        assert_eq!(world.signals(), [(pid, Signal::TERM), (pid, Signal::CONT)]);
    }

    #[test]
    fn what_is_forked_by_the_dying_is_asked_as_well() {
        let world = Fake::default();
        let parent = world.add(Kind::Forks);
        let (mut rounds, now) = begin(&world);
        assert_eq!(rounds.step(now), over(0, 0));
        assert_eq!(world.signals(), [(parent, Signal::TERM), (parent + 1, Signal::TERM)]);
    }

    #[test]
    fn what_is_forked_by_the_killed_is_killed_as_well() {
        let world = Fake::default();
        let parent = world.add(Kind::Forks);
        let now = Instant::now();
        assert_eq!(Rounds::new(world.clone(), now).step(now), over(0, 0));
        let killed = |pid| world.signals().contains(&(pid, Signal::KILL));
        assert!(killed(parent) && killed(parent + 1));
    }

    #[test]
    fn nobody_starts_another_while_the_rest_is_killed() {
        let world = Fake::default();
        let (one, two) = (world.add(Kind::Respawns), world.add(Kind::Respawns));
        let (mut rounds, now) = begin(&world);
        rounds.step(now);
        // One more that no look has shown so far.
        let late = world.add(Kind::IgnoresTerm);
        assert_eq!(rounds.step(now + GRACE), over(0, 0));
        assert_eq!(world.0.borrow().lost, 0);
        let killed: Vec<i32> = world
            .signals()
            .iter()
            .filter(|sent| sent.1 == Signal::KILL)
            .map(|sent| sent.0)
            .collect();
        assert_eq!(killed, [one, two, late]);
    }

    #[test]
    fn what_hangs_in_the_kernel_is_counted_and_left() {
        let world = Fake::default();
        world.add(Kind::Hangs);
        world.add(Kind::DiesOnTerm);
        let (mut rounds, now) = begin(&world);
        rounds.step(now);
        let killed = now + GRACE;
        assert_eq!(rounds.step(killed), Progress::Waiting(killed + KILL_WAIT));
        assert_eq!(rounds.step(killed + KILL_WAIT), over(1, 0));
    }

    #[test]
    fn what_belongs_to_another_user_is_counted_and_not_waited_for() {
        let world = Fake::default();
        world.add(Kind::OfAnotherUser);
        world.add(Kind::DiesOnTerm);
        let (mut rounds, now) = begin(&world);
        assert_eq!(rounds.step(now), over(1, 1));
    }

    #[test]
    fn what_may_be_of_the_session_is_looked_at_again() {
        let world = Fake::default();
        world.0.borrow_mut().unsure = true;
        let (mut rounds, now) = begin(&world);
        assert_eq!(rounds.step(now), Progress::Waiting(now + RETRY));
        world.0.borrow_mut().unsure = false;
        let pid = world.add(Kind::DiesOnTerm);
        assert_eq!(rounds.step(now + RETRY), over(0, 0));
        assert_eq!(world.signals(), [(pid, Signal::TERM)]);
    }

    #[test]
    fn a_chain_of_forks_too_fast_to_hold_is_killed_by_its_group() {
        let world = Fake::default();
        let group = world.add(Kind::Hops);
        let (mut rounds, now) = begin(&world);
        assert_eq!(rounds.step(now), Progress::Waiting(now + RETRY));
        assert_eq!(rounds.step(now + GRACE), over(0, 0));
        assert_eq!(world.0.borrow().groups_killed, [group]);
    }
}
