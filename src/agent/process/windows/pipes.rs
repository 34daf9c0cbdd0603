//! A child's three ends, as its pipe thread holds them. A thread for each
//! output reads, one piece ahead at most, and wakes the pipe thread: when that
//! takes nothing, nothing more is read.

use std::io;
use std::process::{ChildStderr, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::end::Ending;
use super::family::Family;
use super::stdin::Stdin;
use crate::agent::process::stream::{Read, Ready, Stream, Wanted};
use crate::threads;
use crate::wake::{WakeFd, Waker, timeout};

/// How much is read at once: the thread keeps a buffer of this size.
const PIECE: usize = 16 * 1024;

/// Our ends of a child's standard streams.
#[derive(Debug)]
pub struct Pipes {
    /// The way in.
    pub stdin: Stdin,
    outputs: [Option<Output>; 2],
}

/// What a reading thread hands over.
#[derive(Debug)]
struct Output {
    pieces: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes that were read and not taken.
    unread: AtomicU64,
    /// No more pieces will come. Said after the last one.
    ended: AtomicBool,
}

impl Pipes {
    /// Takes over our ends; `waker` is woken by what comes out of them.
    pub(super) fn start(
        stdin: Stdin,
        stdout: ChildStdout,
        stderr: ChildStderr,
        waker: &Waker,
    ) -> io::Result<Self> {
        let outputs = [Some(Output::start(stdout, waker)?), Some(Output::start(stderr, waker)?)];
        Ok(Self { stdin, outputs })
    }

    /// Takes a piece into `buffer`. At the end of a stream it is let go.
    pub fn read(&mut self, stream: Stream, buffer: &mut Vec<u8>) -> Read {
        let place = &mut self.outputs[stream as usize];
        let Some(output) = place else { return Read::End };
        let ended = output.shared.ended.load(Ordering::Acquire);
        match output.pieces.try_recv() {
            Ok(piece) => {
                output.shared.unread.fetch_sub(piece.len() as u64, Ordering::AcqRel);
                *buffer = piece;
                Read::Bytes(buffer.len())
            }
            Err(_) if ended => {
                *place = None;
                Read::End
            }
            Err(_) => Read::Nothing,
        }
    }

    /// Whether every writer has closed both outputs.
    pub fn ended(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Nobody of the child is left to write. What is on its way cannot be
    /// counted here; its end comes behind it.
    #[allow(clippy::unused_self, reason = "elsewhere it is counted")]
    pub fn bound(&mut self) {}

    /// Whether something of the child waits to be read.
    pub fn has_output(&self) -> bool {
        self.open().any(|output| !output.pieces.is_empty())
    }

    /// Whether output may be on its way here without being seen by
    /// [`Pipes::has_output`]: a thread has it in its hands.
    pub fn lags(&self) -> bool {
        self.open().any(|output| !output.shared.ended.load(Ordering::Acquire))
    }

    /// Whether some process can still write to an output, as far as that can be
    /// told: not of one that was not read up to now.
    pub fn held(&self) -> bool {
        let is_held = |output: &Output| {
            output.pieces.is_empty() && !output.shared.ended.load(Ordering::Acquire)
        };
        self.open().any(is_held)
    }

    /// Interrupts what runs in the foreground: everything.
    #[allow(clippy::unused_self, reason = "elsewhere it may be a terminal")]
    pub fn interrupt(&self, family: &Family, _tty: bool) {
        family.interrupt();
    }

    /// Closes everything at once. A thread that reads ends with what it reads.
    pub fn close(&mut self) {
        self.stdin.close();
        self.outputs = [None, None];
    }

    /// Bytes that wait to be read, as far as they were read ahead.
    pub fn unread_output(&self) -> u64 {
        self.open().map(|output| output.shared.unread.load(Ordering::Acquire)).sum()
    }

    /// The one place where a pipe thread waits. An end is gone on with in time.
    pub fn wait(&mut self, wake: &WakeFd, _ending: Option<&Ending>, wanted: Wanted) -> Ready {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let limit = if wanted.output && self.readable().contains(&true) {
            Some(now)
        } else {
            wanted.limit.and_then(timeout)
        };
        let woken = poll(&mut [PollFd::new(wake, PollFlags::IN)], limit.as_ref()) == Ok(1);
        let readable = if wanted.output { self.readable() } else { [false; 2] };
        Ready { woken, readable }
    }

    /// Of which outputs there is a piece, or the end.
    fn readable(&self) -> [bool; 2] {
        Stream::BOTH.map(|stream| {
            self.outputs[stream as usize].as_ref().is_some_and(|output| {
                !output.pieces.is_empty() || output.shared.ended.load(Ordering::Acquire)
            })
        })
    }

    fn open(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().flatten()
    }
}

impl Output {
    fn start(mut pipe: impl io::Read + Send + 'static, waker: &Waker) -> io::Result<Self> {
        let (ready, pieces) = bounded(1);
        let shared = Arc::new(Shared::default());
        let (told, waker) = (Arc::clone(&shared), waker.clone());
        threads::spawn("pipe out", move || {
            let mut buffer = vec![0; PIECE];
            // Every error means that there is nobody to hear any more.
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                told.unread.fetch_add(length as u64, Ordering::AcqRel);
                if ready.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
                waker.wake();
            }
            told.ended.store(true, Ordering::Release);
            waker.wake();
        })?;
        Ok(Self { pieces, shared })
    }
}
