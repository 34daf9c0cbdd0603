//! Asks a running runtime.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::system::Stream;
use super::{Answer, AskError, Request};

/// Longest wait for an answer beyond what the request itself waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the first of `candidates` that somebody listens on.
///
/// # Errors
/// When nobody listens, nobody lets us in, or the answer does not come in time.
pub fn ask(candidates: &[PathBuf], request: &Request) -> Result<Answer, AskError> {
    for path in candidates {
        match Stream::connect(path) {
            Ok(stream) => return converse(&stream, request).map_err(|source| broken(path, source)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(AskError::Denied { path: path.clone() });
            }
            Err(_) => {}
        }
    }
    Err(AskError::NotRunning { looked: candidates.to_vec() })
}

fn broken(path: &Path, source: io::Error) -> AskError {
    match source.kind() {
        // The other side hangs up on whom it does not take commands from.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => AskError::Denied { path: path.to_owned() },
        _ => AskError::Broken { path: path.to_owned(), source },
    }
}

fn converse(mut stream: &Stream, request: &Request) -> io::Result<Answer> {
    let waits = match request {
        Request::WaitConnected { timeout_ms } => Duration::from_millis(*timeout_ms),
        _ => Duration::ZERO,
    };
    stream.set_patience(waits + PATIENCE, PATIENCE)?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer::read(&answer)?)
}
