//! What this binary does as an agent: floods, as cheaply as can be.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

use super::Outcome;

/// What a pipe holds.
const BLOCK: usize = 64 * 1024;

/// Runs until stdin ends.
pub fn run(kind: &str) -> Outcome<()> {
    match kind.split_once(':') {
        Some(("copy", address)) => copy(address),
        _ => match pattern(kind) {
            Some(pattern) => flood(&pattern),
            None => Err(format!("no agent {kind:?}").into()),
        },
    }
}

/// A block of what a flood is made of.
pub fn pattern(kind: &str) -> Option<Vec<u8>> {
    match kind {
        // Lines of 80 bytes with their newline.
        "lines" => {
            let line: Vec<u8> =
                (b'!'..=b'~').cycle().filter(|byte| !b"\"\\".contains(byte)).take(79).collect();
            Some([&line[..], b"\n"].concat().into_iter().cycle().take(BLOCK).collect())
        }
        // Those control bytes that JSON can only write as six.
        "control" => {
            let bytes = (0x01..0x20).filter(|byte| !b"\x08\t\n\x0c\r".contains(byte));
            Some(bytes.cycle().take(BLOCK).collect())
        }
        _ => None,
    }
}

/// Writes as many bytes as each line of stdin says, then the word behind that
/// number, twice: a binary that cuts its messages anywhere may cut through one.
fn flood(pattern: &[u8]) -> Outcome<()> {
    let mut asked = io::stdin().lock();
    // Not `io::stdout`, which would look for newlines in all of it.
    let mut out =
        std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?);
    let mut line = String::new();
    while asked.read_line(&mut line)? > 0 {
        let (bytes, marker) = line.trim().split_once(' ').ok_or("expected a number and a word")?;
        let mut left: usize = bytes.parse()?;
        while left > 0 {
            let block = &pattern[..left.min(pattern.len())];
            out.write_all(block)?;
            left -= block.len();
        }
        out.write_all(format!("\n{marker}\n{marker}\n").as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// Copies stdin to a socket and does nothing else: the floor of all forwarding.
fn copy(address: &str) -> Outcome<()> {
    let mut socket = TcpStream::connect(address)?;
    let mut from =
        std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block)? {
            0 => break,
            length => socket.write_all(&block[..length])?,
        }
    }
    // The other side asks the kernel what this cost, then closes.
    socket.shutdown(std::net::Shutdown::Write)?;
    let _ = socket.read(&mut [0])?;
    Ok(())
}
