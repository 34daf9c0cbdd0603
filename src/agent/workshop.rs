//! Opens agents: from a session's context to the agent of its endpoint's profile.
//!
//! The one place that knows all profiles; a further one is added here.

use std::sync::Arc;
use std::time::Instant;

use super::cli::{self, shared::SharedProcesses};
use super::confine::confine;
use super::external::{ExternalAgent, SharedAdapters};
use super::http::HttpAgent;
use super::job::JobAgent;
use super::process::launch::Launcher;
use super::process::start::{HubVariables, Kit};
use super::{Agent, AgentContext};
use crate::config::{Cli, Endpoint, Profile};
use crate::files::Files;
use crate::sandbox::Cage;

/// What agents are made with. Cheap to clone.
#[derive(Clone)]
pub struct Workshop {
    kit: Kit,
    files: Files,
    shared: Arc<SharedProcesses>,
    adapters: Arc<SharedAdapters>,
}

impl Workshop {
    /// For children started by `launcher`; `hub_variables` are kept from them.
    pub fn new(launcher: Launcher, hub_variables: &[String], files: Files) -> Self {
        let kit = Kit {
            launcher,
            hub_variables: HubVariables::new(hub_variables),
            confine: Arc::new(confine),
        };
        Self { kit, files, shared: Arc::default(), adapters: Arc::default() }
    }

    /// Opens the agent of one session. Blocks for the launch deadline at most.
    ///
    /// # Errors
    /// Why it cannot be, in words for the user.
    pub fn open(&self, context: AgentContext) -> Result<Box<dyn Agent>, String> {
        let endpoint = Arc::clone(&context.endpoint);
        match &endpoint.profile {
            Profile::Cli(cli) => self.cli(context, cli),
            Profile::Job(_) => self.job(context),
            Profile::Http(_) => Ok(Box::new(HttpAgent::new(context))),
            Profile::External(_) => self.external(context),
        }
    }

    // Each in a frame of its own: a session's thread keeps as much stack as it
    // ever used, and would pay for the largest of them.

    #[inline(never)]
    fn cli(&self, context: AgentContext, cli: &Cli) -> Result<Box<dyn Agent>, String> {
        cli::open(context, cli, &self.kit, &self.shared)
    }

    #[inline(never)]
    fn job(&self, context: AgentContext) -> Result<Box<dyn Agent>, String> {
        Ok(Box::new(JobAgent::open(context, &self.kit)?))
    }

    #[inline(never)]
    fn external(&self, context: AgentContext) -> Result<Box<dyn Agent>, String> {
        Ok(Box::new(ExternalAgent::open(context, &self.kit, &self.files, &self.adapters)?))
    }

    /// Whether the agent's session needs a directory for uploads before there are any:
    /// a cage names it, and an adapter may offer files from it.
    pub fn needs_upload_dir(endpoint: &Endpoint) -> bool {
        matches!(endpoint.profile, Profile::External(_)) || Cage::is_wanted(endpoint)
    }

    /// From now on no child inherits these variables either.
    pub fn hide(&self, hub_variables: &[String]) {
        self.kit.hub_variables.hide(hub_variables);
    }

    /// Begins to end the processes that outlive their sessions, of endpoints that
    /// do not stay.
    pub fn keep(&self, stays: impl Fn(&str) -> bool) {
        self.shared.0.keep(&stays);
        self.adapters.0.keep(&stays);
    }

    /// Begins to end all processes that outlive their sessions, and starts no more.
    pub fn close(&self) {
        self.shared.0.close();
        self.adapters.0.close();
    }

    /// Waits until they have ended. False when `deadline` came before.
    pub fn ended(&self, deadline: Instant) -> bool {
        self.shared.0.ended(deadline) && self.adapters.0.ended(deadline)
    }
}
