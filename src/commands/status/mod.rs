//! `status`: what the running runtime is doing, asked over its socket. Its exit
//! code makes it a health probe.

mod page;
mod watch;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::exit;
use crate::config::Config;
use crate::config::duration::HINT;
use crate::control::report::Report;
use crate::control::{self, Answer, AskError, Request, prometheus};

/// Show what the running runtime is doing. Exit code 0: connected, 1: not, 69: none is running.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status")]
pub struct Status {
    /// configuration file of the runtime that is asked
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,

    /// print the whole report as JSON; fields are added, never renamed
    #[argh(switch)]
    json: bool,

    /// print metrics in the text exposition format
    #[argh(switch)]
    prometheus: bool,

    /// exit code 0 when it answers, connected or not: a liveness probe
    #[argh(switch)]
    alive: bool,

    /// redraw every second until interrupted
    #[argh(switch)]
    watch: bool,

    /// wait this long for a connection ("30s")
    #[argh(option, arg_name = "duration", from_str_fn(duration))]
    wait: Option<Duration>,
}

/// What an option takes as a duration.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration::parse(text).map_err(|why| format!("it {why}; {HINT}"))
}

/// Asks and prints.
pub fn run(arguments: &Status) -> u8 {
    let config = match super::load_quietly(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let sockets = sockets(&config);
    if arguments.watch {
        return watch::run(&sockets);
    }
    let request = match arguments.wait {
        Some(wait) => Request::WaitConnected {
            timeout_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        },
        None => Request::Status,
    };
    let report = match fetch(&sockets, &request) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("amurg-runtime: {error}");
            return exit::UNAVAILABLE;
        }
    };
    let text = if arguments.json {
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    } else if arguments.prometheus {
        prometheus::text(&report)
    } else {
        page::page(&report, page::SESSIONS)
    };
    // A reader that has seen enough closed the pipe; that is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.connection.connected || arguments.alive { exit::OK } else { exit::NO }
}

/// Where the runtime of this configuration may listen.
pub fn sockets(config: &Config) -> Vec<PathBuf> {
    let runtime_directory = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    control::candidates(&config.runtime.state_dir, runtime_directory.as_deref().map(Path::new))
}

fn fetch(sockets: &[PathBuf], request: &Request) -> Result<Report, AskError> {
    match control::client::ask(sockets, request)? {
        Answer::Status(report) => Ok(*report),
        Answer::Done { text } | Answer::Refused { reason: text } => Err(AskError::Broken {
            path: sockets.first().cloned().unwrap_or_default(),
            source: std::io::Error::other(text),
        }),
    }
}
