//! A control group for each session, where a subtree was delegated to us (cgroup v2).
//!
//! A group holds what sheds every other mark, ends as one (`cgroup.kill`), and
//! bounds memory and processes better than `setrlimit` can. All of it is a
//! bonus: whatever fails here, the session runs without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Access;
use rustix::process::Pid;

use super::mark::Mark;
use super::procfs;
use crate::sandbox::SandboxPlan;

/// How a session's group is called: this, its mark, and a number.
const PREFIX: &str = "amurg-";

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
        let controllers = Self::delegated()
            .filter(|base| rustix::fs::access(base, Access::WRITE_OK).is_ok())
            .and_then(|base| fs::read_to_string(base.join("cgroup.controllers")).ok())
            .unwrap_or_default();
        let has = |name: &str| controllers.split_ascii_whitespace().any(|found| found == name);
        (has("memory"), has("pids"))
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
        let has = |name: &str| controllers.split_ascii_whitespace().any(|found| found == name);
        let (memory, processes) = (has("memory"), has("pids"));
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
        let Ok(entries) = fs::read_dir(&self.base) else { return Vec::new() };
        let of_nonce = |name: &str| {
            let mark = name.strip_prefix(PREFIX)?;
            super::mark::is_of(mark.as_bytes(), nonce).then_some(())
        };
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().and_then(of_nonce).is_some())
            .map(|entry| Group { path: entry.path(), memory: false, processes: false })
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
        for group in self.subtree() {
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            members.extend(list.lines().filter_map(procfs::to_pid));
        }
        members
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

/// Lets groups made in `base` have the controllers we use, as far as `base` has
/// them itself. A group cannot both hold processes and give its children
/// controllers, except at the very root: so the runtime moves into a leaf.
fn enable_controllers(base: &Path) -> io::Result<String> {
    let available = fs::read_to_string(base.join("cgroup.controllers"))?;
    let wanted: Vec<String> = available
        .split_ascii_whitespace()
        .filter(|name| ["memory", "pids"].contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    let control = base.join("cgroup.subtree_control");
    if !wanted.is_empty() && fs::write(&control, wanted.join(" ")).is_err() {
        let leaf = base.join(OWN_LEAF);
        if !leaf.exists() {
            fs::create_dir(&leaf)?;
        }
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(&control, wanted.join(" "))?;
    }
    fs::read_to_string(control)
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

    #[test]
    fn the_own_group_is_the_line_without_controllers() {
        assert_eq!(
            own_group("9:name=systemd:/a\n0::/system.slice/x.service\n"),
            Some("/system.slice/x.service")
        );
        assert_eq!(own_group("3:memory:/a\n"), None);
    }
}
