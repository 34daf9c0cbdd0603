//! `try`: the whole thing without a hub. A loopback hub, the real runtime in
//! this process, and a prompt in the terminal.
//!
//! It touches nothing of a service that runs with the same configuration: no
//! token, no lock, and state and uploads in a directory of its own that goes
//! with it.

mod conversation;
mod demo;
mod input;
mod screen;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use crossbeam_channel::bounded;

use self::conversation::Conversation;
use self::input::{Input, Interrupts};
use self::screen::{Escaped, Screen};
use super::exit;
use super::progress::Progress;
use crate::agent::process::launch::Launcher;
use crate::agent::process::original::Original;
use crate::agent::process::reaper::Reaper;
use crate::config::{self, Config, Endpoint, HubUrl, ProcessEnvironment, Profile};
use crate::loopback::{Keep, LoopbackHub, Options, ScratchDir};
use crate::protocol::Dialect;
use crate::runtime::{self, Runtime, StartError};
use crate::secret::Secret;
use crate::signals;

/// How long the runtime may take to come to its hub.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Messages on their way to the terminal. When it does not keep up, the
/// runtime waits, and so does its agent.
const ON_THEIR_WAY: usize = 16;

/// Talk to an agent without a hub: a shell and an echo, or those of your configuration.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "try")]
pub struct Try {
    /// id of the agent; without it the first one
    #[argh(positional)]
    endpoint: Option<String>,

    /// say this and leave when it is answered, with the exit code of the turn
    #[argh(option, arg_name = "text")]
    message: Option<String>,

    /// show the agents
    #[argh(switch)]
    list: bool,

    /// use the built-in shell and echo although there is a configuration
    #[argh(switch)]
    demo: bool,

    /// configuration file whose agents are used
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// Ends what [`Try::run`] was given a way to start, within the runtime's own bound.
type Shutdown = Box<dyn FnOnce()>;

/// Runs the command: the turn's exit code, 0 where it has none.
pub fn run(arguments: Try) -> u8 {
    let (config, file) = match choose(&arguments) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    arguments.run(config, file.as_deref(), start)
}

/// The agents to talk to, and the file they come from; `None`: the built-in ones.
fn choose(arguments: &Try) -> Result<(Config, Option<PathBuf>), u8> {
    let environment = ProcessEnvironment;
    let options = config::Options { token_optional: true };
    let found = config::find(arguments.config.as_deref(), &environment).ok();
    if let Some(found) = found.filter(|_| !arguments.demo) {
        return super::load(Some(&found.path), options)
            .map(|loaded| (loaded.config, Some(found.path)));
    }
    let demo = config::parse(&demo::config(), "the built-in agents", &environment, options);
    let loaded = demo.map_err(|problems| {
        eprintln!("{problems}");
        exit::INTERNAL
    })?;
    Ok((loaded.config, None))
}

/// Starts the real runtime in this process. It logs nothing: the terminal is the conversation's.
fn start(config: Config) -> Result<Shutdown, String> {
    let started = || {
        let reaper = Reaper::new();
        let signals = signals::reap_only(reaper.clone())?;
        let launcher = Launcher::new(reaper, Original::change())?;
        let options =
            runtime::Options { launcher, persistent: false, link_changed: Box::new(|_| {}) };
        Ok((Runtime::start(config, options)?, signals))
    };
    let (runtime, signals) = started().map_err(|error: StartError| error.to_string())?;
    Ok(Box::new(move || {
        runtime.shutdown();
        signals.stop();
    }))
}

impl Try {
    /// Talks to one of the agents of `config`, which came from `file` (`None`:
    /// the built-in ones). `start` starts a runtime with the configuration it is
    /// given, which names the loopback hub and its token.
    fn run(
        self,
        mut config: Config,
        file: Option<&Path>,
        start: impl FnOnce(Config) -> Result<Shutdown, String>,
    ) -> u8 {
        let mut screen = Screen::of_terminal();
        if let Some(file) = file {
            screen.note(&format!("agents of {}", file.display()));
        }
        if self.list {
            return quietly(screen.out(&list(&config.endpoints)));
        }
        let endpoint = match self.chosen(&config.endpoints) {
            Ok(endpoint) => Arc::clone(endpoint),
            Err(error) => {
                screen.note(&error);
                return exit::USAGE;
            }
        };
        let (tap, frames) = bounded(ON_THEIR_WAY);
        let token = token();
        let mut options = Options::new(Dialect::Agent, &token);
        options.keep = Keep::Nothing;
        options.tap = Some(tap);
        let places = LoopbackHub::start(options).and_then(|hub| {
            let scratch = ScratchDir::new("amurg-try")?;
            Ok((hub, scratch))
        });
        let (hub, scratch) = match places {
            Ok(places) => places,
            Err(error) => {
                screen.note(&format!(
                    "no place for a trial: {error}; is there room in the temporary directory?"
                ));
                return exit::UNAVAILABLE;
            }
        };
        redirect(&mut config, &hub, &token, scratch.path());

        let interrupts = Interrupts::catch();
        let progress = Progress::begin("the runtime to start");
        let shutdown = match start(config) {
            Ok(shutdown) => shutdown,
            Err(error) => {
                drop(progress);
                screen.note(&error);
                return exit::INTERNAL;
            }
        };
        let client = hub.client();
        let arrived = client.wait_registered(Instant::now() + ARRIVAL).is_ok();
        drop(progress);
        let code = if arrived {
            let input = Input::new(self.message, screen.prompts());
            Conversation::new(client, frames, input, &interrupts.told, screen, endpoint).hold()
        } else {
            screen.note("the runtime did not come to its hub; is this machine overloaded?");
            drop(frames);
            exit::INTERNAL
        };
        interrupts.leave_at_the_next();
        shutdown();
        code
    }

