//! `control`: tells the running runtime to do something, over its socket.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};

use super::exit;
use super::progress::Progress;
use super::status::{duration, sockets};
use super::terminal::escaped;
use crate::control::{Answer, AskError, Request, client};

/// How often somebody who waits for an end looks again.
const PACE: Duration = Duration::from_millis(500);

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
struct Drain {
    /// wait this long for it to have stopped ("10m"), and show what it waits for
    #[argh(option, arg_name = "duration", from_str_fn(duration))]
    wait: Option<Duration>,
}

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
    let sockets = sockets(&config);
    match client::ask(&sockets, &request) {
        Ok(Answer::Done { text }) => {
            super::print(&format!("{}\n", escaped(&text)));
            match &arguments.order {
                Order::Drain(Drain { wait: Some(wait) }) => wait_for_end(&sockets, *wait),
                _ => exit::OK,
            }
        }
        Ok(Answer::Refused { reason }) => {
            eprintln!("amurg-runtime: refused: {}", escaped(&reason));
            exit::NO
        }
        Ok(Answer::Status(_)) => exit::INTERNAL,
        Err(error) => {
            eprintln!("amurg-runtime: {error}");
            exit::UNAVAILABLE
        }
    }
}

/// Waits until nobody answers any more, and tells somebody at a terminal why
/// that lasts. Exit code 1: it still runs.
fn wait_for_end(sockets: &[PathBuf], patience: Duration) -> u8 {
    let deadline = Instant::now() + patience;
    let progress = Progress::begin("the runtime to stop");
    // Nobody sends here: the timeout is a pace, and an interrupt ends the process.
    let (_alive, pace) = crossbeam_channel::bounded::<()>(0);
    loop {
        let busy = match client::ask(sockets, &Request::Status) {
            Err(AskError::NotRunning { .. }) => break,
            Ok(Answer::Status(report)) => {
                report.sessions.iter().filter(|session| session.busy).count()
            }
            // It is on its way out, and has no time.
            Ok(_) | Err(_) => 0,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            drop(progress);
            eprintln!(
                "amurg-runtime: it still runs, with {busy} open turns; status shows them, and it stops \
                 when they are over"
            );
            return exit::NO;
        }
        progress.now(match busy {
            0 => "the runtime to stop".to_owned(),
            1 => "one open turn".to_owned(),
            _ => format!("{busy} open turns"),
        });
        let _ = pace.recv_timeout(left.min(PACE));
    }
    drop(progress);
    super::print("stopped\n");
    exit::OK
}
