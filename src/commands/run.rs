//! `run`: the service.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use log::{error, info, warn};

use super::exit;
use super::service::Service;
use crate::agent::process::launch::Launcher;
use crate::agent::process::original::Original;
use crate::agent::process::reaper::Reaper;
use crate::config::{Config, Options};
use crate::logging::{self, LogFormat};
use crate::runtime::{self, Runtime, StartError};

/// Run the gateway until it is told to stop.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "run")]
pub struct Run {
    /// configuration file; without it the first that exists of `$AMURG_CONFIG`,
    /// ./config.json, ~/.config/amurg/config.json, /etc/amurg/config.json
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,

    /// text, json or journald (with priorities)
    #[argh(
        option,
        arg_name = "text|json|journald",
        default = "LogFormat::Text",
        from_str_fn(format)
    )]
    log_format: LogFormat,

    /// error, warn, info, debug or trace; instead of `runtime.log_level`
    #[argh(option, arg_name = "error|warn|info|debug|trace", from_str_fn(level))]
    log_level: Option<log::LevelFilter>,
}

fn format(word: &str) -> Result<LogFormat, String> {
    match word {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "journald" => Ok(LogFormat::Journald),
        _ => Err("it is text, json or journald".into()),
    }
}

fn level(word: &str) -> Result<log::LevelFilter, String> {
    word.parse().map_err(|_| "it is error, warn, info, debug or trace".into())
}

/// Runs the command: 0 after a clean stop, 78 bad configuration, 69 another one
/// holds the lock, 70 the system refused something.
pub fn run(arguments: &Run) -> u8 {
    let loaded = match super::load(arguments.config.as_deref(), Options::default()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let mut config = loaded.config;
    let read_only = super::keep_state(&mut config.runtime);
    let level = arguments.log_level.unwrap_or(config.runtime.log_level);
    let _guard = match logging::init(level, arguments.log_format) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("amurg-runtime: {error}");
            return exit::INTERNAL;
        }
    };
    for warning in &loaded.warnings {
        warn!("{}", warning.in_one_line());
    }
    if let Some(read_only) = read_only {
        warn!(
            "the place of the state is read-only; it is kept elsewhere and lost with this container \
             or boot: mount a volume or set runtime.state_dir configured={} instead={}",
            read_only.display(),
            config.runtime.state_dir.display()
        );
    }
    match serve(arguments, config) {
        Ok(()) => exit::OK,
        Err(error @ StartError::State(_)) => {
            error!("not started: {error}");
            exit::UNAVAILABLE
        }
        Err(error) => {
            error!("not started: {error}");
            exit::INTERNAL
        }
    }
}

fn serve(arguments: &Run, config: Config) -> Result<(), StartError> {
    info!(
        "starting version={} runtime={} endpoints={}",
        env!("CARGO_PKG_VERSION"),
        logging::Quoted(&config.runtime.id),
        config.endpoints.len()
    );
    keep_secrets();
    let reaper = Reaper::new();
    // Signals are taken before anything can have children.
    let service = Service::listen(reaper.clone())?;
    let launcher = Launcher::new(reaper, Original::change())?;
    let state_dir = config.runtime.state_dir.clone();
    let links = service.link_changes();
    let options = runtime::Options { launcher, persistent: true, link_changed: links };
    let runtime = Runtime::start(config, options)?;
    service.serve(runtime, arguments.config.as_deref(), arguments.log_level, &state_dir);
    Ok(())
}

/// No core dump and no other process of this user may read this one's memory:
/// the token is in it.
fn keep_secrets() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            warn!("memory stays readable for this user's debuggers error={error}");
        }
    }
}
