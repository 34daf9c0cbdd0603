//! `status`: what the running runtime is doing, asked over its socket. Its exit
//! code makes it a health probe.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};

use super::{exit, sparkline};
use crate::config::Config;
use crate::control::report::{Report, Session};
use crate::control::{self, Answer, AskError, Request};
use crate::logging::Quoted;

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
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration::parse(text).map_err(ToString::to_string)
}

/// Asks and prints.
pub fn run(arguments: &Status) -> u8 {
    let config = match super::load_quietly(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let sockets = sockets(&config);
    if arguments.watch {
        return watch(&sockets);
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
        report.prometheus()
    } else {
        render(&report)
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

/// The report for a person.
fn render(report: &Report) -> String {
    let connection = &report.connection;
    let mut text = format!(
        "{} {} (pid {}, up {})\n",
        Quoted(&report.runtime_id),
        report.version,
        report.pid,
        seconds(report.uptime_seconds)
    );
    let _ = writeln!(
        text,
        "hub        {} for {}  {}",
        connection.state,
        seconds(connection.since_seconds),
        Quoted(&connection.hub)
    );
    if let Some(age) = connection.last_pong_seconds {
        let _ = writeln!(text, "last pong  {} ago", seconds(age));
    }
    if let Some(error) = &connection.last_error {
        let _ = writeln!(text, "last error {}", Quoted(error));
    }
    let counters = &report.counters;
    let _ = writeln!(
        text,
        "messages   {} in ({}), {} out ({}), {} reconnects",
        counters.messages_in,
        bytes(counters.bytes_in),
        counters.messages_out,
        bytes(counters.bytes_out),
        counters.reconnects
    );
    let _ = writeln!(
        text,
        "waiting    {} buffered, {} on the wire unconfirmed",
        bytes(report.buffered_bytes),
        bytes(report.unconfirmed_bytes)
    );
    let process = &report.process;
    let _ = writeln!(
        text,
        "process    {} memory, {} threads, {} descriptors",
        bytes(process.memory_bytes),
        process.threads,
        process.open_files
    );
    let busy = report.sessions.iter().filter(|session| session.busy).count();
    let _ = writeln!(text, "sessions   {}, {busy} with a turn", report.sessions.len());
    let mut sessions: Vec<&Session> = report.sessions.iter().collect();
    sessions.sort_by(|a, b| a.quiet_seconds.total_cmp(&b.quiet_seconds));
    for session in sessions.iter().take(20) {
        let _ = writeln!(
            text,
            "  {} {} {} quiet {} turns {} buffered {}",
            if session.busy { "*" } else { " " },
            Quoted(&session.id),
            Quoted(&session.endpoint),
            seconds(session.quiet_seconds),
            session.turns,
            bytes(session.buffered_bytes)
        );
    }
    if sessions.len() > 20 {
        let _ = writeln!(text, "  … and {} more (--json shows all)", sessions.len() - 20);
    }
    text
}

/// Redraws in place; ends when interrupted or when nobody answers any more.
fn watch(sockets: &[PathBuf]) -> u8 {
    let terminal = std::io::stdout().is_terminal();
    let mut throughput = sparkline::Sparkline::new(60);
    let mut earlier: Option<(Instant, u64)> = None;
    // Nobody sends here: the timeout is a pace, and an interrupt ends the process.
    let (_alive, pace) = crossbeam_channel::bounded::<()>(0);
    loop {
        let report = match fetch(sockets, &Request::Status) {
            Ok(report) => report,
            Err(error) => {
                eprintln!("amurg-runtime: {error}");
                return exit::UNAVAILABLE;
            }
        };
        let now = Instant::now();
        if let Some((then, bytes)) = earlier {
            let elapsed = now.duration_since(then).as_secs_f64().max(0.001);
            #[expect(clippy::cast_precision_loss, reason = "a picture, not a count")]
            throughput.push(report.counters.bytes_out.saturating_sub(bytes) as f64 / elapsed);
        }
        earlier = Some((now, report.counters.bytes_out));
        let mut frame = render(&report);
        let _ = writeln!(frame, "out        {throughput} {}/s", bytes_of(throughput.last()));
        if terminal {
            // Home, each line cleared to its end, then what is left below: no flicker.
            frame = format!("\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\n"));
        }
        if std::io::stdout().write_all(frame.as_bytes()).is_err() {
            return exit::OK;
        }
        let _ = pace.recv_timeout(Duration::from_secs(1));
    }
}

fn seconds(seconds: f64) -> String {
    // A report that was tampered with must not bring this down.
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    let whole = if duration.as_secs() > 0 {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(u64::from(duration.subsec_millis()))
    };
    humantime::format_duration(whole).to_string()
}

fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "rounded for a person")]
    bytes_of(count as f64)
}

fn bytes_of(mut count: f64) -> String {
    for unit in ["B", "KB", "MB", "GB"] {
        if count < 1000.0 {
            return if unit == "B" {
                format!("{count:.0} {unit}")
            } else {
                format!("{count:.1} {unit}")
            };
        }
        count /= 1000.0;
    }
    format!("{count:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_move_the_cursor() {
        let mut report = Report::default();
        report.sessions.push(Session { id: "\u{1b}[2Jx".into(), ..Session::default() });
        assert!(!render(&report).contains('\u{1b}'));
    }

    #[test]
    fn amounts_are_rounded_for_people() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        assert_eq!(seconds(3661.5), "1h 1m 1s");
        assert_eq!(seconds(f64::NAN), "0s");
    }
}
