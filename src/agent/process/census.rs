//! Finds the processes of a session, without looking at every process there is.
//!
//! A process is of a session when one of these holds:
//! - it descends from the session's first process (or from one known before);
//! - it is an orphan this runtime got as a subreaper, and carries the session's
//!   mark, or carries none and is in the first process's `setsid` session;
//! - it is in the session's control group.
//!
//! Each step is checked against what the process itself says (its parent, its
//! start), since a number read a moment ago may be another's by now. One scan can
//! miss a process that is handed to us while we look; two in a row cannot.

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;

use rustix::process::{Pid, getpid};

use super::cgroup::Group;
use super::mark::Mark;
use super::orphans::Orphan;
use super::procfs::{self, Process};
use super::reaper::Reaper;

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
    living(&Search { root, root_start, mark, known: &[], group: None, reaper: None })
}

/// The living processes of a session.
pub(super) fn living(search: &Search) -> Vec<Process> {
    let mut walk = Walk::new(Kinship::now());
    if let Some(root) = procfs::process(search.root)
        && Some(root.start) == search.root_start
    {
        walk.take(root);
    }
    for process in search.known.iter().filter_map(Process::again) {
        walk.take(process);
    }
    for process in search.group.map(members).unwrap_or_default() {
        walk.take(process);
    }
    walk.descend();
    // After the trees: whoever lost its parent meanwhile is here by now.
    let children = walk.kinship.own_children();
    let is_ours = |orphan: &Orphan| belongs(orphan, search);
    let orphans = match search.reaper {
        Some(reaper) => reaper.orphans(&children, is_ours),
        None => children
            .into_iter()
            .filter(|&pid| Orphan::look(pid).is_some_and(|orphan| is_ours(&orphan)))
            .collect(),
    };
    for process in look(&orphans, getpid()) {
        walk.take(process);
    }
    walk.descend();
    walk.living()
}

/// Everything that descends from this process.
pub(super) fn own_descendants() -> Vec<Process> {
    let mut walk = Walk::new(Kinship::now());
    if let Some(own) = procfs::process(getpid()) {
        walk.take(own);
        walk.descend();
        walk.found.remove(&own.pid);
    }
    walk.living()
}

/// Everything of this user that carries a mark of the runtime that had `nonce`,
/// and what descends from it; never this process nor its ancestors (which do
/// carry it when an agent restarts the runtime it runs under).
pub(super) fn marked(nonce: &str) -> Vec<Process> {
    let user = rustix::process::geteuid().as_raw();
    let mut walk = Walk::new(Kinship::now());
    let spared = ancestors();
    for pid in procfs::all() {
        let is_marked = || procfs::mark(pid).is_some_and(|mark| super::mark::is_of(&mark, nonce));
        if !spared.contains(&pid)
            && procfs::user(pid) == Some(user)
            && let Some(process) = procfs::process(pid)
            && is_marked()
        {
            walk.take(process);
        }
    }
    walk.descend();
    walk.found.retain(|pid, _| !spared.contains(pid));
    walk.living()
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
fn belongs(orphan: &Orphan, search: &Search) -> bool {
    match &orphan.mark {
        Some(mark) => mark == search.mark.as_str().as_bytes(),
        // The number of a `setsid` session is not given out again while anybody is in it.
        None => {
            orphan.session == Some(search.root)
                && search.root_start.is_some_and(|start| start <= orphan.start)
        }
    }
}

/// Going down trees, without recursion.
struct Walk {
    kinship: Kinship,
    found: HashMap<Pid, Process>,
    order: Vec<Pid>,
    ahead: VecDeque<Process>,
}

impl Walk {
    fn new(kinship: Kinship) -> Self {
        Self { kinship, found: HashMap::new(), order: Vec::new(), ahead: VecDeque::new() }
    }

    fn take(&mut self, process: Process) {
        if self.found.insert(process.pid, process).is_none() {
            self.order.push(process.pid);
            self.ahead.push_back(process);
        }
    }

    fn descend(&mut self) {
        while let Some(parent) = self.ahead.pop_front() {
            for child in self.kinship.children(&parent) {
                self.take(child);
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
        let has_lists = || procfs::children_of_thread(own, own).is_some();
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

    /// The children of `parent` that say so themselves.
    fn children(&self, parent: &Process) -> Vec<Process> {
        let pids = match self {
            Self::Lists if parent.threads == 1 => {
                procfs::children_of_thread(parent.pid, parent.pid).unwrap_or_default()
            }
            Self::Lists => procfs::threads(parent.pid)
                .into_iter()
                .filter_map(|thread| procfs::children_of_thread(parent.pid, thread))
                .flatten()
                .collect(),
            Self::Table(table) => table.get(&parent.pid).cloned().unwrap_or_default(),
        };
        look(&pids, parent.pid)
    }

    /// Children of this process, all orphans among them: the kernel gives them
    /// to the main thread. Children of other threads are left out as far as possible.
    fn own_children(&self) -> Vec<Pid> {
        let own = getpid();
        match self {
            Self::Lists => procfs::children_of_thread(own, own).unwrap_or_default(),
            Self::Table(table) => table.get(&own).cloned().unwrap_or_default(),
        }
    }
}

/// Those of `pids` that are still children of `parent`: a number may be another's by now.
fn look(pids: &[Pid], parent: Pid) -> Vec<Process> {
    pids.iter()
        .filter_map(|&pid| procfs::process(pid))
        .filter(|process| process.parent == Some(parent))
        .collect()
}
