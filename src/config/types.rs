//! The decided configuration: what the rest of the program works with.
//!
//! Defaults are filled in, durations parsed, paths made absolute, secrets read;
//! nothing here can be wrong any more. Where the values came from is known to
//! the reader beside this file, not here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;

/// Everything one configuration file says, decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach and join the hub.
    pub hub: Hub,
    /// The gateway itself.
    pub runtime: Runtime,
    /// The agents, in the order of the file; ids are unique.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Names of environment variables that were expanded into `hub.*`: no child may inherit them.
    pub hub_variables: Vec<String>,
}

/// `hub.*`
#[derive(Clone, Debug)]
pub struct Hub {
    /// Where to dial.
    pub url: HubUrl,
    /// The operator's token. `None` only for `try`, which brings its own hub.
    pub token: Option<Secret>,
    /// Accept any certificate (development only).
    pub tls_skip_verify: bool,
    /// PEM file with roots beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file with the client certificate (and chain) for mTLS.
    pub tls_client_cert: Option<PathBuf>,
    /// PEM file (PKCS#8) with the client key.
    pub tls_client_key: Option<PathBuf>,
    /// First delay of a reconnect.
    pub reconnect_interval: Duration,
    /// Longest delay of a reconnect, and the delay after refused credentials.
    pub max_reconnect_delay: Duration,
}

/// A `ws://` or `wss://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubUrl {
    /// The address as configured, without user information; safe to log.
    pub text: String,
    /// `wss`
    pub tls: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, with the scheme's default filled in.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

/// `runtime.*`
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    /// Unique name of this runtime in its hub.
    pub id: String,
    /// Whether `runtime.id` stood in the file (otherwise it is the host name).
    pub id_configured: bool,
    /// Organisation, where a hub has several.
    pub org_id: Option<String>,
    /// Most sessions at once.
    pub max_sessions: usize,
    /// A session without activity for this long is ended.
    pub default_timeout: Duration,
    /// Unconfirmed encoded bytes one session may hold, in bytes.
    pub max_output_bytes: usize,
    /// The same for all sessions together, in bytes.
    pub max_buffered_bytes: usize,
    /// A CLI turn without output for this long is over.
    pub idle_timeout: Duration,
    /// Most detailed level that is logged.
    pub log_level: log::LevelFilter,
    /// Where uploads are kept.
    pub file_storage_path: PathBuf,
    /// Largest file in either direction, in bytes.
    pub max_file_bytes: usize,
    /// How long files outlive their session.
    pub file_retention: Duration,
    /// All stored uploads together, in bytes.
    pub max_stored_bytes: u64,
    /// A session quiet for this long may make room for a new one; `None`: never.
    pub reclaim_after: Option<Duration>,
    /// This runtime's own directory for lock, journal and token: `<state_dir>/<id made safe>`.
    pub state_dir: PathBuf,
    /// Whether a hub may push `permission_mode` `skip` or `bypassPermissions`.
    pub allow_remote_permission_skip: bool,
}

/// One agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Unique id; global in a hub.
    pub id: String,
    /// What people see.
    pub name: String,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// What its sessions may use.
    pub limits: Limits,
    /// What its processes may touch.
    pub security: Security,
    /// How it is spoken to.
    pub profile: Profile,
}

/// `limits.*`; `None` means the runtime's own value, or no limit where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most sessions of this endpoint at once.
    pub max_sessions: Option<usize>,
    /// A session without activity for this long is ended.
    pub session_timeout: Option<Duration>,
    /// Unconfirmed encoded bytes of one session.
    pub max_output_bytes: Option<usize>,
    /// A CLI turn without output for this long is over.
    pub idle_timeout: Option<Duration>,
    /// Memory of one session's processes, in bytes.
    pub max_memory_bytes: Option<u64>,
    /// Processes and threads of one session.
    pub max_processes: Option<u64>,
    /// Open files of each process.
    pub max_open_files: Option<u64>,
}

/// `security.*`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Paths the agent is confined to; empty: not confined.
    pub allowed_paths: Vec<PathBuf>,
    /// A hub's narrower set: a second layer that must allow as well, never a
    /// replacement. Empty in every file.
    pub pushed_paths: Vec<PathBuf>,
    /// Declared only.
    pub denied_paths: Vec<PathBuf>,
    /// Declared only.
    pub allowed_tools: Vec<String>,
    /// Declared only.
    pub disallowed_tools: Vec<String>,
    /// Told to the agent's side of the hub.
    pub permission_mode: Option<PermissionMode>,
    /// Working directory, before the profile's `work_dir`.
    pub cwd: Option<PathBuf>,
    /// Variables a child may inherit; `None`: all but the runtime's own.
    pub env_whitelist: Option<Vec<String>>,
    /// TCP ports a confined child may connect to; `None`: all.
    pub allowed_tcp_ports: Option<Vec<u16>>,
    /// Whether a confined child may make Unix sockets.
    pub allow_unix_sockets: bool,
    /// What happens where the kernel cannot do all of it.
    pub enforce: Enforce,
}

