//! From a name to a connected TCP socket.
//!
//! Every address of the name is tried. They are started one after another with
//! a short stagger and race from then on, so that an address that swallows
//! packets (a broken IPv6, a host that is down) hides no other. It knows
//! neither proxies nor what is spoken on the socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::wake::timeout;

/// How long one address may be alone in the race before the next one joins.
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 16;

/// Why no socket came of it.
#[derive(Debug)]
pub enum ConnectError {
    /// The name could not be resolved.
    Resolve(io::Error),
    /// The name has no address.
    NoAddress,
    /// No address could be connected to; what each one said.
    Unreachable(Vec<(SocketAddr, io::Error)>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the name could not be resolved: {error}"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Unreachable(attempts) => {
                for (index, (address, error)) in attempts.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{address}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl ConnectError {
    /// What to look at.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Resolve(_) | Self::NoAddress => {
                "is the name right, and does this machine's DNS answer?"
            }
            Self::Unreachable(_) => "is it running, and may this machine reach it?",
        }
    }
}

impl std::error::Error for ConnectError {}

/// The addresses of `host`, both families alternating, in the resolver's order.
/// May block for as long as the system's resolver does.
///
/// # Errors
/// When there is none.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = (host, port).to_socket_addrs().map_err(ConnectError::Resolve)?;
    let addresses = alternate(found.collect());
    if addresses.is_empty() { Err(ConnectError::NoAddress) } else { Ok(addresses) }
}

/// Keeps the order within each family and begins with the first one's family.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let mut others = other.into_iter();
    let mut mixed = Vec::new();
    for address in preferred {
        mixed.push(address);
        mixed.extend(others.next());
    }
    mixed.extend(others);
    mixed.dedup();
    mixed.truncate(MOST_ADDRESSES);
    mixed
}

/// Connects to whichever of the addresses answers first, and tells which. The
/// socket blocks.
///
/// # Errors
/// When none has by `deadline`.
pub fn connect(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut race = Race { running: Vec::new(), failed: Vec::new() };
    let mut waiting = addresses.iter().copied();
    let mut next_start = Instant::now();
    loop {
        let now = Instant::now();
        if now >= deadline {
            let late = race.running.into_iter();
            race.failed.extend(late.map(|(address, _)| (address, io::ErrorKind::TimedOut.into())));
            return Err(ConnectError::Unreachable(race.failed));
        }
        if (race.running.is_empty() || now >= next_start)
            && let Some(address) = waiting.next()
        {
            race.start(address);
            next_start = now + STAGGER;
            continue;
        }
        if race.running.is_empty() {
            return Err(ConnectError::Unreachable(race.failed));
        }
        let until = if waiting.len() == 0 { deadline } else { deadline.min(next_start) };
        if let Some(winner) = race.wait(until.saturating_duration_since(now)) {
            return Ok(winner);
        }
    }
}

/// Connection attempts under way.
struct Race {
    running: Vec<(SocketAddr, Socket)>,
    failed: Vec<(SocketAddr, io::Error)>,
}

impl Race {
    fn start(&mut self, address: SocketAddr) {
        let begin = || {
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            match socket.connect(&address.into()) {
                Err(error) if !in_progress(&error) => Err(error),
                _ => Ok(socket),
            }
        };
        match begin() {
            Ok(socket) => self.running.push((address, socket)),
            Err(error) => self.failed.push((address, error)),
        }
    }

    /// Waits until something happens, at most `limit`. Takes failures out and
    /// returns a winner, if there is one.
    fn wait(&mut self, limit: Duration) -> Option<(TcpStream, SocketAddr)> {
        let mut fds: Vec<PollFd<'_>> =
            self.running.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
        // An interrupted or failed poll only makes the caller look again.
        let _ = poll(&mut fds, timeout(limit).as_ref());
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut winner = None;
        let mut happened = happened.into_iter();
        for (address, socket) in std::mem::take(&mut self.running) {
            if winner.is_some() || happened.next() != Some(true) {
                self.running.push((address, socket));
                continue;
            }
            let outcome = socket.take_error().and_then(|error| match error {
                Some(error) => Err(error),
                None => socket.set_nonblocking(false),
            });
            match outcome {
                Ok(()) => winner = Some((TcpStream::from(socket), address)),
                Err(error) => self.failed.push((address, error)),
            }
        }
        winner
    }
}

fn in_progress(error: &io::Error) -> bool {
    // Unix says `InProgress`, Windows that it would block.
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// An address of this machine where nobody listens.
    fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    /// An address that takes no connection and refuses none: its queue is full.
    fn swallowing() -> (SocketAddr, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut held = vec![listener];
        for _ in 0..8 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            held.push(socket);
        }
        (address, held)
    }

    #[test]
    fn an_address_that_refuses_or_swallows_hides_no_other() {
        let (swallowing, _held) = swallowing();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let start = Instant::now();
        let (stream, address) = connect(&[refusing(), swallowing, good], soon()).unwrap();
        assert_eq!((stream.peer_addr().unwrap(), address), (good, good));
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn what_each_address_said_is_told() {
        let (swallowing, _held) = swallowing();
        let refusing = refusing();
        let deadline = Instant::now() + Duration::from_millis(400);
        let error = connect(&[refusing, swallowing], deadline).unwrap_err().to_string();
        assert!(error.contains(&format!("{refusing}: Connection refused")), "{error}");
        assert!(error.contains(&format!("{swallowing}: timed out")), "{error}");
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_as_such() {
        let error = resolve("no-such-host.invalid", 80).unwrap_err();
        assert!(matches!(error, ConnectError::Resolve(_)), "{error}");
    }

    #[test]
    fn families_alternate() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"]);
        let mixed = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "3.3.3.3:1"]);
        assert_eq!(alternate(found), mixed);
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(resolve("::1", 80).unwrap(), ["[::1]:80".parse().unwrap()]);
    }
}
