//! A directory for a runtime that lives only as long as the hub it talks to.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::create_private;
use crate::ids;

/// An empty directory of this user, removed with everything in it on drop.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes one in the system's directory for temporary files; `name` begins its name.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", ids::next_id()));
        // Never one that exists: somebody else could have put it there.
        create_private(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_everything_in_it() {
        let dir = ScratchDir::new("amurg-scratch").expect("a directory");
        let path = dir.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).expect("made");
        drop(dir);
        assert!(!path.exists());
    }
}
