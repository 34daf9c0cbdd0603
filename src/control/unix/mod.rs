//! A Unix socket, for its owner alone.

#[cfg_attr(target_os = "linux", path = "peer_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "peer_elsewhere.rs")]
mod peer;

use std::cell::Cell;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::server::Accepted;
use crate::wake::{self, WakeFd, Waker};

/// Pause after a failure to accept: whoever waits makes the socket readable all the
/// same, and descriptors do not come back faster for being asked for.
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Where requests come in. Dropped, the socket is removed.
pub struct Listener {
    path: PathBuf,
    socket: UnixListener,
    stopped: WakeFd,
    failing: Cell<bool>,
}

/// Ends a listener's wait.
pub struct Stopper(Waker);

/// One conversation.
pub struct Stream(pub(super) UnixStream);

impl Listener {
    /// Listens at `path`, made anew: whoever holds the state's lock owns it.
    ///
    /// # Errors
    /// When the directory cannot be written, or the path is too long for a
    /// socket (107 bytes).
    pub fn bind(path: &Path) -> io::Result<(Self, Stopper)> {
        remove_stale(path)?;
        let socket = UnixListener::bind(path)?;
        let (stop, stopped) = wake::pair()?;
        let listener = Self { path: path.to_owned(), socket, stopped, failing: Cell::new(false) };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.socket.set_nonblocking(true)?;
        Ok((listener, Stopper(stop)))
    }

    /// Waits for a conversation, or for the end.
    pub fn accept(&self) -> Accepted {
        loop {
            let mut ready = [
                PollFd::new(&self.stopped, PollFlags::IN),
                PollFd::new(&self.socket, PollFlags::IN),
            ];
            let (asked, limit) = if self.failing.take() {
                (&mut ready[..1], Some(&PAUSE))
            } else {
                (&mut ready[..], None)
            };
            match poll(asked, limit) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    warn!("control socket given up error={error}");
                    return Accepted::Stopped;
                }
            }
            if !ready[0].revents().is_empty() {
                return Accepted::Stopped;
            }
            match self.socket.accept() {
                Ok((stream, _)) => return Accepted::Stream(Stream(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.failing.set(true);
                    return Accepted::Failed(error);
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Stopper {
    /// Ends the wait.
    pub fn stop(&self) {
        self.0.wake();
    }
}

impl Stream {
    /// Speaks to whoever listens at `path`.
    ///
    /// # Errors
    /// When nobody does, or they do not let us in (`PermissionDenied`).
    pub fn connect(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).map(Self)
    }

    /// Looks at who is at the other end, and whether they may command.
    ///
    /// # Errors
    /// `PermissionDenied` with the reason, or what the system said.
    pub fn admit(&self) -> io::Result<()> {
        peer::admit(&self.0)?;
        self.0.set_nonblocking(false)
    }

    /// Bounds each wait for the other side.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_patience(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(read))?;
        self.0.set_write_timeout(Some(write))
    }
}

/// Removes a socket an earlier run left; anything else there is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}
