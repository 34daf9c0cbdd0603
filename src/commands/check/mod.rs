//! `check`: every problem of a configuration at once, and what each endpoint would do.
//!
//! [`report`] finds out, [`text`] shows. Nothing is started and nothing dialled.

mod confined;
mod facts;
mod report;
#[cfg(all(test, unix))]
mod tests;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use crate::config::{self, Environment, Options, ProcessEnvironment};

use super::exit;
use text::{Problems, Text};

pub use facts::Fact;
pub use report::{EndpointReport, Finding, Report};

/// Find every problem of a configuration, and tell what each endpoint would do.
/// Exit code 0: it can be used, 78: it cannot.
#[derive(FromArgs, ArgsInfo, Debug, Default)]
#[argh(subcommand, name = "check")]
pub struct Check {
    /// configuration file; without it the first that exists of `$AMURG_CONFIG`,
    /// ./config.json, ~/.config/amurg/config.json, /etc/amurg/config.json
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// print JSON
    #[argh(switch)]
    pub json: bool,

    /// print problems only: nothing when there are none, as a service's first step wants it
    #[argh(switch)]
    pub quiet: bool,
}

/// Runs the command. 0: the configuration can be used; 78: it cannot.
pub fn run(arguments: &Check) -> u8 {
    check(arguments, &ProcessEnvironment, &mut io::stdout())
}

fn check(arguments: &Check, environment: &dyn Environment, out: &mut dyn Write) -> u8 {
    let (shown, ok) = match config::find(arguments.config.as_deref(), environment) {
        Ok(found) => {
            let examination = config::examine_file(&found.path, environment, Options::default());
            let mut report = Report::of(&examination, environment);
            if let Some(path) = found.passed_over {
                report.pass_over(&path);
            }
            let shown = match (arguments.quiet, arguments.json) {
                (true, _) if report.is_spotless() => String::new(),
                (_, true) => report.to_json(),
                (true, false) => Problems(&report).to_string(),
                (false, false) => Text(&report).to_string(),
            };
            (shown, report.ok())
        }
        Err(none) => (format!("{none}\n"), false),
    };
    // Nobody may be reading any more; the exit code still counts.
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    if ok { exit::OK } else { exit::CONFIG }
}
