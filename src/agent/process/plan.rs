//! The spawn plan: everything about a child that can be decided before there is one.
//!
//! Agents make it, the launcher carries it out. What is plainly wrong (no such
//! command, no such directory) is found here, where it costs no process and can
//! be said in words the user understands.

#![expect(clippy::unnecessary_debug_formatting, reason = "paths are told quoted and escaped")]

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::environment::{self, Rules};
use super::mark::Mark;
use crate::agent::executable::{DEFAULT_PATH, is_allowed, is_path, spellings};
use crate::config::{Endpoint, Program};
use crate::sandbox::SandboxPlan;

/// This process's own environment, which nothing in it changes.
static INHERITED: LazyLock<Vec<(OsString, OsString)>> =
    LazyLock::new(|| std::env::vars_os().collect());

/// One child, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnPlan {
    /// The file to execute: absolute, or relative to `cwd`.
    pub program: PathBuf,
    /// The command as configured; becomes `argv[0]`.
    pub command: String,
    /// Arguments after the command.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where the child starts.
    pub cwd: PathBuf,
    /// What its stdin, stdout and stderr are.
    pub stdio: Stdio,
    /// What it may touch.
    pub sandbox: SandboxPlan,
    /// What its session's processes carry.
    pub mark: Mark,
}

/// What a child's three standard descriptors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// Three pipes.
    Pipes,
    /// One pseudo-terminal for all three, with a window of this many characters.
    Pty {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
}

impl Stdio {
    /// The terminal every `cli.tty` agent gets; its size never changes.
    pub const TERMINAL: Self = Self::Pty { rows: 24, cols: 80 };
}

/// Whose session a child belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// `AMURG_SESSION_ID`
    pub session_id: &'a str,
    /// `AMURG_USER_ID`
    pub user_id: &'a str,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The endpoint, with what was pushed.
    pub endpoint: &'a Endpoint,
    /// What of it is executed.
    pub program: &'a Program,
    /// Whose it is; `None` for a process that several sessions share.
    pub owner: Option<Owner<'a>>,
    /// Further variables of the runtime's: `AMURG_MESSAGE_ID`, `AMURG_FILES`, `TMPDIR`.
    pub given: &'a [(&'static str, OsString)],
    /// The session's mark, the same for every process it ever starts.
    pub mark: &'a Mark,
    /// Names of variables no child may inherit.
    pub hub_variables: &'a [String],
    /// What the standard descriptors are.
    pub stdio: Stdio,
}

impl SpawnPlan {
    /// Decides everything about a child, from the request and this process's
    /// own environment. Confinement is left out: `sandbox.cage` is the caller's to fill.
    ///
    /// # Errors
    /// When the directory or the command is not there; in words for the user.
    pub fn new(request: &Request) -> Result<Self, PlanError> {
        Self::with_environment(request, INHERITED.iter().cloned())
    }

    fn with_environment(
        request: &Request,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, PlanError> {
        let Request { endpoint, program, .. } = request;
        let mut given = request.given.to_vec();
        given.push(("AMURG_ENDPOINT_ID", endpoint.id.clone().into()));
        if let Some(owner) = request.owner {
            given.push(("AMURG_SESSION_ID", owner.session_id.into()));
            given.push(("AMURG_USER_ID", owner.user_id.into()));
        }
        let rules = Rules {
            whitelist: endpoint.security.env_whitelist.as_deref(),
            hub_variables: request.hub_variables,
            program: &program.env,
            given: &given,
            mark: request.mark,
        };
        let env = environment::of_child(inherited, &rules);
        let cwd = working_directory(endpoint, program)?;
        let path = env
            .iter()
            .find(|(name, _)| environment::is_same(name, "PATH"))
            .map(|(_, value)| value.as_os_str());
        let limits = &endpoint.limits;
        Ok(Self {
            program: find_command(&program.command, path, &cwd)?,
            command: program.command.clone(),
            args: program.args.clone(),
            env,
            cwd,
            stdio: request.stdio,
            sandbox: SandboxPlan {
                cage: None,
                max_memory_bytes: limits.max_memory_bytes,
                max_processes: limits.max_processes,
                max_open_files: limits.max_open_files,
            },
            mark: request.mark.clone(),
        })
    }
}

/// Where an endpoint's processes start: `security.cwd`, else `work_dir`, else the user's home.
///
/// # Errors
/// [`PlanError::Directory`] when it is not there: another place is never taken silently.
pub fn working_directory(endpoint: &Endpoint, program: &Program) -> Result<PathBuf, PlanError> {
    let configured = [("security.cwd", &endpoint.security.cwd), ("work_dir", &program.work_dir)];
    let (setting, path) = configured
        .into_iter()
        .find_map(|(setting, path)| path.clone().map(|path| (setting, path)))
        .or_else(|| std::env::home_dir().map(|home| ("home directory", home)))
        .ok_or(PlanError::NoHome)?;
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => {
            Err(PlanError::Directory { setting, path, source: io::ErrorKind::NotADirectory.into() })
        }
        Err(source) => Err(PlanError::Directory { setting, path, source }),
    }
}

