//! Finds the processes of a session, without looking at every process there is.
//!
//! A process is of a session when one of these holds:
//! - it descends from the session's first process (or from one known before);
//! - it is an orphan this runtime got as a subreaper, and carries the session's
//!   mark, or is in the first process's `setsid` session and does not carry the
//!   mark of another session that lives (any other mark it may have made up);
//! - it is in the session's control group.
//!
//! Each step is checked against what the process itself says (its parent, its
//! start), since a number read a moment ago may be another's by now. One scan can
//! miss a process that is handed to us while we look; two in a row cannot.

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;

use rustix::process::{Pid, getpid};

use super::carried::{Carried, carried};
use super::cgroup::Group;
use super::orphans::{Belongs, Orphan, Sorted, child};
use super::procfs::{self, Process};
use super::reaper::Reaper;
use crate::agent::process::mark::{self, Mark};

/// What is known of a session before a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    /// The first process.
    pub root: Pid,
    /// When it started; `None` when it ended before anybody could look.
    pub root_start: Option<u64>,
    /// What its processes carry.
    pub mark: &'a Mark,
    /// Processes that are the session's, whatever they look like now.
    pub known: &'a [Process],
    /// The session's control group.
    pub group: Option<&'a Group>,
    /// Who knows our orphans; `None`: each is looked at anew.
    pub reaper: Option<&'a Reaper>,
}

/// The living processes of the session whose first process is `root`, with
/// that one first while it lives. For a look at a session, not for its end.
pub fn session_processes(root: Pid, mark: &Mark) -> Vec<Process> {
    let root_start = procfs::process(root).map(|process| process.start);
    look_for(&Search { root, root_start, mark, known: &[], group: None, reaper: None }).living
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Living processes.
    pub living: Vec<Process>,
    /// There are others of which it cannot be told yet whose they are.
    pub unsure: bool,
}

/// Looks for the processes of a session.
pub(super) fn look_for(search: &Search) -> Look {
    let mut walk = Walk::new(Kinship::now());
    if let Some(root) = procfs::process(search.root)
        && Some(root.start) == search.root_start
    {
        if root.is_alive() {
            walk.take(root);
        } else if let Some(reaper) = search.reaper {
            // Its owner waits for its exit code, and a zombie is one more child
            // that every other look would go through.
            reaper.reap_one(root.pid);
        }
    }
    for process in search.known.iter().filter_map(Process::again) {
        walk.take(process);
    }
    for process in search.group.map(members).unwrap_or_default() {
        walk.take(process);
    }
    walk.descend();
    // After the trees: whoever lost its parent meanwhile is here by now.
    let children = || walk.kinship.own_children();
    let belongs = |orphan: &Orphan| belongs(orphan, search);
    let Sorted { found, mut unsure } = match search.reaper {
        Some(reaper) => reaper.sort_orphans(children, belongs),
        None => Sorted::of(&children(), belongs),
    };
    for pid in found {
        if let Some(process) = child(pid) {
            walk.take(process);
        } else {
            // It may have left another after the list was made.
            unsure = true;
            search.reaper.inspect(|reaper| reaper.reap_one(pid));
        }
    }
    walk.descend();
    unsure |= walk.missed;
    Look { living: walk.living(), unsure }
}

/// Everything that descends from this process.
pub(super) fn own_descendants() -> Look {
    let mut walk = Walk::new(Kinship::now());
    if let Some(own) = procfs::process(getpid()) {
        walk.take(own);
        walk.descend();
        walk.found.remove(&own.pid);
    }
    // One that ended since it was listed may have left us another.
    let unsure = walk.missed || walk.found.values().any(|process| !process.is_alive());
    Look { living: walk.living(), unsure }
}

/// Everything of this user that carries a mark of the runtime that had `nonce`,
/// and what descends from it; never this process nor its ancestors (which do
/// carry it when an agent restarts the runtime it runs under).
pub(super) fn marked(nonce: &str) -> Look {
    let user = rustix::process::geteuid().as_raw();
    let mut walk = Walk::new(Kinship::now());
    let spared = ancestors();
    let mut unsure = false;
    let of_user = |pid: &Pid| !spared.contains(pid) && procfs::user(*pid) == Some(user);
    let processes = procfs::all().into_iter().filter(of_user).filter_map(procfs::process);
    for process in processes.filter(Process::is_alive) {
        match carried(&process) {
            Carried::Mark(mark) if mark::is_of(&mark, nonce) => walk.take(process),
            Carried::Unsettled => unsure = true,
            _ => {}
        }
    }
    walk.descend();
    walk.found.retain(|pid, _| !spared.contains(pid));
    Look { living: walk.living(), unsure }
}

/// This process and those it descends from.
fn ancestors() -> Vec<Pid> {
    let parent = |pid: &Pid| procfs::process(*pid).and_then(|process| process.parent);
    std::iter::successors(Some(getpid()), parent).collect()
}

/// Who is in a control group. Listed twice: a number that is in the group
/// before and after we looked was in it when we looked.
fn members(group: &Group) -> Vec<Process> {
    let seen: Vec<Process> = group.members().into_iter().filter_map(procfs::process).collect();
    let still = group.members();
    seen.into_iter().filter(|process| still.contains(&process.pid)).collect()
}

/// Whether an orphan of ours is of the session.
fn belongs(orphan: &Orphan, search: &Search) -> Belongs {
    // The number of a `setsid` session is not given out again while anybody is in
    // it. Afterwards it is, and one who lives in that later session carries its mark.
    let in_session = || {
        orphan.session == Some(search.root)
            && search.root_start.is_some_and(|start| start <= orphan.start)
    };
    match &orphan.carried {
        Carried::Mark(mark) if mark == search.mark.as_str().as_bytes() => Belongs::Yes,
        Carried::Mark(other) if mark::is_in_use(other) => Belongs::No,
        _ if in_session() => Belongs::Yes,
        Carried::Mark(_) | Carried::Nothing | Carried::Hidden => Belongs::No,
        Carried::Unsettled => Belongs::Unsure,
    }
}

