//! HTTP proxies: which one is meant for a target, and the way through it.
//!
//! `HTTPS_PROXY` is for `wss` and `https`, `HTTP_PROXY` for `ws` and `http`,
//! `NO_PROXY` names what is reached directly; each also in lower case. This
//! machine itself is never reached through a proxy. It knows how CONNECT is
//! said, not how a socket is made.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::handshake::{self, MOST_HEADERS};
use crate::logging::Quoted;
use crate::secret::Secret;

/// The environment's word on proxies, as it was when it was read.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    https: Option<Secret>,
    http: Option<Secret>,
    none: String,
}

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, 80 where none is given.
    pub port: u16,
    /// `Proxy-Authorization`, where the address holds user and password.
    authorization: Option<Secret>,
}

/// Why there is no way through a proxy.
#[derive(Debug)]
pub enum ProxyError {
    /// The variable holds no address of an HTTP proxy.
    Setting {
        /// Which variable.
        variable: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The socket failed.
    Io(io::Error),
    /// The proxy refused.
    Refused {
        /// Its HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
    /// What came is no answer of an HTTP proxy.
    Answer(&'static str),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { variable, why } => {
                write!(f, "{variable} {why}; it should look like http://host:port")
            }
            Self::Io(error) => write!(f, "{error}; is it running?"),
            Self::Refused { status: 407, .. } => f.write_str(
                "it asks for a user and password; put them into its address, http://user:password@host:port",
            ),
            Self::Refused { status, reason } => {
                let reason = Quoted(reason);
                write!(f, "it refused the connection: {status} {reason}; does it let CONNECT through?")
            }
            Self::Answer(why) => {
                write!(f, "it does not answer like an HTTP proxy: {why}; is its address right?")
            }
        }
    }
}

impl std::error::Error for ProxyError {}

impl ProxySettings {
    /// What the process's environment says.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// What `variable` says; an empty value is none.
    pub fn from_lookup(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |upper: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.is_empty());
            set(upper).or_else(|| set(&upper.to_ascii_lowercase()))
        };
        Self {
            https: get("HTTPS_PROXY").map(Secret::new),
            http: get("HTTP_PROXY").map(Secret::new),
            none: get("NO_PROXY").unwrap_or_default(),
        }
    }

    /// The proxy for a target, if there is to be one.
    ///
    /// # Errors
    /// When the variable that applies holds no address of an HTTP proxy.
    pub fn for_target(
        &self,
        tls: bool,
        host: &str,
        port: u16,
    ) -> Result<Option<Proxy>, ProxyError> {
        let Some((_, proxy)) = self.address_for(tls, host, port)? else { return Ok(None) };
        Ok(Some(proxy))
    }

    /// The same, with the address as the variable holds it.
    ///
    /// # Errors
    /// As [`ProxySettings::for_target`].
    pub fn address_for(
        &self,
        tls: bool,
        host: &str,
        port: u16,
    ) -> Result<Option<(&Secret, Proxy)>, ProxyError> {
        let (variable, value) =
            if tls { ("HTTPS_PROXY", &self.https) } else { ("HTTP_PROXY", &self.http) };
        match value {
            Some(value) if !is_loopback(host) && !self.is_excluded(host, port) => {
                let proxy = Proxy::parse(value.expose());
                proxy
                    .map(|proxy| Some((value, proxy)))
                    .map_err(|why| ProxyError::Setting { variable, why })
            }
            _ => Ok(None),
        }
    }

    fn is_excluded(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        self.none.split([',', ' ']).map(str::trim).filter(|rule| !rule.is_empty()).any(|rule| {
            if rule == "*" {
                return true;
            }
            let rule = rule.to_ascii_lowercase();
            if let Some(inside) = address.and_then(|address| in_network(&rule, address)) {
                return inside;
            }
            let (name, rule_port) = split_port(&rule);
            if rule_port.is_some_and(|rule_port| rule_port != port) {
                return false;
            }
            let name = name.strip_prefix("*.").or_else(|| name.strip_prefix('.')).unwrap_or(name);
            host == name
                || (address.is_none()
                    && host.strip_suffix(name).is_some_and(|front| front.ends_with('.')))
        })
    }
}

/// Whether the host is this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

/// Whether the address lies in the network `rule`; `None` when that is no network.
fn in_network(rule: &str, address: IpAddr) -> Option<bool> {
    let (network, bits) = rule.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    Some(match (network.parse().ok()?, address.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let differing = network.to_bits() ^ address.to_bits();
            differing.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    })
}

/// `host:port`, `[v6]:port`, or only the host; brackets are taken off.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (text, None),
    }
}

