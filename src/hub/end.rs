//! How a connection ended, and what follows from that.

use std::fmt;
use std::io::{self, ErrorKind};

use super::liveness::Gone;
use super::window::Loss;
use crate::logging::Quoted;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The hub closed it; with its code and reason, where it gave them.
    Closed(Option<(u16, String)>),
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

    /// What it means for what was on the wire.
    pub fn loss(&self) -> Loss {
        match self {
            Self::Planned | Self::GivenUp(Gone::AfterSuspend(_) | Gone::OnlyAsking) => {
                Loss::Planned
            }
            // Codes for what a peer did wrong, and for a hub that failed at it.
            Self::Closed(Some((1002 | 1003 | 1007..=1011, _))) => Loss::Rejected,
            _ => Loss::Broken,
        }
    }

    /// Whether the hub ended it.
    pub fn is_by_hub(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Broken(_))
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(None) => f.write_str("the hub closed the connection"),
            Self::Closed(Some((code, reason))) => {
                write!(f, "the hub closed the connection with code {code} {}", Quoted(reason))
            }
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
        assert!(!LinkEnd::Closed(None).is_unseen());
    }

    #[test]
    fn only_a_close_for_an_error_is_a_rejection() {
        let closed = |code| LinkEnd::Closed(Some((code, String::new()))).loss();
        assert_eq!(closed(1009), Loss::Rejected);
        assert_eq!(closed(1001), Loss::Broken);
        assert_eq!(LinkEnd::Closed(None).loss(), Loss::Broken);
        assert_eq!(LinkEnd::GivenUp(Gone::OnlyAsking).loss(), Loss::Planned);
    }

    #[test]
    fn a_reason_from_outside_is_quoted() {
        let told = LinkEnd::Closed(Some((1000, "bye\nlevel=error".into()))).to_string();
        assert!(!told.contains('\n'), "{told}");
    }
}
