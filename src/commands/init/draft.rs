//! A file that is written beside its place and then put there in one step, so
//! that nobody ever reads half of it. Begun early, so that a place where nothing
//! can be written is found before there is something to lose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::ids;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The owner.
    Owner,
    /// The owner, and the group of its directory: a package gives that to the service.
    Group,
}

/// A file that is not in its place yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Begins a file that shall be at `target`, making the directories above it.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(target: &Path, readers: Readers) -> io::Result<Self> {
        let directory = directory_of(target);
        fs::create_dir_all(directory)?;
        let temporary = directory.join(format!(".amurg-{}", ids::next_id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&temporary)?;
        let draft = Self { file, temporary, target: target.to_owned() };
        if readers == Readers::Group {
            draft.open_to_group(directory)?;
        }
        Ok(draft)
    }

    #[cfg(unix)]
    fn open_to_group(&self, directory: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        // Only root, and members of the group, may give it away.
        let _ = fchown(&self.file, None, Some(fs::metadata(directory)?.gid()));
        self.file.set_permissions(fs::Permissions::from_mode(0o640))
    }

    #[cfg(not(unix))]
    fn open_to_group(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Writes the content and puts the file into its place, where a power cut
    /// does not take it away again.
    ///
    /// # Errors
    /// `AlreadyExists` unless it may `replace` what is there, and what the system says.
    pub fn put(mut self, content: &[u8], replace: bool) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()?;
        if replace {
            fs::rename(&self.temporary, &self.target)?;
        } else {
            link_new(&self.temporary, &self.target)?;
        }
        #[cfg(unix)]
        File::open(directory_of(&self.target))?.sync_all()?;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is gone when it was renamed.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Gives a file a new name, which nobody may have.
fn link_new(temporary: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no second names.
        Err(_) if !target.exists() => fs::rename(temporary, target),
        linked => linked,
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a/b/config.json");
        drop(Draft::begin(&path, Readers::Owner).unwrap());
        assert!(names(path.parent().unwrap()).is_empty());
        Draft::begin(&path, Readers::Owner).unwrap().put(b"one", false).unwrap();
        let refused = Draft::begin(&path, Readers::Owner).unwrap().put(b"two", false);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        Draft::begin(&path, Readers::Owner).unwrap().put(b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["config.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_those_who_should_can_read_it() {
        use std::os::unix::fs::MetadataExt;
        let dir = TempDir::new().unwrap();
        for (readers, mode) in [(Readers::Owner, 0o600), (Readers::Group, 0o640)] {
            let path = dir.path().join(format!("{mode:o}"));
            Draft::begin(&path, readers).unwrap().put(b"x", false).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_place_that_cannot_be_is_told_at_once() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(Draft::begin(&dir.path().join("file/config.json"), Readers::Owner).is_err());
    }
}