/// `security.permission_mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionMode {
    /// `skip`
    Skip,
    /// `strict`
    Strict,
    /// `auto`
    Auto,
    /// `acceptEdits`
    AcceptEdits,
    /// `bypassPermissions`
    BypassPermissions,
    /// `plan`
    Plan,
}

impl PermissionMode {
    const NAMES: [(&'static str, Self); 6] = [
        ("skip", Self::Skip),
        ("strict", Self::Strict),
        ("auto", Self::Auto),
        ("acceptEdits", Self::AcceptEdits),
        ("bypassPermissions", Self::BypassPermissions),
        ("plan", Self::Plan),
    ];

    /// The mode of that name in configuration and protocol.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// Its name in configuration and protocol.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// `security.enforce`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Enforce {
    /// Do what the kernel can, warn of the rest.
    #[default]
    BestEffort,
    /// Do not start a child that cannot be confined whole.
    Required,
    /// Do not confine.
    Off,
}

impl Enforce {
    /// Its name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "best-effort",
            Self::Required => "required",
            Self::Off => "off",
        }
    }
}

/// The block of a profile.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// `generic-cli`: a long-running interactive process.
    Cli(Cli),
    /// `generic-job`: a process for each message.
    Job(Job),
    /// `generic-http`: a request for each message.
    Http(Http),
    /// `external`: an adapter speaking JSON Lines.
    External(External),
}

impl Profile {
    /// The profile's name in configuration and protocol.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cli(_) => "generic-cli",
            Self::Job(_) => "generic-job",
            Self::Http(_) => "generic-http",
            Self::External(_) => "external",
        }
    }

    /// Whether a session of the one can go on with the other: the same kind of
    /// agent, with a process of its own or not.
    pub fn is_run_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cli(one), Self::Cli(other)) => one.spawn_policy == other.spawn_policy,
            (Self::External(one), Self::External(other)) => one.spawn_policy == other.spawn_policy,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// What is executed for it; nothing for HTTP.
    pub fn program(&self) -> Option<&Program> {
        match self {
            Self::Cli(cli) => Some(&cli.program),
            Self::Job(job) => Some(&job.program),
            Self::External(external) => Some(&external.program),
            Self::Http(_) => None,
        }
    }
}

/// What to execute. `Debug` shows the names of variables, not their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Path, or a name looked up in `PATH`; used as written.
    pub command: String,
    /// Arguments, as written.
    pub args: Vec<String>,
    /// Directory to start in, unless `security.cwd` says another.
    pub work_dir: Option<PathBuf>,
    /// Variables set for the child.
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("work_dir", &self.work_dir)
            .field("env", &self.env.keys())
            .finish()
    }
}

/// One process for each session, or one for the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpawnPolicy {
    /// `per-session`
    #[default]
    PerSession,
    /// `persistent`
    Persistent,
}

/// `cli.turn_end`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TurnEnd {
    /// The turn also ends when the process waits for input again.
    #[default]
    Auto,
    /// Only exit and `idle_timeout` end it.
    Idle,
}

/// `cli.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cli {
    /// What to execute.
    pub program: Program,
    /// Whose process it is.
    pub spawn_policy: SpawnPolicy,
    /// How the end of a turn is found.
    pub turn_end: TurnEnd,
    /// Whether the process gets a pseudo-terminal.
    pub tty: bool,
}

/// `job.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What to execute.
    pub program: Program,
    /// Longest run.
    pub max_runtime: Duration,
}

/// `http.*`. `Debug` shows neither the values of headers nor the query.
#[derive(Clone, PartialEq, Eq)]
pub struct Http {
    /// Where requests go.
    pub base_url: String,
    /// Request method.
    pub method: String,
    /// Headers, in the order of the file.
    pub headers: Vec<(String, String)>,
    /// Longest wait for the head of an answer, then for each gap in its body.
    pub timeout: Duration,
    /// PEM file with roots beside the system's.
    pub tls_ca_file: Option<PathBuf>,
}

impl Http {
    /// The address without its query, which may hold a secret.
    pub fn shown_url(&self) -> &str {
        self.base_url.split('?').next().unwrap_or_default()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Http")
            .field("base_url", &self.shown_url())
            .field("method", &self.method)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("tls_ca_file", &self.tls_ca_file)
            .finish()
    }
}

/// `external.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// What to execute.
    pub program: Program,
    /// Whose process it is.
    pub spawn_policy: SpawnPolicy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_values_that_may_be_secret() {
        let program = Program {
            command: "agent".into(),
            env: BTreeMap::from([("API_KEY".into(), "hunter2".into())]),
            ..Program::default()
        };
        let http = Http {
            base_url: "https://api/chat?key=hunter2".into(),
            method: "POST".into(),
            headers: vec![("Authorization".into(), "Bearer hunter2".into())],
            timeout: Duration::from_secs(60),
            tls_ca_file: None,
        };
        let shown = format!("{program:?} {http:?}");
        assert!(shown.contains("API_KEY") && shown.contains("Authorization"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
