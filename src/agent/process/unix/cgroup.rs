//! A control group for each session, where a subtree was delegated to us (cgroup v2).
//!
//! A group holds what sheds every other mark, ends as one (`cgroup.kill`), and
//! bounds memory and processes better than `setrlimit` can. All of it is a
//! bonus: whatever fails here, the session runs without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::Pid;

use super::procfs;
use crate::agent::process::mark::Mark;
use crate::sandbox::SandboxPlan;

/// How a session's group is called: this, its mark, and a number.
const PREFIX: &str = "amurg-";

/// What bounds memory, and what counts processes.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// Older than any launch that is still under way.
const ABANDONED: Duration = Duration::from_secs(60);

/// Where the runtime's own processes go when its group must be empty to have controllers.
const OWN_LEAF: &str = "amurg-runtime";

/// The subtree sessions' groups are made in.
#[derive(Debug)]
pub struct Groups {
    base: PathBuf,
    memory: bool,
    processes: bool,
    next: AtomicU64,
}

impl Groups {
    /// Uses the subtree delegated to this process. `None`: there is none.
    pub fn open() -> Option<Self> {
        Self::at(Self::delegated()?)
    }

    /// Whether [`Groups::open`] would find groups that bound memory and count
    /// processes. Changes nothing.
    pub fn offered() -> (bool, bool) {
        let base =
            Self::delegated().filter(|base| rustix::fs::access(base, Access::WRITE_OK).is_ok());
        let controllers = base.and_then(|base| available(&base).ok()).unwrap_or_default();
        CONTROLLERS.map(|name| controllers.contains(&name)).into()
    }

    /// Finds the subtree delegated to this process.
    fn delegated() -> Option<PathBuf> {
        let mount = unified_mount(&fs::read_to_string("/proc/self/mountinfo").ok()?)?;
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own_group(&groups)?;
        let own = mount.join(own.trim_start_matches('/'));
        // With systemd's `DelegateSubgroup=` what is ours is the group above our
        // own; but a runtime started by an agent stays in its session's group.
        let is_session = own.file_name()?.as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let above = own.parent().filter(|_| !is_session);
        let base = [Some(own.as_path()), above]
            .into_iter()
            .flatten()
            .find(|group| is_ours(group, &mount))?;
        Some(base.to_owned())
    }

    /// Uses `base`, if groups can be made in it.
    pub fn at(base: PathBuf) -> Option<Self> {
        rustix::fs::access(&base, Access::WRITE_OK).ok()?;
        rustix::fs::access(base.join("cgroup.procs"), Access::WRITE_OK).ok()?;
        let controllers = enable_controllers(&base).unwrap_or_default();
        let (memory, processes) = CONTROLLERS.map(|name| controllers.contains(&name)).into();
        remove_abandoned(&base);
        Some(Self { base, memory, processes, next: AtomicU64::new(1) })
    }

    /// Whether `limits.max_memory_bytes` and `limits.max_processes` are kept by groups.
    pub fn bounds(&self) -> (bool, bool) {
        (self.memory, self.processes)
    }

    /// A group for one launch, bounded as `limits` say. `None`: it cannot be made.
    pub fn make(&self, mark: &Mark, limits: &SandboxPlan) -> Option<Group> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.base.join(format!("{PREFIX}{mark}-{number}"));
        if let Err(error) = fs::create_dir(&path) {
            log::debug!("no control group path=\"{}\" error=\"{error}\"", path.display());
            return None;
        }
        let bound = |controller: bool, file: &str, limit: Option<u64>| {
            let bound = |limit: u64| fs::write(path.join(file), limit.to_string()).is_ok();
            controller && limit.is_some_and(bound)
        };
        let memory = bound(self.memory, "memory.max", limits.max_memory_bytes);
        let processes = bound(self.processes, "pids.max", limits.max_processes);
        Some(Group { path, memory, processes })
    }

    /// The groups left by the runtime that had `nonce`.
    pub(super) fn left_by(&self, nonce: &str) -> Vec<Group> {
        session_groups(&self.base)
            .filter(|(mark, _)| crate::agent::process::mark::is_of(mark.as_bytes(), nonce))
            .map(|(_, path)| Group { path, memory: false, processes: false })
            .collect()
    }
}

/// One session's group. Removed when dropped, if nothing lives in it.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    memory: bool,
    processes: bool,
}

impl Group {
    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it bounds memory.
    pub fn bounds_memory(&self) -> bool {
        self.memory
    }

    /// Whether it counts processes.
    pub fn bounds_processes(&self) -> bool {
        self.processes
    }

    /// Who is in it, and in groups made beneath it.
    pub(super) fn members(&self) -> Vec<Pid> {
        let mut members = Vec::new();
        if self.is_empty() {
            return members;
        }
        for group in self.subtree() {
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            members.extend(list.lines().filter_map(procfs::to_pid));
        }
        members
    }

    /// Whether the kernel says that nothing lives in it, nor in any beneath: one
    /// file instead of a walk through all of them (`cgroups(7)`, "cgroup.events").
    fn is_empty(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
    }

    /// Kills everything in it at once, also what forks meanwhile.
    pub(super) fn kill(&self) {
        // Before Linux 5.14 there is no such file; the members are killed one by one then.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// Its directory and those beneath, each before what is in it.
    fn subtree(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path.clone()];
        let mut next = 0;
        while let Some(directory) = found.get(next) {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let is_group = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let beneath: Vec<PathBuf> =
                entries.filter(is_group).map(|entry| entry.path()).collect();
            found.extend(beneath);
            next += 1;
        }
        found
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if fs::remove_dir(&self.path).is_ok() {
            return;
        }
        // Agents may have made groups beneath it.
        for directory in self.subtree().iter().rev() {
            // What cannot be killed keeps it; the next start tries again.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Where the unified hierarchy is mounted. A mount of a part of it (its root is
/// not `/`) is a container's view, and just as good.
fn unified_mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let is_unified = kind.split(' ').next() == Some("cgroup2");
        is_unified.then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    })
}

