//! One file per subcommand. A command reads its arguments, calls the library
//! and says how it went; it decides nothing about hubs, sessions or agents.

pub mod arguments;
pub mod check;
pub mod exit;
pub mod launch;
pub mod run;
pub mod trial;
pub mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use argh::FromArgs;

use exit::Exit;

/// Amurg Runtime: connects the agents of this machine to an Amurg Hub.
#[derive(FromArgs)]
struct Amurg {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Try(trial::Try),
    Version(version::Version),
}

/// Runs what the arguments say and returns the process's exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    // Before anything else: a launcher is a child that is not yet the agent,
    // and every microsecond here is part of that agent's start.
    if args.get(1).is_some_and(|mode| mode == launch::MODE) {
        return launch::main();
    }
    let args = match arguments::normalise(args) {
        Ok(args) => args,
        Err(error) => return arguments::usage(&error),
    };
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let amurg = match Amurg::from_args(&["amurg-runtime"], &words) {
        Ok(amurg) => amurg,
        Err(early) if early.status.is_ok() => {
            println!("{}", early.output.trim_end());
            return Exit::Ok.into();
        }
        Err(early) => return arguments::usage(&early.output),
    };
    match amurg.command {
        Command::Run(command) => command.main(),
        Command::Check(command) => command.main(),
        Command::Try(command) => command.main(),
        Command::Version(command) => command.main(),
    }
    .into()
}
