//! The way into a child: a backlog that never blocks anybody.
//!
//! What the child does not take yet waits here, each piece with the
//! [`Permit`] that bounds how much may wait; when to try again is the pump's
//! business, which polls for writability while [`Stdin::backlog`] gives
//! something to poll.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::session::admission::Permit;

/// Bytes for a child, with their place among what waits.
#[derive(Debug)]
pub struct Piece {
    /// What is written.
    pub bytes: Vec<u8>,
    /// Given back when all of it is written or given up.
    pub permit: Permit,
}

impl Piece {
    /// Its bytes, if no permit bounds them.
    fn uncounted(&self) -> usize {
        if self.permit.is_counted() { 0 } else { self.bytes.len() }
    }
}

/// A child's standard input with what it has not taken yet.
#[derive(Debug)]
pub struct Stdin {
    /// `None` once closed, by us or because nobody reads.
    open: Option<OwnedFd>,
    waiting: VecDeque<Piece>,
    /// Bytes of waiting pieces that no permit bounds.
    uncounted: usize,
    /// Bytes of the first waiting piece that are written.
    written: usize,
    /// Close as soon as nothing waits.
    then_close: bool,
}

impl Stdin {
    /// Takes over our end of a pipe or terminal, which does not block.
    pub fn new(end: OwnedFd) -> Self {
        let waiting = VecDeque::new();
        Self { open: Some(end), waiting, uncounted: 0, written: 0, then_close: false }
    }

    /// Puts a piece at the end. What comes after the end of input is given up.
    pub fn push(&mut self, piece: Piece) {
        if self.open.is_some() && !self.then_close {
            self.uncounted += piece.uncounted();
            self.waiting.push_back(piece);
            self.write();
        }
    }

    /// Writes as much as the child has room for.
    pub fn write(&mut self) {
        while let (Some(end), Some(first)) = (&self.open, self.waiting.front()) {
            match rustix::io::write(end, &first.bytes[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    if self.written == first.bytes.len() {
                        self.uncounted -= first.uncounted();
                        self.waiting.pop_front();
                        self.written = 0;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads it any more.
                Err(_) => return self.close(),
            }
        }
        if self.waiting.is_empty() {
            // A session that once had a backlog need not remember how long it was.
            self.waiting = VecDeque::new();
            if self.then_close {
                self.open = None;
            }
        }
    }

    /// End of input once everything is written.
    pub fn close_after_writing(&mut self) {
        self.then_close = true;
        self.write();
    }

    /// End of input now; what waits is given up.
    pub fn close(&mut self) {
        self.open = None;
        self.waiting = VecDeque::new();
        self.uncounted = 0;
        self.written = 0;
    }

    /// Bytes of waiting pieces that no permit bounds.
    pub fn uncounted(&self) -> usize {
        self.uncounted
    }

    /// What to poll for writability; `None` while nothing waits.
    pub fn backlog(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// The open end, to ask it what is unread.
    pub fn open_end(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::admission::{Admission, MAX_WAITING_BYTES, SessionAdmission};
    use rustix::pipe::{PipeFlags, pipe_with};

    /// A child's input, its other end, and a count that is full while something waits.
    fn stdin() -> (OwnedFd, Stdin, SessionAdmission) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        rustix::io::ioctl_fionbio(&writer, true).expect("a flag");
        (reader, Stdin::new(writer), Admission::default().session())
    }

    fn push(stdin: &mut Stdin, admission: &SessionAdmission, bytes: Vec<u8>) {
        let permit = admission.admit(MAX_WAITING_BYTES).expect("nothing else waits");
        stdin.push(Piece { bytes, permit });
    }

    fn nothing_waits(admission: &SessionAdmission) -> bool {
        admission.admit(MAX_WAITING_BYTES).is_some()
    }

    fn read(end: &OwnedFd, most: usize) -> Vec<u8> {
        let mut taken = vec![0; most];
        let length = rustix::io::read(end, &mut taken[..]).expect("a read");
        taken.truncate(length);
        taken
    }

    #[test]
    fn a_child_that_does_not_read_blocks_nobody_and_gets_everything_later() {
        let (reader, mut stdin, admission) = stdin();
        let text: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        push(&mut stdin, &admission, text[..200_000].to_vec());
        stdin.push(Piece { bytes: text[200_000..].to_vec(), permit: Permit::default() });
        assert!(stdin.backlog().is_some());
        assert!(!nothing_waits(&admission));
        let mut got = Vec::new();
        while got.len() < text.len() {
            got.extend(read(&reader, 50_000));
            stdin.write();
        }
        assert_eq!(got, text);
        assert!(stdin.backlog().is_none());
        assert!(nothing_waits(&admission));
    }

    #[test]
    fn what_no_permit_bounds_is_counted_while_it_waits() {
        let (reader, mut stdin, admission) = stdin();
        let uncounted = |length| Piece { bytes: vec![7; length], permit: Permit::default() };
        stdin.push(uncounted(50));
        assert_eq!(stdin.uncounted(), 0, "written");
        push(&mut stdin, &admission, vec![7; 100_000]);
        stdin.push(uncounted(30));
        stdin.push(uncounted(40));
        assert_eq!(stdin.uncounted(), 70);
        while stdin.backlog().is_some() {
            read(&reader, 50_000);
            stdin.write();
        }
        assert_eq!(stdin.uncounted(), 0);
        stdin.push(uncounted(100_000));
        assert_eq!(stdin.uncounted(), 100_000);
        stdin.close();
        assert_eq!(stdin.uncounted(), 0);
    }

    #[test]
    fn the_end_of_input_comes_after_the_backlog() {
        let (reader, mut stdin, admission) = stdin();
        push(&mut stdin, &admission, vec![7; 100_000]);
        stdin.close_after_writing();
        stdin.push(Piece { bytes: b"too late".to_vec(), permit: Permit::default() });
        let mut got = 0;
        loop {
            let read = read(&reader, 65_536).len();
            if read == 0 {
                break;
            }
            got += read;
            stdin.write();
        }
        assert_eq!(got, 100_000);
        assert!(nothing_waits(&admission));
    }

    #[test]
    fn a_reader_that_is_gone_gives_the_backlog_up() {
        let (reader, mut stdin, admission) = stdin();
        push(&mut stdin, &admission, vec![7; 100_000]);
        drop(reader);
        stdin.write();
        assert!(stdin.backlog().is_none() && stdin.open_end().is_none());
        push(&mut stdin, &admission, b"more".to_vec());
        assert!(nothing_waits(&admission));
    }

    #[test]
    fn closing_gives_the_backlog_up() {
        let (_reader, mut stdin, admission) = stdin();
        push(&mut stdin, &admission, vec![7; 100_000]);
        stdin.close();
        assert!(nothing_waits(&admission));
    }
}
