//! Where an agent's program and its directory are, before anything is started.
//!
//! Looks as the child itself will: `PATH` as the child gets it, relative names
//! from the directory it starts in. Nothing is executed and nothing remembered;
//! what is found now may be gone when the agent starts, which the launch tells.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::executable::{DEFAULT_PATH, is_allowed, is_path, spellings};
use crate::config::Endpoint;

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// A name without a slash, in no directory of `PATH`.
    NotInPath {
        /// The name.
        program: String,
        /// The `PATH`.
        path: OsString,
    },
    /// A path where nothing is.
    Missing(PathBuf),
    /// Nothing one could run: a directory, a device.
    NotAFile(PathBuf),
    /// The file may not be executed by this user.
    NotExecutable(PathBuf),
    /// A script whose interpreter is missing.
    NoInterpreter {
        /// The script.
        script: PathBuf,
        /// What its first line names.
        interpreter: PathBuf,
    },
}

impl NotFound {
    /// What is wrong, and what to do.
    pub fn explain(&self) -> (String, &'static str) {
        match self {
            Self::NotInPath { program, path } => (
                format!("the command {program:?} is in no directory of PATH ({path:?})"),
                "install it, or give its full path",
            ),
            Self::Missing(path) => {
                (format!("the command {path:?} does not exist"), "install it, or correct the path")
            }
            Self::NotAFile(path) => {
                (format!("the command {path:?} is not a file"), "name a program")
            }
            Self::NotExecutable(path) => (
                format!("the command {path:?} may not be executed by this user"),
                "make it executable with chmod +x",
            ),
            Self::NoInterpreter { script, interpreter } => (
                format!("the command {script:?} needs {interpreter:?}, which does not exist"),
                "install it, or correct the first line of the script",
            ),
        }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, advice) = self.explain();
        write!(f, "{message}; {advice}")
    }
}

impl std::error::Error for NotFound {}

/// The file that runs when a child executes `program`.
///
/// `path` is the child's `PATH` (`None`: it has none), `directory` where it starts.
///
/// # Errors
/// When there is none that this user may execute.
pub fn locate(program: &str, path: Option<&OsStr>, directory: &Path) -> Result<PathBuf, NotFound> {
    if is_path(program) {
        return runnable(&directory.join(program));
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for entry in std::env::split_paths(path) {
        match runnable(&directory.join(entry).join(program)) {
            Ok(found) => return Ok(found),
            Err(NotFound::Missing(_)) => {}
            // Remembered while the search goes on, as the system does.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let nowhere = || NotFound::NotInPath { program: program.to_owned(), path: path.to_owned() };
    Err(refused.unwrap_or_else(nowhere))
}

fn runnable(candidate: &Path) -> Result<PathBuf, NotFound> {
    for file in spellings(candidate) {
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        if !metadata.is_file() {
            return Err(NotFound::NotAFile(file));
        }
        if !is_allowed(&file) {
            return Err(NotFound::NotExecutable(file));
        }
        return match interpreter(&file) {
            Some(interpreter) if !interpreter.exists() => {
                Err(NotFound::NoInterpreter { script: file, interpreter })
            }
            _ => Ok(file),
        };
    }
    Err(NotFound::Missing(candidate.to_owned()))
}

/// What a script's first line names. The system's own message for a missing one
/// ("no such file") points at the script instead.
fn interpreter(file: &Path) -> Option<PathBuf> {
    use std::io::Read;
    let mut start = [0; 256];
    let length = std::fs::File::open(file).ok()?.read(&mut start).ok()?;
    let line = start[..length].strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let name = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?;
    name.starts_with('/').then(|| PathBuf::from(name))
}

/// Why an agent has no directory to start in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDirectory {
    /// None is configured, and the user has no home.
    NoHome,
    /// It does not exist or is out of reach; the words are the system's.
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// Whether it was configured (else it is the home).
        configured: bool,
        /// Why.
        why: String,
    },
}

impl NoDirectory {
    /// What is wrong, and what to do.
    pub fn explain(&self) -> (String, &'static str) {
        match self {
            Self::NoHome => {
                ("there is no directory to start in: no home is known".into(), "set work_dir")
            }
            Self::Unusable { directory, configured: true, why } => (
                format!("the directory {directory:?} cannot be used: {why}"),
                "make it, or name another",
            ),
            Self::Unusable { directory, configured: false, why } => {
                (format!("the home {directory:?} cannot be used: {why}"), "set work_dir")
            }
        }
    }
}

impl fmt::Display for NoDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, advice) = self.explain();
        write!(f, "{message}; {advice}")
    }
}

