//! Listens on the control socket: one thread that accepts, and a short-lived one
//! for each request, a few at a time, each with a bound.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{debug, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Answer, Request, peer};
use crate::threads;
use crate::wake::{self, WakeFd, Waker};

/// A request is one short line.
const MAX_REQUEST: u64 = 4096;
/// Longest wait for the other side to write or read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause after a failure to accept: whoever waits makes the socket readable all the
/// same, and descriptors do not come back faster for being asked for.
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Requests that may be under way at once; `status --wait` takes its time.
const MAX_REQUESTS: usize = 16;

/// Answers a request. May take as long as the request says, no longer.
pub type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// The listening thread. Dropping it ends the thread and removes the socket.
pub struct Server {
    path: PathBuf,
    stop: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `path`, made anew: whoever holds the state's lock owns it.
    ///
    /// # Errors
    /// When the directory cannot be written, the path is too long for a socket
    /// (107 bytes), or a thread cannot be had.
    pub fn start(path: &Path, handler: Handler) -> io::Result<Self> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = wake::pair()?;
        let thread = threads::spawn("control", move || serve(&listener, &stopped, &handler))?;
        Ok(Self { path: path.to_owned(), stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes a socket an earlier run left; anything else there is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

fn serve(listener: &UnixListener, stopped: &WakeFd, handler: &Handler) {
    let mut failing = false;
    loop {
        let stop = PollFd::new(stopped, PollFlags::IN);
        let mut ready = [stop, PollFd::new(listener, PollFlags::IN)];
        let (asked, limit) =
            if failing { (&mut ready[..1], Some(&PAUSE)) } else { (&mut ready[..], None) };
        match poll(asked, limit) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return warn!("control socket given up error={error}"),
        }
        if !ready[0].revents().is_empty() {
            return;
        }
        let accepted = listener.accept();
        let has_failed = std::mem::replace(&mut failing, false);
        match accepted {
            // Whoever comes while all places are taken finds a closed connection.
            Ok((stream, _)) if Arc::strong_count(handler) <= MAX_REQUESTS => {
                let handler = Arc::clone(handler);
                let attended = threads::spawn("control request", move || {
                    if let Err(error) = attend(&stream, &handler) {
                        debug!("control request dropped error={error}");
                    }
                });
                if let Err(error) = attended {
                    warn!("control request not attended error={error}");
                }
            }
            Ok(_) => warn!("control request dropped reason=\"too many at once\""),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Out of descriptors: whoever asks waits until there are some again.
            Err(error) => {
                failing = true;
                if !has_failed {
                    warn!("control request not accepted, tried again every second error={error}");
                }
            }
        }
    }
}

fn attend(mut stream: &UnixStream, handler: &Handler) -> io::Result<()> {
    peer::admit(stream)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => handler(request),
        Err(error) => Answer::Refused { reason: format!("not understood: {error}") },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{AskError, client};

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        (directory, path)
    }

    fn echo() -> Handler {
        Arc::new(|request| Answer::Done { text: format!("{request:?}") })
    }

    #[test]
    fn a_request_is_answered_and_the_socket_goes_with_its_server() {
        let (_directory, path) = scratch();
        let server = Server::start(&path, echo()).unwrap();
        // This test is the runtime's own process, which counts as beneath it.
        let refused = client::ask(std::slice::from_ref(&path), &Request::Reload);
        assert!(matches!(refused, Err(AskError::Denied { .. })), "{refused:?}");
        drop(server);
        assert!(!path.exists());
        let gone = client::ask(std::slice::from_ref(&path), &Request::Reload);
        assert!(matches!(gone, Err(AskError::NotRunning { .. })), "{gone:?}");
    }

    #[test]
    fn only_the_owner_can_reach_the_socket() {
        let (_directory, path) = scratch();
        let _server = Server::start(&path, echo()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let (_directory, path) = scratch();
        std::fs::write(&path, "precious").unwrap();
        assert!(Server::start(&path, echo()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
