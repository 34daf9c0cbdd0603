//! The TCP socket of a connection, plain or under TLS.
//!
//! While dialling it blocks, each read and write at most until a deadline.
//! Afterwards it never blocks. It counts bytes and remembers which direction
//! would have blocked, because under TLS a read may have to wait for writing
//! and a write for reading. It knows nothing of WebSocket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

/// How long the kernel lets sent data wait for its acknowledgement: a dead host
/// is found in about two minutes.
pub const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// The same while a write is blocked: the kernel would otherwise also kill a
/// living peer whose window is closed.
pub const USER_TIMEOUT_BLOCKED: Duration = Duration::from_secs(5 * 60);

/// Bytes the kernel may hold that are not on the wire yet: what lies there can
/// no longer be overtaken by a pong.
#[cfg(target_os = "linux")]
const NOT_SENT_LOW_WATER: u32 = 128 * 1024;

/// Bytes that passed the sockets it was given to.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes received, before TLS is taken off.
    pub received: AtomicU64,
    /// Bytes sent, after TLS is put on.
    pub sent: AtomicU64,
}

/// A TCP socket that blocks until a deadline, or not at all.
#[derive(Debug)]
pub struct Socket {
    tcp: Arc<TcpStream>,
    deadline: Option<Instant>,
    traffic: Arc<Traffic>,
    would_block: WouldBlock,
    /// The last read took all there was, so that the next would only be told so.
    drained: bool,
    /// Once nothing blocks: bytes that may be read before a pause.
    allowance: usize,
}

/// Directions in which the last operations would have blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WouldBlock {
    /// Nothing was there to read.
    pub read: bool,
    /// No room was there to write.
    pub write: bool,
    /// What was allowed is read; there may be more.
    pub paused: bool,
}

impl Socket {
    /// Takes a connected, blocking socket over. Every operation ends by `deadline`;
    /// what passes is added to `traffic`.
    pub fn new(tcp: TcpStream, deadline: Instant, traffic: Arc<Traffic>) -> Self {
        Self {
            tcp: Arc::new(tcp),
            deadline: Some(deadline),
            traffic,
            would_block: WouldBlock::default(),
            drained: false,
            allowance: 0,
        }
    }

    /// The socket itself, for polling and for cutting it from another thread.
    pub fn tcp(&self) -> &Arc<TcpStream> {
        &self.tcp
    }

