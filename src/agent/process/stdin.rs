//! The way into a child: a backlog that never blocks anybody.
//!
//! What the child does not take yet waits here. How much may wait is the
//! caller's business, who reads the [`Level`]; when to try again is the
//! pump's, who polls for writability while [`Stdin::backlog`] gives something to poll.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

/// Bytes on their way into a child that it has not taken, in its channel and
/// its backlog. Shared by who sends and who writes.
#[derive(Clone, Debug, Default)]
pub struct Level(Arc<AtomicUsize>);

impl Level {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Bytes were sent on their way.
    pub fn rise(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes were taken, or given up.
    pub fn fall(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A child's standard input with what it has not taken yet.
#[derive(Debug)]
pub struct Stdin {
    /// `None` once closed, by us or because nobody reads.
    open: Option<OwnedFd>,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first waiting piece that are written.
    written: usize,
    level: Level,
    /// Close as soon as nothing waits.
    then_close: bool,
}

impl Stdin {
    /// Takes over our end of a pipe or terminal and makes it non-blocking.
    ///
    /// # Errors
    /// When the descriptor refuses its flags.
    pub fn new(end: OwnedFd, level: Level) -> io::Result<Self> {
        super::pipes::set_nonblocking(&end)?;
        Ok(Self { open: Some(end), waiting: VecDeque::new(), written: 0, level, then_close: false })
    }

    /// Puts bytes at the end; their [`Level`] was raised by the sender. What
    /// comes after the end of input is given up.
    pub fn push(&mut self, bytes: Vec<u8>) {
        if self.open.is_none() || self.then_close {
            self.level.fall(bytes.len());
        } else {
            self.waiting.push_back(bytes);
            self.write();
        }
    }

    /// Writes as much as the child has room for.
    pub fn write(&mut self) {
        while let (Some(end), Some(first)) = (&self.open, self.waiting.front()) {
            match rustix::io::write(end, &first[self.written..]) {
                Ok(written) => {
                    self.level.fall(written);
                    self.written += written;
                    if self.written == first.len() {
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
            // A large backlog leaves a large ring of pointers behind.
            self.waiting.shrink_to(4);
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
        let given_up: usize = self.waiting.drain(..).map(|piece| piece.len()).sum();
        self.level.fall(given_up - self.written);
        self.written = 0;
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

impl Drop for Stdin {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn stdin() -> (OwnedFd, Stdin, Level) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let level = Level::default();
        (reader, Stdin::new(writer, level.clone()).expect("flags"), level)
    }

    fn push(stdin: &mut Stdin, level: &Level, bytes: Vec<u8>) {
        level.rise(bytes.len());
        stdin.push(bytes);
    }

    fn read(end: &OwnedFd, most: usize) -> Vec<u8> {
        let mut taken = vec![0; most];
        let length = rustix::io::read(end, &mut taken[..]).expect("a read");
        taken.truncate(length);
        taken
    }

    #[test]
    fn a_child_that_does_not_read_blocks_nobody_and_gets_everything_later() {
        let (reader, mut stdin, level) = stdin();
        let text: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        for piece in text.chunks(100_000) {
            push(&mut stdin, &level, piece.to_vec());
        }
        assert!(stdin.backlog().is_some());
        let mut got = Vec::new();
        while got.len() < text.len() {
            assert_eq!(level.bytes() + got.len() + unread(&reader), text.len());
            got.extend(read(&reader, 50_000));
            stdin.write();
        }
        assert_eq!(got, text);
        assert!(stdin.backlog().is_none());
        assert_eq!(level.bytes(), 0);
    }

    fn unread(reader: &OwnedFd) -> usize {
        usize::try_from(rustix::io::ioctl_fionread(reader).expect("FIONREAD")).expect("a size")
    }

    #[test]
    fn the_end_of_input_comes_after_the_backlog() {
        let (reader, mut stdin, level) = stdin();
        push(&mut stdin, &level, vec![7; 100_000]);
        stdin.close_after_writing();
        push(&mut stdin, &level, b"too late".to_vec());
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
        assert_eq!(level.bytes(), 0);
    }

    #[test]
    fn a_reader_that_is_gone_gives_the_backlog_up() {
        let (reader, mut stdin, level) = stdin();
        push(&mut stdin, &level, vec![7; 100_000]);
        drop(reader);
        push(&mut stdin, &level, b"more".to_vec());
        assert!(stdin.backlog().is_none());
        assert_eq!(level.bytes(), 0);
    }

    #[test]
    fn closing_gives_the_backlog_up() {
        let (_reader, mut stdin, level) = stdin();
        push(&mut stdin, &level, vec![7; 100_000]);
        stdin.close();
        assert_eq!(level.bytes(), 0);
    }
}
