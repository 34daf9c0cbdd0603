//! A hub for the scripts that take an artefact to another place and try it there.
//!
//! ```console
//! $ echo 'shell echo $((6*7))' | cargo run --example hub
//! ws://127.0.0.1:40123/ws/runtime
//! 42
//! == turn ended
//! ```
//!
//! It prints its address. Each line of its input is an endpoint and a message: it
//! waits for a runtime that comes with the token `scripts`, writes the message into
//! the one session it has with that endpoint, and prints what is said until the turn
//! ends. Exit code 0: every turn ended in its time.

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use amurg_runtime::loopback::{Client, LoopbackHub, Options};
use amurg_runtime::protocol::Dialect;

/// Emulated processors and full machines are slow.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hub: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let hub = LoopbackHub::start(Options::new(Dialect::Agent, "scripts"))
        .map_err(|error| error.to_string())?;
    println!("{}", hub.url());
    let client = hub.client();
    let mut sessions = HashMap::new();
    for line in io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let (endpoint, message) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        let deadline = Instant::now() + PATIENCE;
        client.wait_registered(deadline).map_err(|_| "no runtime came")?;
        let session = sessions
            .entry(endpoint.to_owned())
            .or_insert_with(|| client.create_session(endpoint, "somebody"));
        turn(&client, session, message, deadline)?;
    }
    Ok(())
}

/// Prints what one turn says, up to its end.
fn turn(client: &Client, session: &str, message: &str, deadline: Instant) -> Result<(), String> {
    let before = client.output(session).len();
    let turn = client.send_message(session, message);
    let ended = client.wait_for(deadline, |frame| {
        (frame.is("turn.completed") && frame.text_of("in_response_to") == turn).then_some(())
    });
    let said: String =
        client.output(session).into_iter().skip(before).map(|output| output.content).collect();
    print!("{said}");
    ended.map_err(|_| format!("the turn did not end: {message:?}"))?;
    println!("== turn ended");
    io::stdout().flush().map_err(|error| error.to_string())
}
