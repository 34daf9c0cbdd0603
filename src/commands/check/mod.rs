//! `check`: every problem of a configuration at once, and what each endpoint would do.
//!
//! [`report`] finds out, [`text`] shows. Nothing is started; only `--connect`
//! dials, and only `--as-service` looks at anything but the file and what it names.

mod confined;
mod connect;
mod facts;
mod report;
mod seen;
#[cfg_attr(not(unix), path = "service_elsewhere.rs")]
mod service;
#[cfg(all(test, unix))]
mod tests;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use crate::config::{self, Environment, Options, ProcessEnvironment};

use super::exit;
use super::terminal::{self, Paint};
use connect::Connection;
use service::Service;
use text::{Problems, Text};

pub use facts::Fact;
pub use report::{EndpointReport, Finding, Report};

/// Find every problem of a configuration, and tell what each endpoint would do.
/// Exit code 0: it can be used, 78: it cannot, 69: no connection.
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
#[argh(subcommand, name = "check")]
pub struct Check {
    /// configuration file; without it the first that exists of `$AMURG_CONFIG`,
    /// ./config.json, ~/.config/amurg/config.json, /etc/amurg/config.json
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<PathBuf>,

    /// dial the hub and say hello; where this runtime is running already, only
    /// try the way to the hub and ask that one
    #[argh(switch)]
    pub connect: bool,

    /// look as a service would: with the user, PATH, home, locale and hidden
    /// directories of this systemd unit, or of this user
    #[argh(option, arg_name = "unit-or-user")]
    pub as_service: Option<String>,

    /// print JSON
    #[argh(switch)]
    pub json: bool,

    /// print problems only: nothing when there are none, as a service's first step wants it
    #[argh(switch)]
    pub quiet: bool,
}

/// Runs the command. 0: the configuration can be used; 78: it cannot; 69: it
/// can, but there is no connection; 64: no such unit or user.
pub fn run(arguments: &Check) -> u8 {
    let mut out = io::stdout();
    let Some(name) = &arguments.as_service else {
        return check(arguments, &ProcessEnvironment, &mut out);
    };
    match Service::find(name) {
        Ok(service) => check_as(arguments, service, &mut out),
        Err(error) => {
            eprintln!("amurg-runtime: {error}");
            exit::USAGE
        }
    }
}

fn check(arguments: &Check, environment: &dyn Environment, out: &mut dyn Write) -> u8 {
    let (shown, code) = examine(arguments, environment, None);
    write(out, &shown);
    code
}

/// With the eyes of a service.
fn check_as(arguments: &Check, service: Service, out: &mut dyn Write) -> u8 {
    // A service starts elsewhere than whoever types this.
    let named = arguments.config.as_ref().map(|path| ProcessEnvironment.current_dir().join(path));
    let config = named.or_else(|| service.config().map(PathBuf::from));
    let arguments = Check { config, ..arguments.clone() };
    match service.look(move |service| examine(&arguments, service, Some(service))) {
        Ok((shown, code)) => {
            write(out, &shown);
            code
        }
        Err(error) => {
            eprintln!(
                "amurg-runtime: this machine cannot be seen as that user: {error}; run this as that user"
            );
            exit::INTERNAL
        }
    }
}

fn examine(
    arguments: &Check,
    environment: &dyn Environment,
    service: Option<&Service>,
) -> (String, u8) {
    let found = match config::find(arguments.config.as_deref(), environment) {
        Ok(found) => found,
        Err(none) => return (format!("{none}\n"), exit::CONFIG),
    };
    let options = Options { token_optional: service.is_some_and(Service::hides_token) };
    let examination = config::examine_file(&found.path, environment, options);
    let mut report = Report::of(&examination, environment, service);
    if let Some(path) = found.passed_over {
        report.pass_over(&path);
    }
    // A command that is missing here does not keep the hub from answering.
    if arguments.connect
        && let Ok(mut loaded) = examination.into_loaded()
    {
        super::keep_state(&mut loaded.config.runtime);
        report.connection = Some(Connection::of(&loaded.config, environment));
    }
    let shown = match (arguments.quiet, arguments.json) {
        (true, _) if report.is_spotless() => String::new(),
        (_, true) => report.to_json(),
        (true, false) => Problems(&report).to_string(),
        (false, false) => {
            let paint = Paint { colours: terminal::is_coloured(&io::stdout()) };
            Text(&report, paint).to_string()
        }
    };
    let code = match (report.ok(), &report.connection) {
        (false, _) => exit::CONFIG,
        (true, Some(Connection { ok: false, .. })) => exit::UNAVAILABLE,
        (true, _) => exit::OK,
    };
    (shown, code)
}

fn write(out: &mut dyn Write, text: &str) {
    // Nobody may be reading any more; the exit code still counts.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