fn own_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Whether a group is ours to divide: marked so by systemd, or under no
/// service manager at all. A manager's own group is left alone, even by root.
fn is_ours(group: &Path, mount: &Path) -> bool {
    if !group.starts_with(mount) {
        return false;
    }
    let delegated = ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 8];
        rustix::fs::getxattr(group, *name, &mut value[..])
            .is_ok_and(|length| &value[..length] == b"1")
    });
    delegated || !Path::new("/run/systemd/system").exists()
}

/// The groups of sessions in `base`, with what follows the prefix in their names.
fn session_groups(base: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    fs::read_dir(base).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name();
        let mark = name.to_str().filter(|name| *name != OWN_LEAF)?.strip_prefix(PREFIX)?;
        Some((mark.to_owned(), entry.path()))
    })
}

/// Removes empty groups of runtimes that were killed and never came back. A
/// young one may be another runtime's, made for a child that is just starting.
fn remove_abandoned(base: &Path) {
    for (_, path) in session_groups(base) {
        let made = path.metadata().and_then(|found| found.modified());
        let age = made.ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            // One that anybody lives in cannot be removed.
            let _ = fs::remove_dir(path);
        }
    }
}

/// Those of [`CONTROLLERS`] that `base` has.
fn available(base: &Path) -> io::Result<Vec<&'static str>> {
    let list = fs::read_to_string(base.join("cgroup.controllers"))?;
    let is_listed = |name: &&str| list.split_ascii_whitespace().any(|listed| listed == *name);
    Ok(CONTROLLERS.into_iter().filter(is_listed).collect())
}

/// Lets groups made in `base` have the controllers we use, as far as `base` has
/// them itself, and returns those. A group cannot both hold processes and give its
/// children controllers, except at the very root: so the runtime moves into a leaf.
fn enable_controllers(base: &Path) -> io::Result<Vec<&'static str>> {
    let wanted = available(base)?;
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let order: String = wanted.iter().map(|name| format!("+{name} ")).collect();
    let control = base.join("cgroup.subtree_control");
    if fs::write(&control, &order).is_err() {
        let leaf = base.join(OWN_LEAF);
        if !leaf.exists() {
            fs::create_dir(&leaf)?;
        }
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(&control, &order)?;
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_among_the_mounts() {
        let hybrid = "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(unified_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(unified_mount("1 0 8:1 / / rw - ext4 /dev/a rw"), None);
        assert_eq!(unified_mount("nonsense"), None);
    }

    /// A directory that looks like a delegated group. Removed when dropped.
    struct Delegated(PathBuf);

    impl Delegated {
        fn new(name: &str, controllers: &str) -> Self {
            let base = std::env::temp_dir().join(format!("amurg-{name}-{}", std::process::id()));
            fs::create_dir(&base).unwrap();
            fs::write(base.join("cgroup.procs"), "").unwrap();
            fs::write(base.join("cgroup.controllers"), controllers).unwrap();
            Self(base)
        }
    }

    impl Drop for Delegated {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn limits_are_bounded_by_the_controllers_there_are_and_said_to_be() {
        let limits = SandboxPlan {
            max_memory_bytes: Some(4096),
            max_processes: Some(7),
            ..SandboxPlan::default()
        };
        let delegated = Delegated::new("both", "cpu memory pids\n");
        let groups = Groups::at(delegated.0.clone()).unwrap();
        assert_eq!(groups.bounds(), (true, true));
        let group = groups.make(&Mark::next(), &limits).unwrap();
        assert!(group.bounds_memory() && group.bounds_processes());
        assert_eq!(fs::read_to_string(group.path().join("memory.max")).unwrap(), "4096");
        assert_eq!(fs::read_to_string(group.path().join("pids.max")).unwrap(), "7");
        let unlimited = groups.make(&Mark::next(), &SandboxPlan::default()).unwrap();
        assert!(!unlimited.bounds_memory() && !unlimited.bounds_processes());

        let delegated = Delegated::new("one", "cpu pids");
        let groups = Groups::at(delegated.0.clone()).unwrap();
        let group = groups.make(&Mark::next(), &limits).unwrap();
        assert!(!group.bounds_memory() && group.bounds_processes());
    }

    #[test]
    fn a_group_goes_with_its_session_and_one_left_behind_in_time() {
        let delegated = Delegated::new("left", "");
        let make = |name: &str| {
            let path = delegated.0.join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let [old, young, own] = ["amurg-aa.1-1", "amurg-bb.1-1", OWN_LEAF].map(make);
        let before = std::time::SystemTime::now() - ABANDONED * 2;
        for path in [&old, &own] {
            fs::File::open(path).unwrap().set_modified(before).unwrap();
        }
        let groups = Groups::at(delegated.0.clone()).unwrap();
        assert!(!old.exists() && young.exists() && own.exists());
        let left: Vec<PathBuf> =
            groups.left_by("bb").iter().map(|group| group.path().to_owned()).collect();
        assert_eq!(left, [young.as_path()]);
        assert!(!young.exists(), "it goes when its last handle goes");
        let group = groups.make(&Mark::next(), &SandboxPlan::default()).unwrap();
        let path = group.path().to_owned();
        drop(group);
        assert!(!path.exists());
    }

    #[test]
    fn the_own_group_is_the_line_without_controllers() {
        assert_eq!(
            own_group("9:name=systemd:/a\n0::/system.slice/x.service\n"),
            Some("/system.slice/x.service")
        );
        assert_eq!(own_group("3:memory:/a\n"), None);
    }
}
