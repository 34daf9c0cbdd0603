//! The ground an adapter stands on: from where it may offer files, decided when
//! it is started, by the rules it is started under.

use std::path::{Path, PathBuf};

use crate::agent::process::plan::SpawnPlan;
use crate::config::Security;
use crate::files::Root;

/// Where an adapter is, and what it may offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Where its relative paths begin.
    pub directory: PathBuf,
    /// Directories it may offer files from.
    pub roots: Vec<Root>,
}

impl Ground {
    /// Of the adapter that `plan` starts: `allowed_paths` (without any, its
    /// directory), its uploads and its `TMPDIR`.
    pub fn of(plan: &SpawnPlan, security: &Security, uploads: Option<&Path>) -> Self {
        let tmp = plan.env.iter().find(|(name, _)| name == "TMPDIR").map(|(_, value)| value.into());
        let tmp = tmp.unwrap_or_else(std::env::temp_dir);
        let mut paths = allowed(&security.allowed_paths, &security.pushed_paths);
        if security.allowed_paths.is_empty() && security.pushed_paths.is_empty() {
            paths.push(plan.cwd.clone());
        }
        paths.extend(uploads.map(Path::to_owned));
        paths.push(tmp);
        let is_confined = plan.sandbox.cage.is_some();
        let root = |path| if is_confined { Root::confined(path) } else { Root::resolved(path) };
        Self { directory: plan.cwd.clone(), roots: paths.into_iter().map(root).collect() }
    }
}

/// What both layers allow; one that is empty allows everything.
fn allowed(disk: &[PathBuf], pushed: &[PathBuf]) -> Vec<PathBuf> {
    if disk.is_empty() || pushed.is_empty() {
        return [disk, pushed].concat();
    }
    let within = |paths: &[PathBuf], others: &[PathBuf]| -> Vec<PathBuf> {
        let inside = |path: &&PathBuf| others.iter().any(|other| path.starts_with(other));
        paths.iter().filter(inside).cloned().collect()
    };
    [within(disk, pushed), within(pushed, disk)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_narrows_and_never_widens() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(allowed(&paths(&["/a"]), &[]), paths(&["/a"]));
        assert_eq!(allowed(&paths(&["/a"]), &paths(&["/a/b", "/c"])), paths(&["/a/b"]));
        assert_eq!(allowed(&paths(&["/a/b"]), &paths(&["/a"])), paths(&["/a/b"]));
        assert_eq!(allowed(&paths(&["/a"]), &paths(&["/ab"])), paths(&[]));
    }
}
