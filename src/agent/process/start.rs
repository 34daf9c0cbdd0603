//! From an endpoint to a child in its pipe thread: what the agents that run
//! processes have in common about starting them.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::child::Child;
use super::launch::{LaunchError, Launcher};
use super::mark::Mark;
use super::plan::{Owner, PlanError, Request, SpawnPlan, Stdio};
use crate::config::{Endpoint, Program};
use crate::wake::Waker;

/// Decides what a planned child may touch: fills in its cage, and whatever the
/// cage needs in its environment. The error is for the user.
pub type Confine =
    Arc<dyn Fn(&Endpoint, Option<&Path>, &mut SpawnPlan) -> Result<(), String> + Send + Sync>;

/// What children are started with. Cheap to clone.
#[derive(Clone)]
pub struct Kit {
    /// What starts them.
    pub launcher: Launcher,
    /// Variables no child may inherit.
    pub hub_variables: HubVariables,
    /// What confines them.
    pub confine: Confine,
}

/// Names of variables that were expanded into `hub.*`, ever. Cheap to clone.
#[derive(Clone, Default)]
pub struct HubVariables(Arc<RwLock<Vec<String>>>);

impl HubVariables {
    /// Those of the configuration.
    pub fn new(names: &[String]) -> Self {
        Self(Arc::new(RwLock::new(names.to_vec())))
    }

    /// More of them. What was a secret once stays one.
    pub fn hide(&self, names: &[String]) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(names.iter().cloned());
        all.sort();
        all.dedup();
    }

    fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The child that is wanted.
pub struct Wanted<'a> {
    /// Its endpoint, with what was pushed.
    pub endpoint: &'a Endpoint,
    /// What of it is executed.
    pub program: &'a Program,
    /// Whose it is; `None` for a process that several sessions share.
    pub owner: Option<Owner<'a>>,
    /// Where uploads for it lie.
    pub upload_dir: Option<&'a Path>,
    /// Further variables.
    pub given: &'a [(&'static str, OsString)],
    /// The mark of its session.
    pub mark: &'a Mark,
    /// Pipes or a terminal.
    pub stdio: Stdio,
}

impl Kit {
    /// Decides everything about a child; finds a missing command or directory.
    ///
    /// # Errors
    /// In words for the user.
    pub fn plan(&self, wanted: &Wanted) -> Result<SpawnPlan, StartError> {
        let mut plan = SpawnPlan::new(&Request {
            endpoint: wanted.endpoint,
            program: wanted.program,
            owner: wanted.owner,
            given: wanted.given,
            mark: wanted.mark,
            hub_variables: &self.hub_variables.names(),
            stdio: wanted.stdio,
        })
        .map_err(StartError::Plan)?;
        (self.confine)(wanted.endpoint, wanted.upload_dir, &mut plan)
            .map_err(StartError::Confine)?;
        Ok(plan)
    }

    /// Starts a planned child; `waker` wakes its pipe thread when it exits.
    /// Blocks for the launch deadline at most.
    ///
    /// # Errors
    /// In words for the user.
    #[inline(never)]
    pub fn launch(&self, plan: &SpawnPlan, waker: Waker) -> Result<Child, StartError> {
        let launched = self.launcher.launch(plan).map_err(StartError::Launch)?;
        let (pipes, exit, family) = launched.into_parts(&waker).map_err(StartError::Pipes)?;
        let tty = matches!(plan.stdio, Stdio::Pty { .. });
        Ok(Child::new(pipes, tty, exit, family, waker))
    }
}

/// Why a child could not be started.
#[derive(Debug)]
pub enum StartError {
    /// Something it needs is not there.
    Plan(PlanError),
    /// It cannot be confined as configured.
    Confine(String),
    /// The launcher failed.
    Launch(LaunchError),
    /// This process may open no more files, or make no more threads.
    Pipes(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Confine(reason) => f.write_str(reason),
            Self::Launch(error) => error.fmt(f),
            Self::Pipes(error) => {
                write!(f, "no means to talk to the agent: {error}; close some sessions")
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Plan(error) => Some(error),
            Self::Launch(error) => Some(error),
            Self::Pipes(error) => Some(error),
            Self::Confine(_) => None,
        }
    }
}