/// Going down trees, without recursion.
struct Walk {
    kinship: Kinship,
    found: HashMap<Pid, Process>,
    order: Vec<Pid>,
    ahead: VecDeque<Process>,
    /// Somebody's child was gone before it could be looked at.
    missed: bool,
}

impl Walk {
    fn new(kinship: Kinship) -> Self {
        Self {
            kinship,
            found: HashMap::new(),
            order: Vec::new(),
            ahead: VecDeque::new(),
            missed: false,
        }
    }

    fn take(&mut self, process: Process) {
        if self.found.insert(process.pid, process).is_none() {
            self.order.push(process.pid);
            self.ahead.push_back(process);
        }
    }

    fn descend(&mut self) {
        while let Some(parent) = self.ahead.pop_front() {
            for pid in self.kinship.children(&parent) {
                match child_of(parent.pid, pid) {
                    Some(child) => self.take(child),
                    None => self.missed |= !procfs::is_hidden(pid),
                }
            }
        }
    }

    fn living(self) -> Vec<Process> {
        let Self { found, order, .. } = self;
        order.iter().filter_map(|pid| found.get(pid)).filter(|p| p.is_alive()).copied().collect()
    }
}

/// Who is whose child.
enum Kinship {
    /// The kernel keeps lists.
    Lists,
    /// It does not: every process, looked at once.
    Table(HashMap<Pid, Vec<Pid>>),
}

impl Kinship {
    fn now() -> Self {
        static HAS_LISTS: OnceLock<bool> = OnceLock::new();
        let own = getpid();
        let has_lists = || procfs::list_children(own, own).is_some();
        if *HAS_LISTS.get_or_init(has_lists) { Self::Lists } else { Self::table() }
    }

    fn table() -> Self {
        let mut table: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for process in procfs::all().into_iter().filter_map(procfs::process) {
            if let Some(parent) = process.parent {
                table.entry(parent).or_default().push(process.pid);
            }
        }
        Self::Table(table)
    }

    /// The children of `parent`.
    fn children(&self, parent: &Process) -> Vec<Pid> {
        match self {
            Self::Lists if parent.threads == 1 => {
                procfs::children_of_thread(parent.pid, parent.pid)
            }
            Self::Lists => procfs::threads(parent.pid)
                .into_iter()
                .flat_map(|thread| procfs::children_of_thread(parent.pid, thread))
                .collect(),
            Self::Table(table) => table.get(&parent.pid).cloned().unwrap_or_default(),
        }
    }

    /// Children of this process, all orphans among them: the kernel gives them
    /// to the main thread. Children of other threads are left out as far as possible.
    /// Whole only while nothing is reaped.
    fn own_children(&self) -> Vec<Pid> {
        let own = getpid();
        match self {
            Self::Lists => procfs::list_children(own, own).unwrap_or_default(),
            Self::Table(table) => table.get(&own).cloned().unwrap_or_default(),
        }
    }
}

/// `pid`, if it still is a child of `parent`: a number may be another's by now.
fn child_of(parent: Pid, pid: Pid) -> Option<Process> {
    procfs::process(pid).filter(|process| process.parent == Some(parent))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_the_kernels_lists_a_parent_has_the_same_child() {
        let own = procfs::process(getpid()).unwrap();
        let Some(parent) = own.parent.and_then(procfs::process) else {
            println!("skipped: the parent of this process is out of sight");
            return;
        };
        for kinship in [Kinship::table(), Kinship::now()] {
            let children = kinship.children(&parent);
            let mut found = children.into_iter().filter_map(|pid| child_of(parent.pid, pid));
            assert!(found.any(|child| child.is(&own)));
        }
    }

    #[test]
    fn a_number_that_is_anothers_child_is_not_taken_for_ours() {
        assert_eq!(child_of(getpid(), getpid()), None);
    }

    #[test]
    fn what_is_unsettled_belongs_to_nobody_yet_unless_its_session_tells() {
        let mark = Mark::next();
        let root = Pid::from_raw(77).unwrap();
        let search = Search {
            root,
            root_start: Some(5),
            mark: &mark,
            known: &[],
            group: None,
            reaper: None,
        };
        let orphan = |session, start, carried| Orphan { start, session, carried };
        let neighbour = Mark::next();
        let other = Carried::Mark(neighbour.as_str().into());
        let made_up = Carried::Mark(b"other.1".to_vec());
        let own = Carried::Mark(mark.as_str().into());
        for (orphan, expected) in [
            (orphan(None, 9, own.clone()), Belongs::Yes),
            (orphan(Some(root), 9, other), Belongs::No),
            (orphan(Some(root), 9, made_up.clone()), Belongs::Yes),
            (orphan(Some(root), 4, made_up.clone()), Belongs::No),
            (orphan(None, 9, made_up), Belongs::No),
            (orphan(Some(root), 9, Carried::Nothing), Belongs::Yes),
            (orphan(Some(root), 4, Carried::Nothing), Belongs::No),
            (orphan(None, 9, Carried::Nothing), Belongs::No),
            (orphan(None, 9, Carried::Hidden), Belongs::No),
            (orphan(Some(root), 9, Carried::Unsettled), Belongs::Yes),
            (orphan(None, 9, Carried::Unsettled), Belongs::Unsure),
        ] {
            assert_eq!(belongs(&orphan, &search), expected, "{orphan:?}");
        }
    }
}
