//! The opening handshake of a WebSocket (RFC 6455 section 4): heads of HTTP/1.1, and
//! the proof that whoever answered understood what was asked.
//!
//! What both sides have in common; tungstenite's own comes with a second set of HTTP
//! types beside those of HTTP agents. It does not know who asks whom for what.

mod head;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::Header;
use sha1::{Digest as _, Sha1};

pub use head::{Head, read};

/// Most headers of a head that is read; hubs behind proxies send about twenty.
pub const MOST_HEADERS: usize = 128;

/// What a server appends to the key (RFC 6455 section 1.3).
const SERVER: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A new `Sec-WebSocket-Key`: 16 random bytes. It keeps caches from answering, not
/// anybody from guessing.
pub fn key() -> String {
    BASE64.encode(fastrand::u128(..).to_ne_bytes())
}

/// The `Sec-WebSocket-Accept` that belongs to a key.
pub fn accept(key: &str) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(SERVER).finalize())
}

/// Whether this is a key: 16 bytes.
pub fn is_key(key: &str) -> bool {
    BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// What a header says, if it is there and text.
pub fn value<'h>(headers: &[Header<'h>], name: &str) -> Option<&'h str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok()
}

/// Whether a header is there and says anything, be it text or not.
pub fn says(headers: &[Header<'_>], name: &str) -> bool {
    let mut named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    named.any(|header| !header.value.trim_ascii().is_empty())
}

/// Whether a header's list holds `word`; case does not count (RFC 9110 section 5.6.1).
pub fn lists(headers: &[Header<'_>], name: &str, word: &str) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| header.value.split(|&byte| byte == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_the_one_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn every_key_is_one_and_another() {
        let (first, second) = (key(), key());
        assert!(is_key(&first) && is_key(&second) && first != second);
        assert!(!is_key("dGhlIHNhbXBsZQ==") && !is_key("no key at all, really!!!"));
    }

    #[test]
    fn headers_are_found_whatever_their_case_and_lists_in_several_lines() {
        let header = |name, value: &'static str| Header { name, value: value.as_bytes() };
        let headers = [
            header("CONNECTION", "keep-alive"),
            header("connection", "x, uPgrade"),
            header("A", "b"),
        ];
        assert!(lists(&headers, "Connection", "upgrade"));
        assert!(!lists(&headers, "Connection", "up") && !lists(&headers, "Upgrade", "upgrade"));
        assert_eq!((value(&headers, "a"), value(&headers, "b")), (Some("b"), None));
    }
}
