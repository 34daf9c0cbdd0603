//! A directory for one test, removed when the test ends.

use std::path::{Path, PathBuf};

/// Removes itself on drop.
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new directory whose name tells the test.
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("amurg-{test}-{}", crate::ids::next_id()));
        std::fs::create_dir(&path).expect("the directory is new");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of /tmp.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
