//! Who is at the other end of a control connection: here, whoever the socket's
//! mode lets in, its owner and root. Which process it is cannot be told.

use std::io;
use std::os::unix::net::UnixStream;

/// Lets in everybody who got so far.
///
/// # Errors
/// Never, here.
#[allow(clippy::unnecessary_wraps, reason = "on Linux it looks")]
pub fn admit(_stream: &UnixStream) -> io::Result<()> {
    Ok(())
}