impl std::error::Error for NoDirectory {}

/// The directory an endpoint's processes start in: `security.cwd`, else its
/// `work_dir`, else the user's home; never a silent other place.
///
/// # Errors
/// When it does not exist or this user may not enter it.
pub fn start_directory(endpoint: &Endpoint, home: Option<&Path>) -> Result<PathBuf, NoDirectory> {
    let work_dir = || endpoint.profile.program().and_then(|program| program.work_dir.as_deref());
    let configured = endpoint.security.cwd.as_deref().or_else(work_dir);
    let directory = configured.or(home).ok_or(NoDirectory::NoHome)?;
    usable(directory).map(|()| directory.to_owned()).map_err(|error| NoDirectory::Unusable {
        directory: directory.to_owned(),
        configured: configured.is_some(),
        why: error.to_string(),
    })
}

fn usable(directory: &Path) -> io::Result<()> {
    if !std::fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if !is_allowed(directory) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn write(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn names_are_looked_up_in_the_childs_path() {
        let dir = TempDir::new().unwrap();
        for name in ["a", "b"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        write(&dir.path().join("a/tool"), "", 0o644);
        write(&dir.path().join("b/tool"), "", 0o755);
        let path = |entries: &[&str]| {
            std::env::join_paths(entries.iter().map(|entry| dir.path().join(entry))).unwrap()
        };
        let find = |program: &str, path: &OsStr| locate(program, Some(path), dir.path());

        let both = path(&["none", "a", "b"]);
        assert_eq!(find("tool", &both), Ok(dir.path().join("b/tool")));
        let refused = find("tool", &path(&["a"])).unwrap_err();
        assert_eq!(refused, NotFound::NotExecutable(dir.path().join("a/tool")));
        let nowhere = find("other", &both).unwrap_err();
        assert!(nowhere.to_string().contains("\"other\" is in no directory of PATH"), "{nowhere}");
        assert_eq!(find("tool", OsStr::new("b")), Ok(dir.path().join("b/tool")));
    }

    #[test]
    fn without_a_path_the_usual_directories_are_looked_in() {
        assert!(locate("sh", None, Path::new("/")).is_ok());
    }

    #[test]
    fn paths_are_taken_from_the_start_directory() {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("run"), "#!/bin/sh\n", 0o755);
        write(&dir.path().join("broken"), "#! /no/such/python -u\n", 0o755);
        let find = |program: &str| locate(program, None, dir.path());

        assert_eq!(find("./run").unwrap().canonicalize().unwrap(), dir.path().join("run"));
        assert!(matches!(find("./none"), Err(NotFound::Missing(_))));
        assert!(matches!(find("/"), Err(NotFound::NotAFile(_))));
        let broken = find("./broken").unwrap_err();
        assert!(broken.to_string().contains("needs \"/no/such/python\""), "{broken}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let dir = TempDir::new().unwrap();
        let unusable = |path: &Path| usable(path).unwrap_err().kind();
        assert!(usable(dir.path()).is_ok());
        assert_eq!(unusable(&dir.path().join("none")), io::ErrorKind::NotFound);
        write(&dir.path().join("file"), "", 0o644);
        assert_eq!(unusable(&dir.path().join("file")), io::ErrorKind::NotADirectory);
    }
}
