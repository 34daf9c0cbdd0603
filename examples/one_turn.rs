//! A hub for one turn, to see a runtime work in the place it was installed to.
//!
//! ```console
//! $ cargo run --example one_turn -- shell 'echo $((6*7))' 42
//! ws://127.0.0.1:40123/ws/runtime
//! ```
//!
//! It prints its address, waits for a runtime that comes with the token
//! `one-turn`, writes the message to the endpoint, and prints what the agent says.
//! Exit code 0: the expected text was in it and the turn ended.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use amurg_runtime::loopback::{LoopbackHub, Options};
use amurg_runtime::protocol::Dialect;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, message, expected] = arguments.as_slice() else {
        eprintln!("usage: one_turn ENDPOINT MESSAGE EXPECTED");
        return ExitCode::from(64);
    };
    match turn(endpoint, message, expected) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("one_turn: {why}");
            ExitCode::FAILURE
        }
    }
}

fn turn(endpoint: &str, message: &str, expected: &str) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let hub = LoopbackHub::start(Options::new(Dialect::Agent, "one-turn")).map_err(|e| told(&e))?;
    println!("{}", hub.url());
    let client = hub.client();
    let deadline = Instant::now() + Duration::from_secs(90);
    client.wait_registered(deadline).map_err(|_| told(&"no runtime came"))?;
    let session = client.create_session(endpoint, "somebody");
    let turn = client.send_message(&session, message);
    let ended = client.wait_for(deadline, |frame| {
        (frame.is("turn.completed") && frame.text_of("in_response_to") == turn).then_some(())
    });
    let said: String = client.output(&session).into_iter().map(|output| output.content).collect();
    print!("{said}");
    ended.map_err(|_| told(&"the turn did not end"))?;
    if said.contains(expected) { Ok(()) } else { Err(format!("{expected:?} was not said")) }
}
