//! The WebSocket handshake.
//!
//! tungstenite writes the request and verifies the answer. The answer's head is
//! read here first and handed over whole: split into single bytes on the way it
//! would look like an attack to tungstenite's reader. It knows nothing of
//! hellos.

use std::io::{self, Cursor, Read, Write};
use std::time::Instant;

use tungstenite::client::{IntoClientRequest, client_with_config};
use tungstenite::handshake::HandshakeError;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use tungstenite::protocol::Role;
use tungstenite::{Error, WebSocket};

use super::dial::{DialError, DialPlan, authority, websocket_config};
use super::head;
use super::socket::Stream;
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
    let failed = |error: String, hint| DialError::Upgrade { host: host.clone(), error, hint };
    let url = &plan.hub.url;
    let scheme = if url.tls { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{host}{}", url.path)
        .into_client_request()
        .map_err(|error| failed(error.to_string(), Some("check hub.url".into())))?;
    let headers = request.headers_mut();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("amurg-runtime/", env!("CARGO_PKG_VERSION"))),
    );
    // Hubs read the token from the hello; the header is for proxies on the way.
    let bearer = Secret::new(format!("Bearer {}", plan.token.expose()));
    if let Ok(mut value) = HeaderValue::from_str(bearer.expose()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }

    stream.socket_mut().set_deadline(deadline);
    let mut exchange = Exchange { stream: &mut stream, answer: None, rest: Vec::new() };
    let outcome = client_with_config(request, &mut exchange, None).map(drop);
    outcome.map_err(|error| match error {
        HandshakeError::Failure(error) => explain(plan, &host, error),
        // A stream with a deadline never says that it would block.
        HandshakeError::Interrupted(_) => failed("the handshake was interrupted".into(), None),
    })?;
    let (rest, config) = (exchange.rest, websocket_config(plan.largest_message));
    Ok(WebSocket::from_partially_read(stream, rest, Role::Client, Some(config)))
}

fn explain(plan: &DialPlan, host: &str, error: Error) -> DialError {
    let host = host.to_owned();
    let upgrade = |error: String, hint: Option<&str>| DialError::Upgrade {
        host: host.clone(),
        error,
        hint: hint.map(str::to_owned),
    };
    match error {
        Error::Http(answer) => {
            let status = answer.status();
            let told = format!("status {status}");
            match status.as_u16() {
                status @ (401 | 403) => DialError::Unauthorized { host, status },
                404 => upgrade(told, Some("check the path in hub.url; it normally is /ws/runtime")),
                300..=399 => {
                    let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                    let to = to.unwrap_or("somewhere else");
                    upgrade(
                        format!("{told}, it sends us to {}", crate::logging::Quoted(to)),
                        Some("set hub.url to the right address"),
                    )
                }
                502..=504 => upgrade(told, Some("the hub behind that proxy is away")),
                _ => upgrade(told, None),
            }
        }
        Error::Io(error) if super::dial_error::is_timeout(&error) => DialError::TimedOut {
            host,
            step: "the WebSocket handshake",
            limit: plan.limits.handshake,
        },
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            upgrade("it closed the connection".into(), None)
        }
        Error::Protocol(_) => upgrade("what answers there does not speak it".into(), None),
        error => {
            let told = error.to_string();
            let hint = hint(&told);
            DialError::Upgrade { host, error: told, hint }
        }
    }
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

/// Passes the request on, and the answer's head back in one piece.
struct Exchange<'a> {
    stream: &'a mut Stream,
    answer: Option<Cursor<Vec<u8>>>,
    rest: Vec<u8>,
}

impl Read for Exchange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.answer.is_none() {
            let answer = head::read(self.stream)?;
            self.rest = answer.rest;
            self.answer = Some(Cursor::new(answer.head));
        }
        self.answer.as_mut().map_or(Ok(0), |answer| answer.read(buffer))
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
