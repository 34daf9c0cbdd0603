//! Paths of a cage, taken so that what an agent may write can never widen the
//! next child's rules. Knows nothing of Landlock.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

/// Most links on the way to a file, as in the kernel.
const MOST_LINKS: usize = 40;

/// Opens a path that neither is nor lies behind a symbolic link.
///
/// Part by part, and not by `openat2`: under `RestrictSUIDSGID=` that call does
/// not exist, because a filter cannot look into its arguments.
///
/// # Errors
/// What the system said, with the path; for a link, what to do.
pub fn open_strictly(path: &Path) -> io::Result<OwnedFd> {
    let told = |errno: Errno| name(path, &errno.into());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut reached = None;
    for part in path.components() {
        let above = reached.as_ref().map_or(CWD, OwnedFd::as_fd);
        let opened = openat(above, part.as_os_str(), flags, Mode::empty()).map_err(told)?;
        if FileType::from_raw_mode(fstat(&opened).map_err(told)?.st_mode) == FileType::Symlink {
            let advice = "is, or lies behind, a symbolic link; write the path it leads to instead";
            return Err(io::Error::other(format!("{} {advice}", path.display())));
        }
        reached = Some(opened);
    }
    reached.ok_or_else(|| told(Errno::NOENT))
}

/// Opens a path of the system: links in it belong to the administrator. `None`:
/// it does not exist here, so nobody needs it here.
///
/// # Errors
/// What the system said, with the path.
pub fn open_of_system(path: &Path) -> io::Result<Option<OwnedFd>> {
    match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(name(path, &errno.into())),
    }
}

/// Paths that are not beneath another one of the list: those are covered by it,
/// and whoever may write there could swap them.
pub fn without_nested(paths: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    let covered =
        move |path: &PathBuf| paths.iter().any(|other| other != path && path.starts_with(other));
    paths.iter().filter(move |path| !covered(path))
}

/// The file a command leads to. Links of the administrator are followed; one
/// that lies beneath a `writable` path is an agent's, and then there is none:
/// whatever it names, the agent has to be allowed it anyway.
///
/// # Errors
/// What the system said about the way there.
pub fn command_file(command: &Path, writable: &[&Path]) -> io::Result<Option<PathBuf>> {
    let command = std::path::absolute(command)?;
    let mut left: VecDeque<PathBuf> = parts(&command).collect();
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == Path::new("..") {
            real.pop();
            continue;
        }
        let next = real.join(part);
        let Ok(target) = fs::read_link(&next) else {
            real = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS || writable.iter().any(|path| next.starts_with(path)) {
            return Ok(None);
        }
        parts(&target).rev().for_each(|part| left.push_front(part));
    }
    Ok(Some(real))
}

/// A path's parts, each to be joined to what came before it.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| PathBuf::from(part.as_os_str()))
}

fn name(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_beneath_another_is_dropped() {
        let paths = ["/srv/a", "/srv/a/b", "/srv/ab"].map(PathBuf::from);
        let kept: Vec<_> = without_nested(&paths).collect();
        assert_eq!(kept, [&paths[0], &paths[2]]);
    }

    #[test]
    fn a_link_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let link = scratch.path().join("link");
        symlink("/etc", &link).unwrap();
        for path in [&link, &link.join("passwd")] {
            let error = open_strictly(path).expect_err("a link").to_string();
            assert!(error.contains("symbolic link; write the path"), "{error}");
        }
        let error = open_strictly(Path::new("/no/such")).expect_err("nothing").to_string();
        assert!(error.starts_with("/no/such: No such file"), "{error}");
    }

    #[test]
    fn a_command_is_followed_only_over_the_administrators_links() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let [bin, opt, agents] = ["bin", "opt", "agents"].map(|name| root.join(name));
        for directory in [&bin, &opt, &agents] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(opt.join("tool"), "").unwrap();
        fs::write(agents.join("own"), "").unwrap();
        symlink("../opt/./tool", bin.join("tool")).unwrap();
        symlink(&opt, agents.join("link")).unwrap();
        symlink(agents.join("link"), bin.join("over")).unwrap();
        let file = |path: PathBuf| command_file(&path, &[&agents]).unwrap();

        assert_eq!(file(bin.join("tool")), Some(opt.join("tool")));
        assert_eq!(file(opt.join("../bin/tool")), Some(opt.join("tool")));
        assert_eq!(file(agents.join("own")), Some(agents.join("own")));
        assert_eq!(file(agents.join("link/tool")), None);
        assert_eq!(file(bin.join("over/tool")), None, "an administrator's link to an agent's");
        symlink("circle", bin.join("circle")).unwrap();
        assert_eq!(file(bin.join("circle")), None);
    }
}