/// The file a command names: looked up in `path` as the child would, or taken
/// from `cwd` when it holds a slash.
///
/// # Errors
/// [`PlanError::NotFound`] with the places looked at, [`PlanError::NotExecutable`]
/// when all that was found may not be executed.
pub fn find_command(command: &str, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, PlanError> {
    let candidates: Vec<PathBuf> = if is_path(command) {
        vec![PathBuf::from(command)]
    } else if command.is_empty() {
        Vec::new()
    } else {
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        std::env::split_paths(path)
            .map(|directory| {
                let empty = directory.as_os_str().is_empty();
                if empty { Path::new(".").join(command) } else { directory.join(command) }
            })
            .collect()
    };
    let mut refused = None;
    for candidate in candidates.iter().flat_map(|candidate| spellings(candidate)) {
        // A relative one is meant from where the child will be.
        let place = cwd.join(&candidate);
        if place.is_file() {
            if is_allowed(&place) {
                return Ok(candidate);
            }
            refused.get_or_insert(place);
        }
    }
    let command = command.to_owned();
    match refused {
        Some(place) => Err(PlanError::NotExecutable { command, place }),
        None => Err(PlanError::NotFound { command, looked: candidates, cwd: cwd.to_owned() }),
    }
}

/// Why there can be no child.
#[derive(Debug)]
pub enum PlanError {
    /// The directory to start in is not one, or is not there.
    Directory {
        /// Which setting named it.
        setting: &'static str,
        /// What it named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No directory is configured and the user has none.
    NoHome,
    /// No such command.
    NotFound {
        /// As configured.
        command: String,
        /// Every file that was looked for.
        looked: Vec<PathBuf>,
        /// What relative ones are relative to.
        cwd: PathBuf,
    },
    /// A file of that name may not be executed by this user.
    NotExecutable {
        /// As configured.
        command: String,
        /// The file.
        place: PathBuf,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { setting, path, source } => {
                let word = match source.kind() {
                    io::ErrorKind::NotFound => "does not exist; create it, or name another",
                    io::ErrorKind::NotADirectory => "is not a directory; name another",
                    io::ErrorKind::PermissionDenied => {
                        "may not be entered by this user; let it in, or name another"
                    }
                    _ => {
                        return write!(
                            f,
                            "{setting} {path:?} cannot be used: {source}; name another"
                        );
                    }
                };
                write!(f, "{setting} {path:?} {word}")
            }
            Self::NoHome => f.write_str("this user has no home directory; set work_dir"),
            Self::NotFound { command, looked, cwd } => {
                write!(f, "command {command:?} not found: looked in ")?;
                if is_path(command) {
                    return write!(f, "{cwd:?}; correct the path, or install it");
                }
                let places: Vec<&OsStr> =
                    looked.iter().filter_map(|file| file.parent()).map(Path::as_os_str).collect();
                let separator = if cfg!(windows) { ";" } else { ":" };
                let places = places.join(OsStr::new(separator));
                write!(f, "{places:?}; give its full path or set PATH")
            }
            Self::NotExecutable { command, place } => write!(
                f,
                "command {command:?} is {place:?}, which this user may not execute; chmod +x it"
            ),
        }
    }
}

impl std::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Cli, Limits, Profile, Security, SpawnPolicy, TurnEnd};

    fn endpoint(command: &str) -> Endpoint {
        let program = Program { command: command.into(), ..Program::default() };
        Endpoint {
            id: "e".into(),
            name: "e".into(),
            tags: BTreeMap::new(),
            limits: Limits { max_open_files: Some(64), ..Limits::default() },
            security: Security { cwd: Some("/".into()), ..Security::default() },
            profile: Profile::Cli(Cli {
                program,
                spawn_policy: SpawnPolicy::PerSession,
                turn_end: TurnEnd::Auto,
                tty: false,
            }),
        }
    }

    fn plan(endpoint: &Endpoint) -> Result<SpawnPlan, PlanError> {
        let Profile::Cli(Cli { program, .. }) = &endpoint.profile else { unreachable!() };
        let request = Request {
            endpoint,
            program,
            owner: Some(Owner { session_id: "s", user_id: "u" }),
            given: &[("AMURG_MESSAGE_ID", "m".into())],
            mark: &Mark::next(),
            hub_variables: &[],
            stdio: Stdio::TERMINAL,
        };
        SpawnPlan::with_environment(&request, [("PATH".into(), "/no:/bin".into())])
    }

    #[test]
    fn a_plan_finds_the_command_and_tells_whose_it_is() {
        let sent = plan(&endpoint("sh")).unwrap();
        assert_eq!(sent.program, Path::new("/bin/sh"));
        assert_eq!(sent.sandbox.max_open_files, Some(64));
        for (name, value) in [
            ("AMURG_SESSION_ID", "s"),
            ("AMURG_USER_ID", "u"),
            ("AMURG_ENDPOINT_ID", "e"),
            ("AMURG_MESSAGE_ID", "m"),
        ] {
            assert!(sent.env.contains(&(name.into(), value.into())), "{name}");
        }
    }

    #[test]
    fn a_missing_command_tells_where_it_was_looked_for() {
        let told = plan(&endpoint("no-such-command")).unwrap_err().to_string();
        assert_eq!(
            told,
            "command \"no-such-command\" not found: looked in \"/no:/bin\"; \
             give its full path or set PATH"
        );
        let told = plan(&endpoint("./missing")).unwrap_err().to_string();
        assert_eq!(
            told,
            "command \"./missing\" not found: looked in \"/\"; correct the path, or install it"
        );
    }

    #[test]
    fn a_file_without_the_right_to_execute_is_told_apart() {
        let told = plan(&endpoint("/etc/passwd")).unwrap_err().to_string();
        assert!(told.contains("may not execute"), "{told}");
    }

    #[test]
    fn a_configured_directory_that_is_missing_is_an_error_and_cwd_wins() {
        let mut endpoint = endpoint("sh");
        endpoint.security.cwd = Some("/no/such/place".into());
        let told = plan(&endpoint).unwrap_err().to_string();
        assert!(told.starts_with("security.cwd \"/no/such/place\" does not exist"), "{told}");
        endpoint.security.cwd = Some("/etc/passwd".into());
        assert!(plan(&endpoint).unwrap_err().to_string().contains("is not a directory"));
        let program = Program { work_dir: Some("/tmp".into()), ..Program::default() };
        endpoint.security.cwd = None;
        assert_eq!(working_directory(&endpoint, &program).unwrap(), Path::new("/tmp"));
        endpoint.security.cwd = Some("/".into());
        assert_eq!(working_directory(&endpoint, &program).unwrap(), Path::new("/"));
    }

    #[test]
    fn an_empty_part_of_path_means_the_directory_the_child_starts_in() {
        let found = find_command("sh", Some(OsStr::new("")), Path::new("/bin")).unwrap();
        assert_eq!(found, Path::new("./sh"));
    }
}
