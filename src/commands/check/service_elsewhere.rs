//! Where there is no systemd, no service's surroundings are known.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::facts::Fact;
use super::seen::Seen;
use crate::config::Environment;

/// There is none.
pub enum Service {}

impl Service {
    /// Finds nothing.
    ///
    /// # Errors
    /// Always.
    pub fn find(_name: &str) -> Result<Self, String> {
        Err("a service's surroundings are known on Linux only; run check as the service's user"
            .into())
    }

    /// The configuration its command names.
    pub fn config(&self) -> Option<&Path> {
        match *self {}
    }

    /// Whether the token comes from where only the system may look.
    pub fn hides_token(&self) -> bool {
        match *self {}
    }

    /// How it sees a path.
    pub fn sees(&self, _path: &Path) -> &Seen {
        match *self {}
    }

    /// Whether files are looked at with its user's eyes.
    pub fn is_seen_truly(&self) -> bool {
        match *self {}
    }

    /// Looks with its user's eyes.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn look<T>(self, _look: impl FnOnce(&Self) -> T) -> std::io::Result<T> {
        match self {}
    }

    /// What is different from a shell.
    pub fn facts(&self) -> Vec<Fact> {
        match *self {}
    }
}

impl Environment for Service {
    fn variable(&self, _name: &str) -> Option<OsString> {
        match *self {}
    }

    fn home_dir(&self) -> Option<PathBuf> {
        match *self {}
    }

    fn current_dir(&self) -> PathBuf {
        match *self {}
    }

    fn host_name(&self) -> Option<String> {
        match *self {}
    }
}
