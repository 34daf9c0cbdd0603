//! `control`: tells the running runtime to do something, over its socket.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::exit;
use super::status::sockets;
use crate::control::{Answer, Request, client};
use crate::logging::Quoted;

/// Tell the running runtime to do something.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "control")]
pub struct Control {
    /// configuration file of the runtime that is told
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,

    #[argh(subcommand)]
    order: Order,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Order {
    Reload(Reload),
    Drain(Drain),
    LogLevel(LogLevel),
    Close(Close),
}

/// Read configuration and token again.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "reload")]
struct Reload {}

/// Finish open turns, take no new sessions, then stop.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "drain")]
struct Drain {}

/// Log in this much detail from now on.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "log-level")]
struct LogLevel {
    /// error, warn, info, debug or trace
    #[argh(positional, arg_name = "error|warn|info|debug|trace")]
    level: String,
}

/// End one session.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "close")]
struct Close {
    /// the hub's id of the session, as `status` shows it
    #[argh(positional)]
    session: String,
}

/// Says it and prints what was answered.
pub fn run(arguments: &Control) -> u8 {
    let config = match super::load_quietly(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let request = match &arguments.order {
        Order::Reload(_) => Request::Reload,
        Order::Drain(_) => Request::Drain,
        Order::LogLevel(LogLevel { level }) => Request::LogLevel { level: level.clone() },
        Order::Close(Close { session }) => Request::Close { session: session.clone() },
    };
    match client::ask(&sockets(&config), &request) {
        Ok(Answer::Done { text }) => {
            println!("{text}");
            exit::OK
        }
        Ok(Answer::Refused { reason }) => {
            eprintln!("amurg-runtime: refused: {}", Quoted(&reason));
            exit::NO
        }
        Ok(Answer::Status(_)) => exit::INTERNAL,
        Err(error) => {
            eprintln!("amurg-runtime: {error}");
            exit::UNAVAILABLE
        }
    }
}
