//! Arguments and exit codes; nothing else.

use std::process::ExitCode;

use amurg_runtime::commands;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(command) if command == "__launch" => commands::launch::run(),
        _ => ExitCode::from(64),
    }
}
