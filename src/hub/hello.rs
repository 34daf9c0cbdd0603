//! The hello and its answer, on a socket that has a deadline.
//!
//! Nothing but the hello is sent before the answer: what lay behind a hello
//! that is refused would turn the hub's close into a reset, which can swallow
//! the refusal. A hub registers us before it answers, so messages may come
//! first; they are kept for whoever handles messages.

use log::warn;
use tungstenite::{Error, Message, WebSocket};

use super::dial::{DialError, DialFailure, DialPlan};
use super::socket::Stream;
use crate::logging::Quoted;
use crate::protocol::inbound::{self, Inbound};
use crate::protocol::outbound;

/// Says hello and waits for the answer. Returns what came before it.
///
/// # Errors
/// When the hub refuses, ends the connection or does not answer in time.
pub fn register(
    websocket: &mut WebSocket<Stream>,
    plan: &DialPlan,
    host: &str,
) -> Result<Vec<Inbound>, DialFailure> {
    let frame =
        outbound::hello(&plan.runtime_id, &plan.token, plan.org_id.as_deref(), &plan.registrations);
    let mut early = Early { messages: Vec::new(), bytes: 0 };
    let outcome = websocket
        .send(Message::text(frame.text))
        .map_err(|error| ended(plan, host, &error))
        .and_then(|()| wait(websocket, plan, host, &mut early));
    match outcome {
        Ok(()) => Ok(early.messages),
        Err(error) if error.is_refusal() => Err(error.into()),
        Err(error) => Err(DialFailure { error, early: early.messages }),
    }
}

/// What came before the answer.
struct Early {
    messages: Vec<Inbound>,
    bytes: usize,
}

fn wait(
    websocket: &mut WebSocket<Stream>,
    plan: &DialPlan,
    host: &str,
    early: &mut Early,
) -> Result<(), DialError> {
    loop {
        let text = match websocket.read() {
            Ok(Message::Text(text)) => text,
            Ok(_) => continue,
            Err(error) => return Err(ended(plan, host, &error)),
        };
        early.bytes += text.len();
        match inbound::decode(&text) {
            Ok(Inbound::HelloAck { ok: true, .. }) => return Ok(()),
            Ok(Inbound::HelloAck { ok: false, error }) => {
                let error = without_token(&error.unwrap_or_default(), plan);
                return Err(DialError::Refused { host: host.to_owned(), error });
            }
            Ok(message) if early.bytes <= plan.largest_message => early.messages.push(message),
            Ok(_) => return Err(DialError::TooMuchBeforeAck { host: host.to_owned() }),
            Err(error) => warn!("message skipped error={}", Quoted(&error.to_string())),
        }
    }
}

fn ended(plan: &DialPlan, host: &str, error: &Error) -> DialError {
    let host = host.to_owned();
    match error {
        Error::Io(error) if super::dial_error::is_timeout(error) => {
            DialError::NoAck { host, waited: plan.limits.ack }
        }
        error => DialError::EndedBeforeAck { host, error: without_token(&error.to_string(), plan) },
    }
}

/// A hub may quote the token it refuses; it must not get into a log.
fn without_token(text: &str, plan: &DialPlan) -> String {
    let token = plan.token.expose();
    if token.is_empty() { text.to_owned() } else { text.replace(token, "(token)") }
}
