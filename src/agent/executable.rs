//! Which file a system would execute under a name, as far as the file itself
//! tells. Knows nothing of `PATH`, and executes nothing.

#[cfg(unix)]
pub use unix::{DEFAULT_PATH, is_allowed, spellings};
#[cfg(windows)]
pub use windows::{DEFAULT_PATH, is_allowed, spellings};

/// Whether a command names a file itself, rather than one to be looked up.
pub fn is_path(command: &str) -> bool {
    command.contains(std::path::is_separator)
}

#[cfg(unix)]
mod unix {
    use std::path::{Path, PathBuf};

    use rustix::fs::{Access, AtFlags, CWD, accessat};

    /// Where `execvp` looks when there is no `PATH`.
    pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

    /// The files a name stands for: itself.
    pub fn spellings(candidate: &Path) -> impl Iterator<Item = PathBuf> {
        std::iter::once(candidate.to_owned())
    }

    /// Whether this user may execute a file, or enter a directory.
    pub fn is_allowed(file: &Path) -> bool {
        accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
    }
}

#[cfg(windows)]
mod windows {
    use std::path::{Path, PathBuf};

    /// Where programs are looked for when there is no `PATH`.
    pub const DEFAULT_PATH: &str = r"C:\Windows\System32;C:\Windows";

    /// What programs' names end with, and are called without.
    const EXTENSIONS: [&str; 4] = ["exe", "com", "cmd", "bat"];

    /// The files a name stands for: itself if it has an extension, else (`tool`,
    /// `python3.11`) with each of those that programs have.
    pub fn spellings(candidate: &Path) -> impl Iterator<Item = PathBuf> {
        let itself = candidate.extension().map(|_| candidate.to_owned());
        let extended = EXTENSIONS.into_iter().map(|extension| {
            let mut name = candidate.as_os_str().to_owned();
            name.push(".");
            name.push(extension);
            PathBuf::from(name)
        });
        itself.into_iter().chain(extended)
    }

    /// Access lists are looked at when the file is executed.
    pub fn is_allowed(_file: &Path) -> bool {
        true
    }
}
