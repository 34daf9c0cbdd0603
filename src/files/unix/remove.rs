//! Removes whatever an agent may have left in a directory: without recursion,
//! with two descriptors however deep the tree, following no link.
//!
//! A directory that is not empty is moved up beside the others that wait to be
//! removed. So depth costs no stack, and no path grows long.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::directory::Directory;

/// Removes everything in `trash`, until `stop` says so. What cannot be removed
/// (it belongs to another user, say) stays; how many directories that are.
///
/// # Errors
/// When `trash` itself cannot be read.
pub fn empty(trash: &Directory, stop: &dyn Fn() -> bool) -> io::Result<usize> {
    let mut moved = 0_u64;
    loop {
        let (mut found, mut left) = (0, 0);
        let before = moved;
        for entry in Dir::read_from(trash.as_fd())? {
            let entry = entry?;
            let name = entry.file_name();
            if is_self_or_parent(name) {
                continue;
            }
            if stop() {
                return Ok(0);
            }
            found += 1;
            left += usize::from(!remove(trash, name, &mut moved, stop));
        }
        // What was moved up may lie where this round had looked already.
        if left == found && moved == before {
            return Ok(left);
        }
    }
}

/// Removes one entry of `trash`; its subdirectories may be moved up instead.
/// Whether it is gone.
fn remove(trash: &Directory, name: &CStr, moved: &mut u64, stop: &dyn Fn() -> bool) -> bool {
    if is_removed(trash.as_fd(), name) {
        return true;
    }
    let Ok(directory) = open_owned(trash, name) else { return false };
    let Ok(entries) = Dir::read_from(&directory) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { break };
        let child = entry.file_name();
        if is_self_or_parent(child) || is_removed(directory.as_fd(), child) {
            continue;
        }
        if stop() {
            return false;
        }
        // Moving a directory rewrites its `..`: it must be writable itself.
        let _ = open_owned(&directory, child);
        let place = format!("{}-{moved:x}", crate::ids::next_id());
        if rustix::fs::renameat(&directory, child, trash.as_fd(), &place).is_ok() {
            *moved += 1;
        }
    }
    drop(directory);
    rustix::fs::unlinkat(trash.as_fd(), name, AtFlags::REMOVEDIR).is_ok()
}

/// Removes a file, a link or an empty directory.
fn is_removed(parent: impl AsFd, name: &CStr) -> bool {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => true,
        Err(_) => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).is_ok(),
    }
}

/// Opens a directory whose mode its maker may have taken every right from.
fn open_owned(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    give_rights(&parent, name);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// `chmod` that follows no link, by way of a descriptor that needs no rights:
/// older kernels have no such call.
#[cfg(target_os = "linux")]
fn give_rights(parent: impl AsFd, name: &CStr) {
    use std::os::fd::AsRawFd;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(place) = rustix::fs::openat(parent, name, flags, Mode::empty()) {
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        let _ = rustix::fs::chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty());
    }
}

#[cfg(not(target_os = "linux"))]
fn give_rights(parent: impl AsFd, name: &CStr) {
    let _ = rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW);
}

fn is_self_or_parent(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn never() -> bool {
        false
    }

    fn is_empty(path: &std::path::Path) -> bool {
        fs::read_dir(path).unwrap().next().is_none()
    }

    #[test]
    fn a_thousand_nested_directories_go() {
        let place = tempfile::tempdir().unwrap();
        let trash = Directory::open_path(place.path()).unwrap();
        // The path would be too long for any call: each level is made in the one before.
        let mut at = Directory::open_path(place.path()).unwrap();
        for _ in 0..1_200 {
            at = at.make("d").unwrap();
            at.write("file", b"x").unwrap();
        }
        drop(at);
        assert_eq!(empty(&trash, &never).unwrap(), 0);
        assert!(is_empty(place.path()));
    }

    #[test]
    fn links_are_removed_and_not_what_they_point_to() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("precious"), "x").unwrap();
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("d")).unwrap();
        symlink(elsewhere.path(), place.path().join("d/link")).unwrap();
        symlink(elsewhere.path(), place.path().join("link")).unwrap();
        let trash = Directory::open_path(place.path()).unwrap();
        assert_eq!(empty(&trash, &never).unwrap(), 0);
        assert!(is_empty(place.path()));
        assert!(elsewhere.path().join("precious").exists());
    }

    #[test]
    fn directories_without_rights_go_too() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("a/b/c");
        fs::create_dir_all(&inner).unwrap();
        for directory in [inner, place.path().join("a/b"), place.path().join("a")] {
            fs::write(directory.join("file"), "x").unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o000)).unwrap();
        }
        let trash = Directory::open_path(place.path()).unwrap();
        assert_eq!(empty(&trash, &never).unwrap(), 0);
        assert!(is_empty(place.path()));
    }

    #[test]
    fn being_told_to_stop_ends_it() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "x").unwrap();
        let trash = Directory::open_path(place.path()).unwrap();
        empty(&trash, &|| true).unwrap();
        assert!(!is_empty(place.path()));
    }
}