    /// What passed it so far.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The next step of the dial has until then.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// The dial is over: from now on nothing blocks.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn set_nonblocking(&mut self) -> io::Result<()> {
        self.deadline = None;
        self.tcp.set_read_timeout(None)?;
        self.tcp.set_write_timeout(None)?;
        self.tcp.set_nonblocking(true)
    }

    /// Which directions would have blocked since the last call.
    pub fn take_would_block(&mut self) -> WouldBlock {
        std::mem::take(&mut self.would_block)
    }

    /// Lets `bytes` be read. Then a read says `WouldBlock`, whatever is there: whoever
    /// puts messages together from it would go on for as long as the other side sends.
    pub fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Time left of the deadline; `None` when nothing may block.
    fn remaining(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// A blocking socket says `WouldBlock` when its timeout has passed.
    fn timed_out(&self, error: io::Error) -> io::Error {
        if self.deadline.is_some() && error.kind() == ErrorKind::WouldBlock {
            ErrorKind::TimedOut.into()
        } else {
            error
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Whoever hears this polls, and what has come since is there then.
        if std::mem::take(&mut self.drained) {
            self.would_block.read = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        let nonblocking = self.deadline.is_none();
        if nonblocking && self.allowance == 0 {
            self.would_block.paused = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            if let Some(left) = self.remaining()? {
                self.tcp.set_read_timeout(Some(left))?;
            }
            match (&*self.tcp).read(buffer) {
                Ok(count) => {
                    self.traffic.received.fetch_add(count as u64, Ordering::Relaxed);
                    self.allowance = self.allowance.saturating_sub(count);
                    self.drained = nonblocking && (1..buffer.len()).contains(&count);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.would_block.read |= error.kind() == ErrorKind::WouldBlock;
                    return Err(self.timed_out(error));
                }
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(left) = self.remaining()? {
                self.tcp.set_write_timeout(Some(left))?;
            }
            match (&*self.tcp).write(buffer) {
                Ok(count) => {
                    self.traffic.sent.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.would_block.write |= error.kind() == ErrorKind::WouldBlock;
                    return Err(self.timed_out(error));
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a WebSocket runs over.
#[derive(Debug)]
pub enum Stream {
    /// `ws`
    Plain(Socket),
    /// `wss`
    #[cfg(feature = "tls")]
    Tls(Box<native_tls::TlsStream<Socket>>),
}

impl Stream {
    /// The socket below.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    /// The socket below.
    pub fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_mut(),
        }
    }

    /// Until when the certificate of the other side is valid; `None` without one.
    pub fn peer_valid_until(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let der = stream.peer_certificate().ok()??.to_der().ok()?;
                super::certificate::validity(&der).map(|validity| validity.until)
            }
        }
    }

    /// Says that nothing more will be written: TLS's farewell where there is
    /// TLS, then TCP's. The other direction stays open.
    pub fn finish(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            // A full socket has no room for it; TCP's farewell must do then.
            let _ = stream.shutdown();
        }
        let _ = self.socket().tcp.shutdown(Shutdown::Write);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => write_records(stream, buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// TLS takes one record of 16 KiB at a time. Returning after each would make
/// the WebSocket's buffer move what is left to its front each time.
#[cfg(feature = "tls")]
fn write_records(stream: &mut impl Write, buffer: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < buffer.len() {
        match stream.write(&buffer[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            // What is wrong shows again at the next write.
            Err(_) if written > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Sets what every connection to a hub has: no delay, keepalive, a bound on how
/// long the kernel waits for a dead host and on what it holds unsent.
///
/// # Errors
/// When the system refuses one that it should know.
pub fn set_options(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)?;
    set_user_timeout(tcp, USER_TIMEOUT)
}

/// Changes how long the kernel lets sent data wait for its acknowledgement.
///
/// # Errors
/// When the system refuses it.
pub fn set_user_timeout(tcp: &TcpStream, timeout: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return SockRef::from(tcp).set_tcp_user_timeout(Some(timeout));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (tcp, timeout);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn a_read_ends_at_its_deadline() {
        let (near, _far) = pair();
        let start = Instant::now();
        let mut socket = Socket::new(near, start + Duration::from_millis(50), Arc::default());
        let error = socket.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn after_the_dial_nothing_blocks_and_the_direction_is_remembered() {
        let (near, mut far) = pair();
        let mut socket = Socket::new(near, Instant::now() + Duration::from_secs(5), Arc::default());
        socket.set_nonblocking().unwrap();
        socket.allow(100);
        assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(socket.take_would_block(), WouldBlock { read: true, ..WouldBlock::default() });
        while socket.write(&[0; 8 * 1024]).is_ok() {}
        assert_eq!(socket.take_would_block(), WouldBlock { write: true, ..WouldBlock::default() });
        assert_eq!(socket.take_would_block(), WouldBlock::default());
        far.write_all(b"12345").unwrap();
        let sent = socket.traffic().sent.load(Ordering::Relaxed);
        assert!(sent > 0);
    }

    #[test]
    fn a_read_that_took_all_there_was_is_not_repeated_for_nothing() {
        let (near, mut far) = pair();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut socket = Socket::new(near, deadline, Arc::default());
        let mut buffer = [0; 8];
        far.write_all(b"dial").unwrap();
        assert_eq!(socket.read(&mut buffer).unwrap(), 4);
        far.write_all(b"1234567890").unwrap();
        assert_eq!(socket.read(&mut buffer).unwrap(), 8, "a blocking one goes on");
        socket.set_nonblocking().unwrap();
        socket.allow(100);
        assert_eq!(socket.read(&mut buffer).unwrap(), 2);
        far.write_all(b"more").unwrap();
        assert_eq!(socket.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(socket.take_would_block(), WouldBlock { read: true, ..WouldBlock::default() });
        let wait = |socket: &Socket| poll(&mut [PollFd::new(socket.tcp(), PollFlags::IN)], None);
        wait(&socket).unwrap();
        assert_eq!(socket.read(&mut buffer).unwrap(), 4);
        drop(far);
        assert_eq!(socket.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        wait(&socket).unwrap();
        assert_eq!(socket.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn what_is_read_at_once_is_bounded() {
        let (near, mut far) = pair();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut socket = Socket::new(near, deadline, Arc::default());
        far.write_all(&[7; 64]).unwrap();
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 8, "a blocking one needs no leave");
        socket.set_nonblocking().unwrap();
        for _ in 0..2 {
            socket.allow(10);
            assert_eq!(socket.read(&mut [0; 8]).unwrap(), 8);
            assert_eq!(socket.read(&mut [0; 8]).unwrap(), 8);
            assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
            let paused = WouldBlock { paused: true, ..WouldBlock::default() };
            assert_eq!(socket.take_would_block(), paused);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_options_are_in_force() {
        let (near, _far) = pair();
        set_options(&near).unwrap();
        let socket = SockRef::from(&near);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), NOT_SENT_LOW_WATER);
        set_user_timeout(&near, USER_TIMEOUT_BLOCKED).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT_BLOCKED));
    }
}
