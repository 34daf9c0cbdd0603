//! One file per subcommand.
//!
//! A command takes its parsed arguments and returns its exit code; what it does is
//! done by the rooms beside this one.

pub mod arguments;
pub mod check;
pub mod completions;
pub mod control;
pub mod exit;
pub mod flags;
pub mod hidden;
pub mod init;
pub mod man;
#[cfg_attr(target_os = "linux", path = "manager_systemd.rs")]
#[cfg_attr(not(target_os = "linux"), path = "manager_none.rs")]
mod manager;
pub mod presence;
pub mod progress;
pub mod run;
pub mod schema;
mod service;
mod shells;
pub mod sparkline;
pub mod status;
pub mod terminal;
pub mod trial;
mod usage;
pub mod version;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};

use crate::config::{self, Config, Loaded, Options, ProcessEnvironment};
use crate::state;

/// Amurg Runtime: connects the agents of this machine to an Amurg Hub.
#[derive(FromArgs, ArgsInfo)]
struct Amurg {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Try(trial::Try),
    Status(status::Status),
    Init(init::Init),
    Control(control::Control),
    Man(man::Man),
    Completions(completions::Completions),
    Schema(schema::Schema),
    Version(version::Version),
}

/// Runs what the arguments say and returns the process's exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.skip(1).peekable();
    // Before anything else: a launcher is a child that is not yet the agent,
    // and every microsecond here is part of that agent's start.
    if let Some(code) = hidden::run(&mut arguments) {
        return code;
    }
    crate::logging::abort_on_panic();
    let arguments: Result<Vec<String>, OsString> = arguments.map(OsString::into_string).collect();
    let code = match arguments {
        Ok(arguments) => dispatch(arguments::normalise(arguments)),
        Err(odd) => {
            let odd = odd.to_string_lossy();
            usage(&format!("the argument {odd:?} is not UTF-8; spell it in that"))
        }
    };
    ExitCode::from(code)
}

fn dispatch(mut arguments: Vec<String>) -> u8 {
    // `run` is the default: a service file may give options alone.
    let asks_for_help = |word: &str| matches!(word, "--help" | "help" | "-h");
    match arguments.first().map(String::as_str) {
        None => arguments.push("run".into()),
        Some("-h") => arguments[0] = "--help".into(),
        Some("--version" | "-V") => arguments[0] = "version".into(),
        Some(first) if first.starts_with('-') && !asks_for_help(first) => {
            arguments.insert(0, "run".into());
        }
        Some(_) => {}
    }
    // The parser wants options before a command's own command; people write them last.
    if arguments[0] == "control"
        && let Some(at) = arguments.iter().position(|word| word == "--config")
        && at + 1 < arguments.len()
    {
        let option: Vec<String> = arguments.drain(at..at + 2).collect();
        arguments.splice(1..1, option);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let amurg = match Amurg::from_args(&["amurg-runtime"], &words) {
        Ok(amurg) => amurg,
        Err(early) if early.status.is_ok() => {
            print(&format!("{}\n", early.output.trim_end()));
            return exit::OK;
        }
        Err(early) => return usage(&usage::told(&early.output, &words)),
    };
    match amurg.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Try(arguments) => trial::run(arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Control(arguments) => control::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Version(arguments) => version::run(&arguments),
    }
}

/// Prints a document; a reader that has seen enough is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn usage(message: &str) -> u8 {
    eprintln!("amurg-runtime: {message}");
    exit::USAGE
}

/// Reads the configuration a command works with; tells what is wrong with it.
///
/// # Errors
/// The exit code, after everything was said on stderr.
fn load(named: Option<&Path>, options: Options) -> Result<Loaded, u8> {
    let environment = ProcessEnvironment;
    let found = config::find(named, &environment).map_err(|none| {
        eprintln!("amurg-runtime: {none}");
        exit::CONFIG
    })?;
    if let Some(missing) = &found.passed_over {
        eprintln!("amurg-runtime: $AMURG_CONFIG names {}, which is not there", missing.display());
    }
    config::load(&found.path, &environment, options).map_err(|problems| {
        eprintln!("{problems}");
        exit::CONFIG
    })
}

/// Reads the configuration again, for a service that goes on with the old one
/// when something is wrong with it.
///
/// # Errors
/// Every problem, a line each.
fn load_for_reload(named: Option<&Path>, options: Options) -> Result<Loaded, String> {
    let environment = ProcessEnvironment;
    let found = config::find(named, &environment).map_err(|none| none.to_string())?;
    let mut loaded = config::load(&found.path, &environment, options)
        .map_err(|problems| problems.to_string())?;
    keep_state(&mut loaded.config.runtime);
    Ok(loaded)
}

/// Reads what a command needs that only has to find the running one.
fn load_quietly(named: Option<&Path>) -> Result<Config, u8> {
    let mut config = load(named, Options { token_optional: true })?.config;
    keep_state(&mut config.runtime);
    Ok(config)
}

/// Moves the state to where it can be kept, if its own place is read-only, and
/// returns the latter.
fn keep_state(runtime: &mut config::Runtime) -> Option<PathBuf> {
    let place = state::stand_in(&runtime.state_dir)?;
    if let Ok(below) = runtime.file_storage_path.strip_prefix(&runtime.state_dir) {
        runtime.file_storage_path = place.join(below);
    }
    Some(std::mem::replace(&mut runtime.state_dir, place))
}
