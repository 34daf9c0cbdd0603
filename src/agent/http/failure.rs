//! Why a request gave no whole answer, in words for the user: what happened, to
//! what, and what to do. URLs come without credentials and queries.

use std::fmt;
use std::io;
use std::time::Duration;

use humantime::format_duration;
use ureq::{Error, Timeout};

/// Why a request failed.
#[derive(Debug)]
pub enum Failure {
    /// `base_url`, `method` or `headers` make no request.
    Request(String),
    /// Redirected to another origin, shown without credentials.
    Elsewhere(String),
    /// More redirects in a row than are followed.
    Redirects(usize),
    /// A redirect to what is not a URL.
    Unreadable,
    /// The name took longer than the timeout to resolve.
    Resolving,
    /// No head of an answer came.
    Head(Error),
    /// The body broke off after so many bytes.
    Body {
        /// Bytes of the body that came.
        received: u64,
        /// What broke it off.
        error: Error,
    },
    /// Earlier requests still hang where they cannot be interrupted.
    Stuck(usize),
    /// The system gives no thread or descriptor.
    System(io::Error),
}

impl Failure {
    /// One line for the user. `url` is what was asked, fit to be shown;
    /// `timeout` is `http.timeout`.
    pub fn told(&self, url: &str, timeout: Duration) -> String {
        let timeout = format_duration(timeout);
        match self {
            Self::Request(what) => format!("No request could be made: {what}."),
            Self::Elsewhere(location) => format!(
                "{url} redirects to {location}, another origin: not followed. \
                 If the service has moved, change `http.base_url`."
            ),
            Self::Redirects(most) => {
                format!("{url} redirected more than {most} times: given up.")
            }
            Self::Unreadable => format!("{url} redirects to what is not a URL: not followed."),
            Self::Resolving => format!(
                "No answer from {url}: its name could not be resolved within {timeout}. \
                 Is the network there?"
            ),
            Self::Head(error) => format!("No answer from {url}: {}.", reason(error, &timeout)),
            Self::Body { received, error } => format!(
                "The answer of {url} broke off after {received} bytes: {}.",
                reason(error, &timeout)
            ),
            Self::Stuck(count) => format!(
                "No request was made: {count} earlier ones are still stuck while connecting. \
                 Try again in a moment."
            ),
            Self::System(error) => format!(
                "No request could be made: {error}. This machine is short of threads or \
                 open files; try again in a moment."
            ),
        }
    }
}

fn reason(error: &Error, timeout: &dyn fmt::Display) -> String {
    match error {
        Error::Timeout(Timeout::Connect) => {
            format!("no connection within {timeout} (is it running and reachable?)")
        }
        Error::Timeout(Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody) => {
            format!("it took nothing of the request for {timeout} (`http.timeout`)")
        }
        Error::Timeout(_) => format!("nothing came for {timeout} (`http.timeout`)"),
        Error::HostNotFound => "its name could not be resolved (check `http.base_url`)".into(),
        Error::LargeResponseHeader(_, most) => {
            format!("the head of its answer is longer than {most} bytes")
        }
        Error::ConnectProxyFailed(what) => {
            format!("the proxy refused: {what} (check HTTPS_PROXY, HTTP_PROXY and NO_PROXY)")
        }
        Error::TlsRequired => "this build has no TLS, so https:// cannot be used".into(),
        Error::Io(error) => io_reason(error),
        Error::Other(error) if error.is::<TlsFailure>() => {
            format!("{error} (`http.tls_ca_file` adds roots of your own)")
        }
        Error::BodyStalled | Error::Protocol(_) => format!("it does not speak HTTP/1.1 ({error})"),
        other => other.to_string(),
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused (is the service running?)".into(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "it closed the connection".into(),
        _ => error.to_string(),
    }
}

/// TLS could not be set up, or the peer was not accepted.
#[derive(Debug)]
pub struct TlsFailure(String);

#[cfg(feature = "tls")]
impl TlsFailure {
    /// `what` happened, in the words of the TLS library.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: &Failure) -> String {
        failure.told("http://h/a", Duration::from_secs(90))
    }

    #[test]
    fn every_failure_names_the_url_and_the_limit_that_fired() {
        let refused = Failure::Head(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        assert_eq!(
            told(&refused),
            "No answer from http://h/a: connection refused (is the service running?)."
        );
        let gap = Failure::Body { received: 7, error: Error::Timeout(Timeout::PerRead) };
        assert_eq!(
            told(&gap),
            "The answer of http://h/a broke off after 7 bytes: \
             nothing came for 1m 30s (`http.timeout`)."
        );
    }
}
