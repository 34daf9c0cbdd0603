//! Addresses of the hub and of HTTP agents, taken apart and checked.
//!
//! Only what a gateway needs of a URL. No error repeats the address: it may hold
//! a password.

use std::net::Ipv6Addr;

use super::types::HubUrl;

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

fn bad(message: &str, hint: impl Into<String>) -> BadUrl {
    BadUrl { message: message.to_owned(), hint: hint.into() }
}

/// Path hubs listen at.
pub const HUB_PATH: &str = "/ws/runtime";

/// Reads the hub's address.
///
/// # Errors
/// Anything but `ws://` or `wss://` with a host, and without user information or fragment.
pub fn parse_hub(text: &str) -> Result<HubUrl, BadUrl> {
    let parts = parse(text, ["ws", "wss"])?;
    if parts.path.contains(['<', '>', '"', '`']) {
        return Err(bad("has a path with what no address holds", "percent-encode it"));
    }
    let shown_path = parts.path.split('?').next().unwrap_or_default();
    Ok(HubUrl {
        // Without the query, which may hold a secret.
        text: format!("{}://{}{}", parts.scheme, parts.authority, shown_path),
        tls: parts.scheme == "wss",
        host: parts.host,
        port: parts.port,
        path: parts.path,
    })
}

/// Checks the address of an HTTP agent.
///
/// # Errors
/// Anything but `http://` or `https://` with a host, and without user information or fragment.
pub fn check_http(text: &str) -> Result<(), BadUrl> {
    parse(text, ["http", "https"]).map(|_| ())
}

struct Parts {
    scheme: &'static str,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

/// `schemes`: the plain one and the one over TLS.
fn parse(text: &str, schemes: [&'static str; 2]) -> Result<Parts, BadUrl> {
    let [plain, secure] = schemes;
    let form = format!("write it as {secure}://host:port/path or {plain}://host:port/path");
    if text.is_empty() {
        return Err(bad("is empty", form));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(bad("holds a space or a control character", "percent-encode it or remove it"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(bad("has no scheme", form));
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some(scheme) = schemes.into_iter().find(|known| *known == scheme) else {
        let hint = match scheme.as_str() {
            "http" | "ws" => format!("use {plain}://"),
            "https" | "wss" => format!("use {secure}://"),
            _ => form,
        };
        return Err(bad(&format!("is neither {plain}:// nor {secure}://"), hint));
    };
    if scheme == secure && !cfg!(feature = "tls") {
        let hint = format!("use {plain}://, or a build with the feature tls");
        return Err(bad("needs TLS, which this build does not have", hint));
    }
    if rest.contains('#') {
        return Err(bad("holds a fragment (#…)", "remove everything from the # on"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        let hint = match plain {
            "ws" => "remove it; the token goes into hub.token",
            _ => "remove it; put credentials into http.headers",
        };
        return Err(bad("holds a user name or password", hint));
    }
    let (host, port) = split_port(authority)?;
    if !path.is_ascii() {
        return Err(bad("has a path that is not ASCII", "percent-encode it"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let port = match port {
        Some(port) => Some(port)
            .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|port| port.parse().ok())
            .filter(|port: &u16| *port > 0)
            .ok_or_else(|| bad("has a bad port", "a port is a number from 1 to 65535"))?,
        None if scheme == secure => 443,
        None => 80,
    };
    Ok(Parts { scheme, authority: authority.to_owned(), host: host.to_owned(), port, path })
}

/// Host without brackets, and the text of the port.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), BadUrl> {
    if let Some(rest) = authority.strip_prefix('[') {
        let hint = "write an IPv6 address as [::1] or [::1]:8090";
        let (host, rest) = rest.split_once(']').ok_or_else(|| bad("has a bad host", hint))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(bad("has a bad IPv6 address", hint));
        }
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err(bad("has a bad host", hint)),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(bad("has no host", "name the host after ://"));
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        let hint = if host.is_ascii() {
            "a host is letters, digits, dots and hyphens, or [IPv6]"
        } else {
            "write an international name in its xn-- form"
        };
        return Err(bad("has a bad host", hint));
    }
    if port.is_some_and(|port| port.contains(':')) {
        return Err(bad("has a bad host", "put an IPv6 address into brackets: [::1]"));
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_hubs_address_apart() {
        for (text, tls, host, port, path) in [
            ("ws://localhost:8090/ws/runtime", false, "localhost", 8090, "/ws/runtime"),
            ("ws://hub", false, "hub", 80, "/"),
            ("ws://[::1]:8080/ws/runtime", false, "::1", 8080, "/ws/runtime"),
            ("WS://10.0.0.1?x=y", false, "10.0.0.1", 80, "/?x=y"),
        ] {
            let url = parse_hub(text).unwrap();
            assert_eq!(
                (url.tls, url.host.as_str(), url.port, url.path.as_str()),
                (tls, host, port, path),
                "{text}"
            );
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn takes_a_hubs_address_over_tls_apart() {
        let url = parse_hub("wss://hub.example/ws/runtime?key=secret").unwrap();
        assert!(url.tls);
        assert_eq!(url.port, 443);
        assert_eq!(url.path, "/ws/runtime?key=secret");
        assert_eq!(url.text, "wss://hub.example/ws/runtime");
    }

    #[test]
    fn says_what_is_wrong_without_repeating_the_address() {
        for (text, message, hint) in [
            ("", "is empty", "ws://host:port/path"),
            ("hunter2", "no scheme", "wss://host"),
            ("http://hunter2", "neither ws://", "use ws://"),
            ("https://hunter2", "neither ws://", "use wss://"),
            ("ftp://hunter2", "neither ws://", "write it as"),
            ("ws://", "no host", "name the host"),
            ("ws://:80", "no host", "name the host"),
            ("ws://me:hunter2@hub/", "user name or password", "hub.token"),
            ("ws://hub:hunter2/", "bad port", "65535"),
            ("ws://hub:0/", "bad port", "65535"),
            ("ws://hub:+1/", "bad port", "65535"),
            ("ws://hub:65536/", "bad port", "65535"),
            ("ws://hub:/", "bad port", "65535"),
            ("ws://hub/#hunter2", "fragment", "remove"),
            ("ws://hub/a b", "space", "percent-encode"),
            ("ws://hub/\r\nX: y", "control character", "percent-encode"),
            ("ws://::1:8090/", "no host", "name the host"),
            ("ws://fe80::1/", "bad host", "brackets"),
            ("ws://[::1/", "bad host", "[::1]"),
            ("ws://[hunter2]/", "bad IPv6", "[::1]"),
            ("ws://[::1]x/", "bad host", "[::1]"),
            ("ws://hüb/", "bad host", "xn--"),
            ("ws://hub/ä", "not ASCII", "percent-encode"),
            ("ws://hub/?a=<b>", "no address holds", "percent-encode"),
        ] {
            let error = parse_hub(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(error.hint.contains(hint), "{text}: {error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{text}: {error:?}");
        }
        assert!(check_http("ws://api/").unwrap_err().hint.contains("use http://"));
        assert!(check_http("http://u:p@api/").unwrap_err().hint.contains("http.headers"));
        assert_eq!(check_http("http://localhost:9000/chat?x=1"), Ok(()));
    }
}
