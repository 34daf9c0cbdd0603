//! Why a dial did not end in a registered connection: one case for each step.
//!
//! Every message names the host and what can be done; none holds a token.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::connect::ConnectError;
use super::proxy::ProxyError;
#[cfg(feature = "tls")]
use super::tls::TlsError;
use crate::logging::Quoted;

/// See the module's head.
#[derive(Debug)]
pub enum DialError {
    /// No TCP connection to the hub, or to its proxy.
    Connect {
        /// Where to.
        target: String,
        /// What happened.
        error: ConnectError,
    },
    /// No way through the proxy.
    Proxy {
        /// Which.
        proxy: String,
        /// What happened.
        error: ProxyError,
    },
    /// No TLS.
    #[cfg(feature = "tls")]
    Tls {
        /// With whom.
        host: String,
        /// What happened.
        error: TlsError,
    },
    /// This program was built without TLS.
    #[cfg(not(feature = "tls"))]
    TlsNotBuilt {
        /// With whom.
        host: String,
    },
    /// The server does not take a WebSocket at that path.
    Upgrade {
        /// Which server.
        host: String,
        /// What it did instead.
        error: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The server refused the token before the hello: 401 or 403.
    Unauthorized {
        /// Which server.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The hub refused the hello.
    Refused {
        /// Which hub.
        host: String,
        /// The hub's reason, without the token.
        error: String,
    },
    /// The hub did not answer the hello in time.
    NoAck {
        /// Which hub.
        host: String,
        /// How long it had.
        waited: Duration,
    },
    /// The connection ended between hello and answer.
    EndedBeforeAck {
        /// Which hub.
        host: String,
        /// How it ended.
        error: String,
    },
    /// The hub sent more before its answer than is kept.
    TooMuchBeforeAck {
        /// Which hub.
        host: String,
    },
    /// A step took too long.
    TimedOut {
        /// With whom.
        host: String,
        /// Which step.
        step: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// The dial was called off.
    Cancelled,
}

impl DialError {
    /// Whether the token was refused: trying soon again would not help.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unauthorized { .. })
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { target, error } => {
                write!(f, "no connection to {target}: {error}; {}", error.advice())
            }
            Self::Proxy { proxy, error } => write!(f, "no way through the proxy {proxy}: {error}"),
            #[cfg(feature = "tls")]
            Self::Tls { host, error } => write!(f, "no TLS with {host}: {error}"),
            #[cfg(not(feature = "tls"))]
            Self::TlsNotBuilt { host } => write!(
                f,
                "no TLS with {host}: this program was built without it; use ws:// or a build with the feature `tls`"
            ),
            Self::Upgrade { host, error, hint } => {
                let hint = hint.as_deref().unwrap_or("is hub.url the address of an Amurg Hub?");
                write!(f, "no WebSocket with {host}: {error}; {hint}")
            }
            Self::Unauthorized { host, status } => {
                write!(f, "{host} refused the token with status {status}; check hub.token")
            }
            Self::Refused { host, error } => {
                let error = Quoted(error);
                write!(f, "{host} refused the hello: {error}; check hub.token and runtime.id")
            }
            Self::NoAck { host, waited } => {
                write!(
                    f,
                    "{host} did not answer the hello within {waited:?}; is it an Amurg Hub, and is it well?"
                )
            }
            Self::EndedBeforeAck { host, error } => {
                write!(
                    f,
                    "{host} ended the connection before it answered the hello: {}; is it an Amurg Hub, and is it well?",
                    Quoted(error)
                )
            }
            Self::TooMuchBeforeAck { host } => {
                write!(f, "{host} sent too much before it answered the hello; is it an Amurg Hub?")
            }
            Self::TimedOut { host, step, limit } => {
                write!(
                    f,
                    "{host}: {step} took longer than {limit:?}; is it overloaded, or does something on the way swallow packets?"
                )
            }
            Self::Cancelled => f.write_str("the dial was called off"),
        }
    }
}

impl std::error::Error for DialError {}

/// How long each step of a successful dial took.
#[derive(Clone, Debug)]
pub struct DialReport {
    /// Whose name was resolved: the hub's, or its proxy's.
    pub host: String,
    /// Where the TCP connection went: the hub, or its proxy.
    pub address: SocketAddr,
    /// The proxy, if there was one.
    pub proxy: Option<String>,
    /// Until when the hub's certificate is valid, as `2026-01-31T12:00:00Z`.
    pub certificate_until: Option<String>,
    /// Resolving the name.
    pub resolve: Duration,
    /// Connecting.
    pub connect: Duration,
    /// The proxy's CONNECT.
    pub tunnel: Option<Duration>,
    /// The TLS handshake, with reading the roots.
    pub tls: Option<Duration>,
    /// The WebSocket handshake.
    pub upgrade: Duration,
    /// From the hello to its answer.
    pub hello: Duration,
}

impl DialReport {
    /// How long all of it took.
    pub fn total(&self) -> Duration {
        let optional = self.tunnel.unwrap_or_default() + self.tls.unwrap_or_default();
        self.resolve + self.connect + optional + self.upgrade + self.hello
    }
}

/// Whether an error means that a deadline has passed.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}
