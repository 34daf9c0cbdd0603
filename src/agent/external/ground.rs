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
    /// Of the adapter that `plan` starts: `allowed_paths` (without any in the file,
    /// its directory) as far as a push leaves them, its uploads and its `TMPDIR`.
    pub fn of(plan: &SpawnPlan, security: &Security, uploads: Option<&Path>) -> Self {
        let tmp = plan.env.iter().find(|(name, _)| name == "TMPDIR").map(|(_, value)| value.into());
        let tmp = tmp.unwrap_or_else(std::env::temp_dir);
        let directory = std::slice::from_ref(&plan.cwd);
        let disk = Some(&*security.allowed_paths).filter(|paths| !paths.is_empty());
        let mut paths = allowed(disk.unwrap_or(directory), &security.pushed_paths);
        paths.extend(uploads.map(Path::to_owned));
        paths.push(tmp);
        // Names are what was compared: a pushed one that is a link leads elsewhere.
        let is_strict = plan.sandbox.cage.is_some() || !security.pushed_paths.is_empty();
        let root = |path| if is_strict { Root::confined(path) } else { Root::resolved(path) };
        Self { directory: plan.cwd.clone(), roots: paths.into_iter().map(root).collect() }
    }
}

/// What both layers allow; without a push, what the first does.
fn allowed(disk: &[PathBuf], pushed: &[PathBuf]) -> Vec<PathBuf> {
    if pushed.is_empty() {
        return disk.to_vec();
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
    use crate::agent::process::mark::Mark;
    use crate::agent::process::plan::Stdio;
    use crate::sandbox::SandboxPlan;

    #[test]
    fn a_push_narrows_the_directory_where_the_file_allows_no_paths() {
        let roots = |pushed: &[&str]| {
            let security = Security {
                pushed_paths: pushed.iter().map(PathBuf::from).collect(),
                ..Security::default()
            };
            let plan = SpawnPlan {
                program: "/bin/true".into(),
                command: "true".into(),
                args: Vec::new(),
                env: vec![("TMPDIR".into(), "/private".into())],
                cwd: "/work".into(),
                stdio: Stdio::Pipes,
                sandbox: SandboxPlan::default(),
                mark: Mark::next(),
            };
            Ground::of(&plan, &security, None).roots
        };
        let confined = |paths: &[&str]| paths.iter().map(Root::confined).collect::<Vec<_>>();
        let resolved = |paths: &[&str]| paths.iter().map(Root::resolved).collect::<Vec<_>>();
        assert_eq!(roots(&[]), resolved(&["/work", "/private"]));
        assert_eq!(roots(&["/"]), confined(&["/work", "/private"]));
        assert_eq!(roots(&["/work/a", "/etc"]), confined(&["/work/a", "/private"]));
    }

    #[test]
    fn a_push_narrows_and_never_widens() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(allowed(&paths(&["/a"]), &[]), paths(&["/a"]));
        assert_eq!(allowed(&paths(&["/a"]), &paths(&["/a/b", "/c"])), paths(&["/a/b"]));
        assert_eq!(allowed(&paths(&["/a/b"]), &paths(&["/a"])), paths(&["/a/b"]));
        assert_eq!(allowed(&paths(&["/a"]), &paths(&["/ab"])), paths(&[]));
    }
}
