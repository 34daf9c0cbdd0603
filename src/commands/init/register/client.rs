//! The hub over HTTP: one POST, one answer, each with a bound.

use std::fmt;
use std::time::Duration;

use ureq::http::{HeaderMap, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

use crate::agent::http::proxy;
use crate::config::url::HUB_PATH;
use crate::config::{Hub, HubUrl};
use crate::hub::proxy::ProxySettings;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest answer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A hub that can be asked.
pub struct Client {
    agent: Agent,
    base: String,
}

/// What a hub answered.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Retry-After`, where it holds seconds.
    pub retry_after: Option<Duration>,
    /// `Location`, where there is one.
    pub location: Option<String>,
    /// The body; it may hold a token.
    pub body: Zeroizing<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// What the configuration or the environment says cannot be used.
    Setup(String),
    /// What the connection said.
    Failed(Box<Error>),
}

impl NoAnswer {
    /// Why, and what to do where that is known.
    pub fn told(&self) -> String {
        let text = self.to_string();
        match hint(&text) {
            Some(hint) => format!("{text}; {hint}"),
            None => text,
        }
    }

    /// Why, in a few words that fit into a line.
    pub fn short(&self) -> String {
        let text = self.to_string();
        match text.char_indices().nth(40) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(why) => f.write_str(why),
            Self::Failed(error) => match &**error {
                Error::Timeout(_) => write!(f, "nothing came within {} s", PATIENCE.as_secs()),
                Error::HostNotFound => f.write_str("its name is not known"),
                // The innermost words alone: the outer ones repeat the kind.
                Error::Io(error) => write!(f, "{error}"),
                error => write!(f, "{error}"),
            },
        }
    }
}

/// What a person can do about an error of TLS.
#[cfg(feature = "tls")]
fn hint(error: &str) -> Option<String> {
    crate::hub::tls::hint(error)
}

/// What a person can do about an error of TLS: there is none here.
#[cfg(not(feature = "tls"))]
fn hint(_: &str) -> Option<String> {
    None
}

impl Client {
    /// A client for the hub, with its roots and certificates, through the
    /// environment's proxy.
    ///
    /// # Errors
    /// When one of these cannot be used.
    pub fn new(hub: &Hub) -> Result<Self, NoAnswer> {
        let base = base(&hub.url);
        let proxy = proxy::of(&ProxySettings::from_env(), &base)
            .map_err(|failure| NoAnswer::Setup(failure.told(&base, PATIENCE)))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(proxy)
            .timeout_global(Some(PATIENCE))
            .build();
        let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
        #[cfg(feature = "tls")]
        let connector = {
            let tls = crate::hub::tls::connector(hub)
                .map_err(|error| NoAnswer::Setup(error.to_string()))?;
            connector.chain(crate::agent::http::tls::Tls::made(tls))
        };
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(Self { agent, base })
    }

    /// Where the hub's pages begin, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Posts JSON, or nothing, and waits for the whole answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn post(&self, path: &str, body: Option<&str>) -> Result<Reply, NoAnswer> {
        let failed = |error| NoAnswer::Failed(Box::new(error));
        let request = self.agent.post(format!("{}{path}", self.base));
        let answer = match body {
            Some(body) => request.content_type("application/json").send(body),
            None => request.send_empty(),
        };
        let mut answer = answer.map_err(failed)?;
        let seconds = text(answer.headers(), &header::RETRY_AFTER).and_then(|s| s.parse().ok());
        Ok(Reply {
            status: answer.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            location: text(answer.headers(), &header::LOCATION),
            body: Zeroizing::new(
                answer.body_mut().with_config().limit(LONGEST).read_to_string().map_err(failed)?,
            ),
        })
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The hub's pages, from the address of its socket.
fn base(url: &HubUrl) -> String {
    let text = url.text.trim_end_matches('/');
    let text = text.strip_suffix(HUB_PATH).unwrap_or(text);
    // ws becomes http, wss becomes https.
    text.replacen("ws", "http", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::url::parse_hub;

    #[test]
    fn pages_lie_beside_the_socket() {
        for (url, expected) in [
            ("ws://localhost:8090/ws/runtime", "http://localhost:8090"),
            ("ws://wsws.example/ws/runtime?key=x", "http://wsws.example"),
            ("ws://[::1]:80/amurg/ws/runtime/", "http://[::1]:80/amurg"),
            ("ws://hub/", "http://hub"),
            ("ws://hub/other", "http://hub/other"),
        ] {
            assert_eq!(base(&parse_hub(url).unwrap()), expected);
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_stays_tls() {
        assert_eq!(base(&parse_hub("wss://hub/ws/runtime").unwrap()), "https://hub");
    }
}
