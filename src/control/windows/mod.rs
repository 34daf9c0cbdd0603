//! A named pipe, called after the path a socket would have. Its access list is
//! the system's default: nobody but the user, administrators and the system may
//! write to it, and no other machine may open it.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::{DuplexPipeStream, PipeListener, PipeListenerOptions};
use sha2::{Digest, Sha256};

use super::server::Accepted;
use crate::agent::process::family;

/// Pause after a failure to accept.
const PAUSE: Duration = Duration::from_secs(1);

/// Where requests come in.
pub struct Listener {
    pipe: PipeListener<Bytes, Bytes>,
    stopped: Arc<AtomicBool>,
}

/// Ends a listener's wait.
pub struct Stopper {
    name: String,
    stopped: Arc<AtomicBool>,
}

/// One conversation.
pub struct Stream(pub(super) DuplexPipeStream<Bytes>);

impl Listener {
    /// Listens under the name of `path`.
    ///
    /// # Errors
    /// When somebody else does, or the system refuses.
    pub fn bind(path: &Path) -> io::Result<(Self, Stopper)> {
        let name = name(path);
        let pipe = PipeListenerOptions::new().path(name.as_str()).create_duplex::<Bytes>()?;
        let stopped = Arc::new(AtomicBool::new(false));
        Ok((Self { pipe, stopped: Arc::clone(&stopped) }, Stopper { name, stopped }))
    }

    /// Waits for a conversation, or for the end.
    pub fn accept(&self) -> Accepted {
        let accepted = self.pipe.accept();
        if self.stopped.load(Ordering::Acquire) {
            return Accepted::Stopped;
        }
        match accepted {
            Ok(stream) => Accepted::Stream(Stream(stream)),
            Err(error) => {
                // Nothing tells when it is worth another try.
                std::thread::sleep(PAUSE);
                Accepted::Failed(error)
            }
        }
    }
}

impl Stopper {
    /// Ends the wait, by coming in.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let _ = DuplexPipeStream::<Bytes>::connect_by_path(self.name.as_str());
    }
}

impl Stream {
    /// Speaks to whoever listens under the name of `path`.
    ///
    /// # Errors
    /// When nobody does, or they do not let us in (`PermissionDenied`).
    pub fn connect(path: &Path) -> io::Result<Self> {
        DuplexPipeStream::connect_by_path(name(path).as_str()).map(Self)
    }

    /// Looks at who is at the other end, and whether they may command.
    ///
    /// # Errors
    /// `PermissionDenied` with the reason, or what the system said.
    pub fn admit(&self) -> io::Result<()> {
        let peer = self.0.client_process_id()?;
        if peer == std::process::id() || family::is_of_an_agent(peer) {
            let reason = format!("a process of an agent pid={peer}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        Ok(())
    }

    /// Pipes know no bounds in time: who says nothing holds one of the places.
    ///
    /// # Errors
    /// Never, here.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere they do")]
    pub fn set_patience(&self, _read: Duration, _write: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Names of pipes lie in one place for the whole machine, and ignore case.
fn name(path: &Path) -> String {
    let path = path.to_string_lossy().to_lowercase();
    let mut name = r"\\.\pipe\amurg-".to_owned();
    for byte in &Sha256::digest(path)[..16] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}
