//! Reading the head of an HTTP message, whole, however it is split on the way.
//!
//! What follows the head is kept apart, untouched. It does not know what the
//! head says.

use std::io::{self, ErrorKind, Read};

/// Longest head that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// A head with its final empty line, and what came behind it.
#[derive(Debug)]
pub struct Head {
    /// First line and headers.
    pub head: Vec<u8>,
    /// What was read beyond it.
    pub rest: Vec<u8>,
}

/// Reads until the empty line.
///
/// # Errors
/// The stream's own, `UnexpectedEof` when it ends before the empty line, and
/// `InvalidData` when no empty line comes.
pub fn read(stream: &mut impl Read) -> io::Result<Head> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // The empty line may have begun in what was there before.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&buffer[..count]);
        let found = head[from..].windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(at) = found {
            let rest = head.split_off(from + at + 4);
            return Ok(Head { head, rest });
        }
        if head.len() > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "what came has no end of headers"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[test]
    fn a_head_in_single_bytes_is_read_whole_and_nothing_beyond() {
        let mut stream = Drip(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbehind");
        let Head { head, rest } = read(&mut stream).unwrap();
        assert_eq!(head, b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
        assert!(rest.is_empty());
        assert_eq!(stream.0, b"behind");
    }

    #[test]
    fn what_came_behind_the_head_is_kept() {
        let Head { head, rest } = read(&mut &b"HTTP/1.1 200 OK\r\n\r\nbehind"[..]).unwrap();
        assert_eq!((head.len(), rest), (19, b"behind".to_vec()));
    }

    #[test]
    fn an_end_before_the_empty_line_and_an_endless_head_are_errors() {
        let error = read(&mut &b"HTTP/1.1 200 OK\r\n"[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let error = read(&mut io::repeat(b'x')).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
