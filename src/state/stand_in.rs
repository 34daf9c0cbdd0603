//! Where state goes when its place is on a read-only file system: a container
//! with a read-only root and no volume. It is lost with that container; all the
//! same a turn that was open when the process died is closed after its restart,
//! and the control socket has a place.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

/// Another directory for the state, when `state_dir` is missing and cannot be
/// made because its file system is read-only. Everybody who asks is told the same,
/// so that `status` finds what `run` made.
pub fn stand_in(state_dir: &Path) -> Option<PathBuf> {
    let places = [std::env::temp_dir(), "/dev/shm".into(), "/run".into()];
    stand_in_among(state_dir, &places, is_read_only)
}

fn stand_in_among(
    state_dir: &Path,
    places: &[PathBuf],
    is_read_only: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    // What is there may be read: the last process left it.
    if state_dir.exists() || !is_read_only(state_dir.ancestors().find(|path| path.exists())?) {
        return None;
    }
    let mut name = std::ffi::OsString::from("amurg-");
    name.push(state_dir.file_name()?);
    let is_writable =
        |place: &&PathBuf| !is_read_only(place) && access(*place, Access::WRITE_OK).is_ok();
    // Others may write there too: whoever opens it looks whose it is.
    places.iter().find(is_writable).map(|place| place.join(name))
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::TestDir;

    #[test]
    fn only_a_place_that_cannot_be_made_is_stood_in_for() {
        let (frozen, free) = (TestDir::new(), TestDir::new());
        let places = [frozen.path().to_owned(), "/nowhere".into(), free.path().to_owned()];
        let is_frozen = |path: &Path| path.starts_with(frozen.path());
        let ask = |state_dir: PathBuf| stand_in_among(&state_dir, &places, is_frozen);
        let lab = frozen.path().join("none/lab-1");
        assert_eq!(ask(lab), Some(free.path().join("amurg-lab-1")));
        assert_eq!(ask(free.path().join("none/lab-1")), None);
        assert_eq!(ask(frozen.path().to_owned()), None);
        assert_eq!(stand_in_among(&frozen.path().join("x"), &places[..2], is_frozen), None);
    }

    #[test]
    fn an_ordinary_directory_is_not_read_only() {
        let dir = TestDir::new();
        assert!(!is_read_only(dir.path()));
        assert_eq!(stand_in(&dir.path().join("lab")), None);
    }
}