    /// The endpoint that was named, or the first.
    fn chosen<'a>(&self, endpoints: &'a [Arc<Endpoint>]) -> Result<&'a Arc<Endpoint>, String> {
        let Some(name) = &self.endpoint else {
            return endpoints.first().ok_or_else(|| {
                "there is no agent to talk to; add one to the configuration, or give --demo"
                    .to_owned()
            });
        };
        if let Some(found) = endpoints.iter().find(|endpoint| endpoint.id == *name) {
            return Ok(found);
        }
        let ids = endpoints.iter().map(|endpoint| Escaped(&endpoint.id).to_string());
        let ids: Vec<_> = ids.collect();
        Err(format!("there is no agent {name:?}; there are: {}", ids.join(", ")))
    }
}

/// Something no other user of this machine can guess: they can reach the hub's
/// socket. The standard library seeds its hashers from the system's randomness.
fn token() -> String {
    let random = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", random(), random())
}

/// A closed pipe at our end means that nobody wants to read more.
fn quietly(written: std::io::Result<()>) -> u8 {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => exit::INTERNAL,
        _ => exit::OK,
    }
}

/// Points a configuration at the loopback hub, and away from everything that a
/// service with the same configuration uses.
fn redirect(config: &mut Config, hub: &LoopbackHub, token: &str, scratch: &Path) {
    let address = hub.address();
    config.hub.url = HubUrl {
        text: hub.url(),
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        path: "/ws/runtime".to_owned(),
    };
    config.hub.token = Some(Secret::new(token.to_owned()));
    config.runtime.id_configured = true;
    config.runtime.state_dir = scratch.join("state");
    config.runtime.file_storage_path = scratch.join("files");
}

/// The agents, a line each.
fn list(endpoints: &[Arc<Endpoint>]) -> String {
    let mut text = String::new();
    let width = endpoints.iter().map(|one| one.id.chars().count()).max().unwrap_or(0);
    for endpoint in endpoints {
        let id = Escaped(&endpoint.id).to_string();
        let profile = endpoint.profile.name();
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{id:width$}  {profile:12}  {}", Escaped(&what(&endpoint.profile)));
        if endpoint.name != endpoint.id {
            let _ = write!(text, "  ({})", Escaped(&endpoint.name));
        }
        text.push('\n');
    }
    text
}

/// What an agent is, in a few words.
fn what(profile: &Profile) -> String {
    let program = match profile {
        Profile::Cli(cli) => &cli.program,
        Profile::Job(job) => &job.program,
        Profile::External(external) => &external.program,
        // A query may hold a secret.
        Profile::Http(http) => return http.base_url.split('?').next().unwrap_or("").to_owned(),
    };
    let mut words = vec![program.command.as_str()];
    words.extend(program.args.iter().map(String::as_str));
    words.join(" ")
}
