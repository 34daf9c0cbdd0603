//! Listens on the control socket: one thread that accepts, and a short-lived one
//! for each request, a few at a time, each with a bound.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{debug, warn};

use super::system::{Listener, Stopper, Stream};
use super::{Answer, Request};
use crate::threads;

/// A request is one short line.
const MAX_REQUEST: u64 = 4096;
/// Longest wait for the other side to write or read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests that may be under way at once; `status --wait` takes its time.
const MAX_REQUESTS: usize = 16;

/// Answers a request. May take as long as the request says, no longer.
pub type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// The listening thread. Dropping it ends the thread and removes the socket.
pub struct Server {
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `path`, made anew: whoever holds the state's lock owns it.
    ///
    /// # Errors
    /// When nobody can listen there, or a thread cannot be had.
    pub fn start(path: &Path, handler: Handler) -> io::Result<Self> {
        let (listener, stopper) = Listener::bind(path)?;
        let thread = threads::spawn("control", move || serve(&listener, &handler))?;
        Ok(Self { stopper, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a listener's wait came to.
pub(super) enum Accepted {
    /// Somebody has something to ask.
    Stream(Stream),
    /// Nobody could be let in just now.
    Failed(io::Error),
    /// It is over.
    Stopped,
}

fn serve(listener: &Listener, handler: &Handler) {
    let mut failing = false;
    loop {
        let accepted = listener.accept();
        let has_failed = std::mem::replace(&mut failing, false);
        match accepted {
            // Whoever comes while all places are taken finds a closed connection.
            Accepted::Stream(stream) if Arc::strong_count(handler) <= MAX_REQUESTS => {
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
            Accepted::Stream(_) => warn!("control request dropped reason=\"too many at once\""),
            Accepted::Stopped => return,
            // Out of descriptors: whoever asks waits until there are some again.
            Accepted::Failed(error) => {
                failing = true;
                if !has_failed {
                    warn!("control request not accepted, tried again every second error={error}");
                }
            }
        }
    }
}

fn attend(mut stream: &Stream, handler: &Handler) -> io::Result<()> {
    stream.admit()?;
    stream.set_patience(PATIENCE, PATIENCE)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let answer = match Request::read(&line) {
        Ok(request) => handler(request),
        Err(error) => Answer::Refused { reason: format!("not understood: {error}") },
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
    #[cfg(unix)]
    fn only_the_owner_can_reach_the_socket() {
        let (_directory, path) = scratch();
        let _server = Server::start(&path, echo()).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    #[cfg(unix)]
    fn a_file_in_the_way_is_left_alone() {
        let (_directory, path) = scratch();
        std::fs::write(&path, "precious").unwrap();
        assert!(Server::start(&path, echo()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
