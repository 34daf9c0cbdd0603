//! The state directory of one runtime: private, locked, and used by the names
//! of what lies in it.
//!
//! Names given here are the program's own, never an outsider's. Nothing is
//! followed: a symlink where a file should be is an error. It does not know what
//! its files mean.

#[cfg_attr(unix, path = "dir/unix.rs")]
#[cfg_attr(windows, path = "dir/windows.rs")]
mod system;

use std::io::{self, Write};
use std::path::PathBuf;
use std::{error, fmt};

pub use self::system::StateDir;
use super::lock::Held;

/// What [`StateDir::read`] found.
pub struct Found {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Whether it was ours, and nobody else could read or write it. Its mode has been repaired.
    pub was_private: bool,
}

/// Why a state directory cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process works with it.
    Held(Held),
    /// It cannot be made, opened or trusted.
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(held) => held.fmt(f),
            Self::Unusable { path, step, error } => write!(
                f,
                "state directory {} cannot be used: {step}: {error}; \
                 make it a directory this user owns, or set runtime.state_dir to another",
                path.display()
            ),
        }
    }
}

impl error::Error for OpenError {}

impl StateDir {
    /// Replaces a file in one step: after a crash it has the old or the new
    /// content. Blocks until the disk has it.
    ///
    /// # Errors
    /// What the system says; the old content is then still there.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.new");
        // What a crash left behind.
        self.remove(&temporary)?;
        let written = self.create(&temporary).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        let replaced = written.and_then(|()| self.rename(&temporary, name));
        if replaced.is_err() {
            let _ = self.remove(&temporary);
        }
        replaced.and_then(|()| self.sync())
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
