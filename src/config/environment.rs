//! What a configuration takes from its surroundings: variables, the home
//! directory, the current directory, the host's name.
//!
//! Behind a trait, so that tests and `check` can read a file as another process
//! would.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::token::{self, TokenError};
use crate::secret::Secret;

/// The surroundings a configuration is read in.
pub trait Environment {
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The user's home directory, for `~` and for processes without a work directory.
    fn home_dir(&self) -> Option<PathBuf>;
    /// What relative paths are relative to.
    fn current_dir(&self) -> PathBuf;
    /// The host's name, for a runtime without an id.
    fn host_name(&self) -> Option<String>;

    /// The token that systemd hands over as the credential of this name.
    ///
    /// # Errors
    /// When it handed over none, or not a token.
    fn credential(&self, name: &str) -> Result<Secret, TokenError> {
        let directory = self.variable("CREDENTIALS_DIRECTORY");
        token::read(&token::credential(name, directory.map(Into::into))?)
    }
}

/// This process's own surroundings.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn home_dir(&self) -> Option<PathBuf> {
        std::env::home_dir().filter(|home| home.is_absolute())
    }

    fn current_dir(&self) -> PathBuf {
        // A working directory that was deleted under us has no name left.
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }

    #[cfg(unix)]
    fn host_name(&self) -> Option<String> {
        let uname = rustix::system::uname();
        let name = uname.nodename().to_str().ok()?;
        (!name.is_empty() && name != "(none)").then(|| name.to_owned())
    }

    #[cfg(not(unix))]
    fn host_name(&self) -> Option<String> {
        std::env::var("COMPUTERNAME").ok().filter(|name| !name.is_empty())
    }
}

/// Surroundings that were written down beforehand.
#[derive(Clone, Debug)]
pub struct FixedEnvironment {
    /// The variables; `HOME` is the home directory.
    pub variables: BTreeMap<String, String>,
    /// What relative paths are relative to.
    pub current_dir: PathBuf,
    /// The host's name.
    pub host_name: Option<String>,
}

impl FixedEnvironment {
    /// These variables, in `/` on the host `host`.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, current_dir: PathBuf::from("/"), host_name: Some("host".into()) }
    }
}

impl Environment for FixedEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.variables.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    fn current_dir(&self) -> PathBuf {
        self.current_dir.clone()
    }

    fn host_name(&self) -> Option<String> {
        self.host_name.clone()
    }
}
