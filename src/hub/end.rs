//! How a connection ended, and what follows from that.

use std::fmt;
use std::io::{self, ErrorKind};

use super::liveness::Gone;
use crate::logging::Quoted;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The hub closed it; with its reason, where it gave one.
    Closed(String),
    /// It was reset, or what came was no WebSocket.
    Broken(String),
    /// The network or the host is gone.
    Lost(String),
    /// The hub was given up.
    GivenUp(Gone),
    /// We closed it for reasons of our own.
    Planned,
}

impl LinkEnd {
    /// The end that a socket's error means.
    pub fn failed(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Self::Lost(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }

    /// Whether the hub may still believe in that connection.
    pub fn is_unseen(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::GivenUp(_))
    }

    /// Whether something that was sent may have been the cause.
    pub fn may_be_poison(&self) -> bool {
        !matches!(self, Self::Planned | Self::GivenUp(Gone::AfterSuspend(_) | Gone::OnlyAsking))
    }

    /// Whether the hub ended it.
    pub fn is_by_hub(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Broken(_))
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) if reason.is_empty() => {
                f.write_str("the hub closed the connection")
            }
            Self::Closed(reason) => write!(f, "the hub closed the connection: {}", Quoted(reason)),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::GivenUp(gone) => gone.fmt(f),
            Self::Planned => f.write_str("closed by this runtime"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_was_not_seen_by_the_hub_and_a_reset_was() {
        let end = |kind: ErrorKind| LinkEnd::failed(&kind.into());
        assert!(end(ErrorKind::TimedOut).is_unseen());
        assert!(end(ErrorKind::HostUnreachable).is_unseen());
        assert!(!end(ErrorKind::ConnectionReset).is_unseen());
        assert!(!LinkEnd::Closed(String::new()).is_unseen());
    }

    #[test]
    fn a_reason_from_outside_is_quoted() {
        let told = LinkEnd::Closed("bye\nlevel=error".into()).to_string();
        assert!(!told.contains('\n'), "{told}");
    }
}
