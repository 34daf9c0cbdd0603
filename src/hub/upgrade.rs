//! The client's side of the WebSocket handshake, and what a person can do about one
//! that fails.
//!
//! It knows nothing of hellos.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Instant;

use httparse::{Header, Status};
use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::dial::{DialError, DialPlan, authority, websocket_config};
use super::socket::Stream;
use crate::handshake::{self, Head, MOST_HEADERS, lists, says, value};
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

    judge(&head, &key, host)?;
    let config = websocket_config(plan.largest_message);
    Ok(WebSocket::from_partially_read(stream, rest, Role::Client, Some(config)))
}

/// Whether an answer's head makes a WebSocket.
fn judge(head: &[u8], key: &str, host: String) -> Result<(), DialError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    // A head that ends before its empty line would leave bytes that nobody reads.
    let whole = answer.parse(head) == Ok(Status::Complete(head.len()));
    match answer.code.filter(|_| whole && answer.version == Some(1)) {
        Some(101) if is_accepted(answer.headers, key) => Ok(()),
        Some(status) if status != 101 => {
            let reason = answer.reason.unwrap_or_default();
            Err(refused(host, status, reason, value(answer.headers, "Location")))
        }
        _ => Err(told(host, "what answers there does not speak it", None)),
    }
}

/// Sends the request (RFC 6455 section 4.1) and reads the answer's head.
fn ask(stream: &mut Stream, plan: &DialPlan, host: &str, key: &str) -> io::Result<Head> {
    let request = Secret::new(format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         User-Agent: amurg-runtime/{}\r\n{}\r\n",
        plan.hub.url.path,
        env!("CARGO_PKG_VERSION"),
        authorization(plan.token.expose()).expose()
    ));
    stream.write_all(request.expose().as_bytes())?;
    stream.flush()?;
    handshake::read(stream)
}

/// The token as a header. Hubs read it from the hello; this is for proxies on the way.
/// What cannot stand in a header stays out of it.
fn authorization(token: &str) -> Secret {
    let fits = token.bytes().all(|byte| matches!(byte, b'\t' | b' ') || byte.is_ascii_graphic());
    let header = if fits { format!("Authorization: Bearer {token}\r\n") } else { String::new() };
    Secret::new(header)
}

/// Whether the server understood, and agreed to no more than it was asked for.
fn is_accepted(headers: &[Header<'_>], key: &str) -> bool {
    lists(headers, "Upgrade", "websocket")
        && lists(headers, "Connection", "upgrade")
        && value(headers, "Sec-WebSocket-Accept") == Some(handshake::accept(key).as_str())
        && !says(headers, "Sec-WebSocket-Extensions")
        && !says(headers, "Sec-WebSocket-Protocol")
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn outcome(first: &str, headers: &[&str]) -> Result<(), String> {
        let head = format!("{first}\r\n{}\r\n\r\n", headers.join("\r\n"));
        judge(head.as_bytes(), KEY, "hub:1".into()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_understood_the_question_is_a_websocket_however_it_words_that() {
        let first = "HTTP/1.1 101 Switching Protocols";
        for headers in [
            &["Upgrade: websocket", "Connection: Upgrade", ACCEPT][..],
            &[ACCEPT, "upgrade: WebSocket", "connection: keep-alive, upgrade", "Server: x"],
            &["Upgrade: websocket", "Connection: Upgrade", ACCEPT, "Sec-WebSocket-Extensions:"],
        ] {
            assert_eq!(outcome(first, headers), Ok(()), "{headers:?}");
        }
        let many: Vec<String> = (0..120).map(|number| format!("X-{number}: y")).collect();
        let mut headers = vec!["Upgrade: websocket", "Connection: Upgrade", ACCEPT];
        headers.extend(many.iter().map(String::as_str));
        assert_eq!(outcome(first, &headers), Ok(()));
    }

    #[test]
    fn what_did_not_is_none() {
        let right = ["Upgrade: websocket", "Connection: Upgrade", ACCEPT];
        let with = |more| [&right[..], &[more]].concat();
        for (first, headers) in [
            ("HTTP/1.1 101 X", right[..2].to_vec()),
            ("HTTP/1.1 101 X", right[1..].to_vec()),
            ("HTTP/1.1 101 X", vec![right[0], ACCEPT]),
            ("HTTP/1.1 101 X", vec![right[0], right[1], "Sec-WebSocket-Accept: AAAA"]),
            ("HTTP/1.1 101 X", vec!["Upgrade: h2c", right[1], ACCEPT]),
            ("HTTP/1.1 101 X", vec![right[0], "Connection: close", ACCEPT]),
            ("HTTP/1.1 101 X", with("Sec-WebSocket-Protocol: chat")),
            ("HTTP/1.1 101 X", with("Sec-WebSocket-Extensions: permessage-deflate")),
            ("HTTP/1.0 101 X", right.to_vec()),
            ("HTTP/1.1 101 X", with(" folded: y")),
            ("HTTP/1.1 101 X", with("A: b\n\nbytes of nobody")),
            ("SSH-2.0-OpenSSH_9", right.to_vec()),
        ] {
            let told = outcome(first, &headers).unwrap_err();
            assert!(told.contains("does not speak it"), "{first} {headers:?}: {told}");
        }
    }

    #[test]
    fn a_token_that_would_end_its_header_stays_out() {
        assert_eq!(authorization("t o\tk~").expose(), "Authorization: Bearer t o\tk~\r\n");
        for token in ["t\r\nX: y", "t\n", "ä", "\0", "\x7f"] {
            assert_eq!(authorization(token).expose(), "", "{token:?}");
        }
    }

    #[test]
    fn another_status_is_told_with_its_words() {
        let told = outcome("HTTP/1.1 103 Early Hints", &["Link: </x>"]).unwrap_err();
        assert!(told.contains("status 103 \"Early Hints\""), "{told}");
        let told = outcome("HTTP/1.1 500", &["A: b"]).unwrap_err();
        assert!(told.contains("status 500"), "{told}");
    }
}
