//! What was written, and what to type next.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::super::check::Finding;
use super::CREDENTIAL;

/// A configuration that is there.
#[derive(Debug)]
pub struct Done {
    /// Where it is.
    pub config: PathBuf,
    /// Where the token was written, if it was.
    pub token: Option<PathBuf>,
    /// For the service: where systemd shall read the token.
    pub credential: Option<PathBuf>,
    /// `runtime.id`
    pub id: String,
    /// Ids of the agents.
    pub agents: Vec<String>,
    /// What one should know.
    pub warnings: Vec<Finding>,
    /// Whether only root can read what was written, which a service may not be.
    pub is_roots: bool,
    /// Whether the configuration is found without being named.
    pub is_found: bool,
    /// This program, as it was called.
    pub program: OsString,
}

impl Done {
    /// The command that runs what was written.
    fn next(&self) -> String {
        let program = self.program.to_string_lossy();
        let mut words = vec![&*program, "run"];
        let config = self.config.to_string_lossy();
        if !self.is_found {
            words.extend(["--config", &config]);
        }
        shell_words::join(words)
    }

    /// What makes a service of it.
    fn service(&self, f: &mut fmt::Formatter<'_>, token: &str) -> fmt::Result {
        writeln!(f, "\nNext, for the service, with the token in {token:?}:")?;
        if self.is_roots {
            let config = self.config.to_string_lossy();
            writeln!(f, "    {}", shell_words::join(["chgrp", "amurg", &*config]))?;
        }
        write!(
            f,
            "    systemctl edit amurg-runtime\n        [Service]\n        \
             LoadCredential={CREDENTIAL}:{token}\n    systemctl enable --now amurg-runtime\n"
        )
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Wrote {:?}: runtime {}, agents {}.",
            self.config,
            self.id,
            self.agents.join(", ")
        )?;
        if let Some(token) = &self.token {
            writeln!(f, "Wrote {token:?}, which holds the token: its owner alone can read it.")?;
        }
        for Finding { path, message, hint, .. } in &self.warnings {
            let hint = hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
            writeln!(f, "Warning: {path}: {message}{hint}.")?;
        }
        match &self.credential {
            Some(token) => self.service(f, &token.to_string_lossy()),
            None if self.is_roots => write!(
                f,
                "Only root can read this; a service of another user needs --credential.\n\n\
                 Next:\n    {}\n",
                self.next()
            ),
            None => write!(f, "\nNext:\n    {}\n", self.next()),
        }
    }
}
