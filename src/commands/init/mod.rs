//! `init`: writes a configuration, by asking or from options, and gets id and
//! token from the hub where they are not there yet.
//!
//! ```text
//! options, person ──► answers ──► examination ──► registration ──► token ──► configuration
//!                                 (of `check`)
//! ```
//!
//! What would not pass `check` is not written; what is there is not replaced
//! unless `--force` says so.

mod agents;
mod answers;
mod ask;
mod compose;
mod console;
mod done;
mod draft;
mod failure;
mod register;
#[cfg(all(test, unix))]
mod tests;
mod writing;

#[cfg(test)]
pub(crate) use {failure::Failure, register::RegisterError};

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use self::answers::Sources;
use self::ask::{Person, Terminal};
use self::console::Console;
use super::exit;
use crate::config::ProcessEnvironment;

/// Name of the systemd credential, as the packaged unit has it.
const CREDENTIAL: &str = "amurg-token";

/// Write a configuration: by asking on a terminal, or from options with --yes.
#[derive(FromArgs, ArgsInfo, Debug, Default)]
#[argh(
    subcommand,
    name = "init",
    note = "The token may also come in the variable `AMURG_TOKEN`.",
    note = "Exit code 0: it is written, 64: something is missing or wrong, 69: the hub gave no token, 70: a file cannot be written."
)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each of its own")]
pub struct Init {
    /// ask nothing: what no option says takes its default
    #[argh(switch, short = 'y')]
    yes: bool,

    /// address of the hub; `https://hub.example` is enough
    #[argh(option, arg_name = "url")]
    hub_url: Option<String>,

    /// unique name of this runtime in its hub; the host name if not given
    #[argh(option, arg_name = "name")]
    id: Option<String>,

    /// get id and token from the hub, by a code that an administrator confirms in a browser
    #[argh(switch)]
    register: bool,

    /// file that holds the token already; it stays where it is
    #[argh(option, arg_name = "file")]
    token_file: Option<PathBuf>,

    /// read the token from standard input
    #[argh(switch)]
    token_stdin: bool,

    /// the token; others on this machine can see it while this runs, so better one of the two above
    #[argh(option, arg_name = "text")]
    token: Option<String>,

    /// let systemd hand the token to the service, as a credential
    #[argh(switch)]
    credential: bool,

    /// an agent to offer, repeatable: bash, sh, python3, sqlite3, ID=COMMAND for a program that
    /// goes on running, ID=job:COMMAND for one run for each message, or ID=http://ADDRESS;
    /// those found on this machine if none is given
    #[argh(option, arg_name = "agent")]
    agent: Vec<String>,

    /// directory the agents work in; your home if not given
    #[argh(option, arg_name = "directory")]
    work_dir: Option<PathBuf>,

    /// PEM file with roots to trust beside the system's
    #[argh(option, arg_name = "file")]
    tls_ca_file: Option<PathBuf>,

    /// accept any certificate of the hub (development only)
    #[argh(switch)]
    tls_skip_verify: bool,

    /// file to write; `$AMURG_CONFIG`, else ~/.config/amurg/config.json, for root
    /// /etc/amurg/config.json, if not given
    #[argh(option, short = 'o', arg_name = "file")]
    output: Option<PathBuf>,

    /// replace configuration and token file where they are there already
    #[argh(switch)]
    force: bool,
}

/// Writes a configuration. 0: it is there; 64: something is missing or wrong;
/// 69: the hub gave no token; 70: it cannot be written; 130: interrupted.
pub fn run(options: &Init) -> u8 {
    let mut terminal = Terminal;
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let sources = Sources {
        options,
        environment: &ProcessEnvironment,
        stdin: &mut io::stdin(),
        person: can_ask.then_some(&mut terminal as &mut dyn Person),
    };
    // The console, and what it shows, is gone before anything else is said.
    let written = writing::write(sources, &mut Console::default());
    match written {
        Ok(done) => {
            super::print(&done.to_string());
            exit::OK
        }
        Err(failure) => {
            eprintln!("amurg-runtime: {failure}");
            failure.code()
        }
    }
}
