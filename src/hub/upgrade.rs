//! The client's side of the WebSocket handshake, and what a person can do about one
//! that fails.
//!
//! It knows nothing of hellos.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Instant;

use httparse::Header;
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::dial::{DialError, DialPlan, authority, websocket_config};
use super::socket::Stream;
use crate::handshake::{self, Head, MOST_HEADERS, lists, value};
use crate::logging::Quoted;
use crate::secret::Secret;

/// Makes a WebSocket of a stream.
///
/// # Errors
/// When the server answers otherwise, or not by `deadline`.
pub fn upgrade(
    mut stream: Stream,
    plan: &DialPlan,
    deadline: Instant,
) -> Result<WebSocket<Stream>, DialError> {
    let host = authority(plan);
    let key = handshake::key();
    stream.socket_mut().set_deadline(deadline);
    let Head { head, rest } =
        ask(&mut stream, plan, &host, &key).map_err(|error| failed(plan, &host, &error))?;

    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let code = answer.parse(&head).ok().and(answer.code).filter(|_| answer.version == Some(1));
    match code {
        Some(101) if is_accepted(answer.headers, &key) => {
            let config = websocket_config(plan.largest_message);
            Ok(WebSocket::from_partially_read(stream, rest, Role::Client, Some(config)))
        }
        Some(status) if status != 101 => {
            let reason = answer.reason.unwrap_or_default();
            Err(refused(host, status, reason, value(answer.headers, "Location")))
        }
        _ => Err(told(host, "what answers there does not speak it", None)),
    }
}

/// Sends the request (RFC 6455 section 4.1) and reads the answer's head.
fn ask(stream: &mut Stream, plan: &DialPlan, host: &str, key: &str) -> io::Result<Head> {
    // Hubs read the token from the hello; the header is for proxies on the way. What
    // cannot stand in one stays out of it.
    let token = Some(plan.token.expose()).filter(|token| {
        token.bytes().all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic())
    });
    let bearer = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let bearer = Secret::new(bearer);
    let request = Secret::new(format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         User-Agent: amurg-runtime/{}\r\n{}\r\n",
        plan.hub.url.path,
        env!("CARGO_PKG_VERSION"),
        bearer.expose()
    ));
    stream.write_all(request.expose().as_bytes())?;
    stream.flush()?;
    handshake::read(stream)
}

/// Whether the server understood, and agreed to no more than it was asked for.
fn is_accepted(headers: &[Header<'_>], key: &str) -> bool {
    lists(headers, "Upgrade", "websocket")
        && lists(headers, "Connection", "upgrade")
        && value(headers, "Sec-WebSocket-Accept") == Some(handshake::accept(key).as_str())
        && value(headers, "Sec-WebSocket-Extensions").is_none()
        && value(headers, "Sec-WebSocket-Protocol").is_none()
}

/// What a server means that answers with another status.
fn refused(host: String, status: u16, reason: &str, location: Option<&str>) -> DialError {
    let said = if reason.is_empty() {
        format!("status {status}")
    } else {
        format!("status {status} {}", Quoted(reason))
    };
    match status {
        401 | 403 => DialError::Unauthorized { host, status },
        404 => told(host, said, Some("check the path in hub.url; it normally is /ws/runtime")),
        300..=399 => {
            let to = location.unwrap_or("somewhere else");
            let said = format!("{said}, it sends us to {}", Quoted(to));
            told(host, said, Some("set hub.url to the right address"))
        }
        502..=504 => told(host, said, Some("the hub behind that proxy is away")),
        _ => told(host, said, None),
    }
}

/// What a stream means that fails.
fn failed(plan: &DialPlan, host: &str, error: &io::Error) -> DialError {
    let host = host.to_owned();
    if super::dial_error::is_timeout(error) {
        let limit = plan.limits.handshake;
        return DialError::TimedOut { host, step: "the WebSocket handshake", limit };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return told(host, "it closed the connection", None);
    }
    let said = error.to_string();
    let hint = hint(&said);
    told(host, said, hint.as_deref())
}

fn told(host: String, error: impl Display, hint: Option<&str>) -> DialError {
    DialError::Upgrade { host, error: error.to_string(), hint: hint.map(str::to_owned) }
}

/// With TLS 1.3 a server refuses a client's certificate only after the handshake.
#[cfg(feature = "tls")]
fn hint(error: &str) -> Option<String> {
    super::tls::hint(error)
}

#[cfg(not(feature = "tls"))]
fn hint(_error: &str) -> Option<String> {
    None
}