impl Proxy {
    fn parse(value: &str) -> Result<Self, &'static str> {
        let rest = match value.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("names a kind of proxy that is not supported"),
            None => value,
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let (user, target) = match authority.rsplit_once('@') {
            Some((user, target)) => (Some(user), target),
            None => (None, authority),
        };
        let (host, port) = split_port(target);
        let has_port = target.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
        if host.is_empty() || (has_port && port.is_none()) {
            return Err("holds no host and port");
        }
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut pair = percent_decoded(name);
            pair.push(b':');
            pair.extend(percent_decoded(password));
            Secret::new(format!("Basic {}", BASE64.encode(pair)))
        });
        Ok(Self { host: host.to_owned(), port: port.unwrap_or(80), authorization })
    }

    /// Asks for a way to `host:port` on a socket that is connected to the proxy.
    ///
    /// # Errors
    /// When the proxy refuses or does not answer like one.
    pub fn tunnel(
        &self,
        stream: &mut (impl Read + Write),
        host: &str,
        port: u16,
    ) -> Result<(), ProxyError> {
        let target =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let authorization = self
            .authorization
            .as_ref()
            .map_or(String::new(), |value| format!("Proxy-Authorization: {}\r\n", value.expose()));
        let request = Secret::new(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}User-Agent: amurg-runtime\r\n\r\n"
        ));
        stream.write_all(request.expose().as_bytes()).map_err(ProxyError::Io)?;
        let answer = handshake::read(stream).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ProxyError::Answer("it closed the connection"),
            io::ErrorKind::InvalidData => ProxyError::Answer("its answer has no end"),
            _ => ProxyError::Io(error),
        })?;
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&answer.head).map_err(|_| ProxyError::Answer("its answer is not HTTP"))?;
        match parsed.code {
            Some(200..300) if answer.rest.is_empty() => Ok(()),
            Some(200..300) => Err(ProxyError::Answer("it sent something before the hub could")),
            Some(status) => Err(ProxyError::Refused {
                status,
                reason: parsed.reason.unwrap_or_default().to_owned(),
            }),
            None => Err(ProxyError::Answer("its answer has no status")),
        }
    }
}

/// `%41` becomes `A`; anything else stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high)
                    .zip(digit(low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> ProxySettings {
        ProxySettings::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy_for(variables: &[(&str, &str)], tls: bool, host: &str) -> Option<String> {
        let found = settings(variables).for_target(tls, host, 8443).unwrap();
        found.map(|proxy| format!("{}:{}", proxy.host, proxy.port))
    }

    #[test]
    fn each_scheme_has_its_variable_in_either_case() {
        let both = [("HTTPS_PROXY", "http://secure:1"), ("http_proxy", "plain:2")];
        assert_eq!(proxy_for(&both, true, "hub"), Some("secure:1".into()));
        assert_eq!(proxy_for(&both, false, "hub"), Some("plain:2".into()));
        assert_eq!(proxy_for(&both[1..], true, "hub"), None);
        assert_eq!(proxy_for(&[("HTTPS_PROXY", "")], true, "hub"), None);
    }

    #[test]
    fn this_machine_is_never_proxied() {
        for host in
            ["localhost", "LOCALHOST.", "a.localhost", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
        {
            assert_eq!(proxy_for(&[("HTTPS_PROXY", "p:1")], true, host), None, "{host}");
        }
    }

    #[test]
    fn no_proxy_excludes_names_suffixes_ports_addresses_and_networks() {
        let excluded = |none: &str, host: &str| {
            proxy_for(&[("HTTPS_PROXY", "p:1"), ("no_proxy", none)], true, host).is_none()
        };
        for (none, host) in [
            ("*", "anything"),
            ("a.b, hub.example", "hub.example"),
            ("example", "hub.example"),
            (".example", "hub.example"),
            ("*.example", "hub.Example."),
            ("hub.example:8443", "hub.example"),
            ("10.0.0.0/8", "10.200.3.4"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("fd00::/8", "fd12::1"),
            ("[fd12::1]:8443", "fd12::1"),
        ] {
            assert!(excluded(none, host), "{none} excludes {host}");
        }
        for (none, host) in [
            ("hub.example:443", "hub.example"),
            ("xample", "hub.example"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("2.1", "192.0.2.1"),
            ("10.0.0.0/99", "10.0.0.1"),
            (",, ", "hub.example"),
        ] {
            assert!(!excluded(none, host), "{none} does not exclude {host}");
        }
    }

    #[test]
    fn an_address_that_is_no_http_proxy_is_an_error_that_does_not_show_it() {
        for value in
            ["socks5://u:hunter2@p:1", "https://p:1", "http://", "p:port", "http://u:hunter2@:80"]
        {
            let error =
                settings(&[("HTTPS_PROXY", value)]).for_target(true, "hub", 443).unwrap_err();
            let told = error.to_string();
            assert!(told.starts_with("HTTPS_PROXY ") && !told.contains("hunter2"), "{told}");
        }
    }

    /// A proxy that says `answer`; what it was asked.
    fn ask(address: &str, answer: &str) -> (Result<(), ProxyError>, String) {
        struct Talk(Cursor<Vec<u8>>, Vec<u8>);
        impl Read for Talk {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Write for Talk {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.1.write(buffer)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut talk = Talk(Cursor::new(answer.into()), Vec::new());
        let outcome = Proxy::parse(address).unwrap().tunnel(&mut talk, "fd12::1", 443);
        (outcome, String::from_utf8(talk.1).unwrap())
    }

    #[test]
    fn a_tunnel_is_asked_for_with_user_and_password() {
        let (outcome, asked) =
            ask("http://me:p%40ss@proxy", "HTTP/1.1 200 Connection established\r\n\r\n");
        assert!(outcome.is_ok());
        assert!(
            asked.starts_with("CONNECT [fd12::1]:443 HTTP/1.1\r\nHost: [fd12::1]:443\r\n"),
            "{asked}"
        );
        let expected = format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode("me:p@ss"));
        assert!(asked.contains(&expected), "{asked}");
    }

    #[test]
    fn refusals_and_nonsense_are_told() {
        for (answer, told) in [
            ("HTTP/1.1 407 Auth\r\n\r\n", "user and password"),
            ("HTTP/1.1 403 No way\r\n\r\n", "403 \"No way\""),
            ("SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "before the hub"),
            ("", "closed"),
        ] {
            let error = ask("proxy:8080", answer).0.unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
