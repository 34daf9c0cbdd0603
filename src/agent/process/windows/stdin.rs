//! The way into a child: a thread writes, so that a child that does not read
//! blocks nobody else.

use std::io::{self, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::agent::process::piece::Piece;
use crate::threads;

/// A child's standard input with what it has not taken yet.
#[derive(Debug)]
pub struct Stdin {
    /// `None` once closed by us.
    pieces: Option<Sender<Piece>>,
    /// The other end, to give up what waits.
    waiting: Receiver<Piece>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes of pieces that are not written whole and that no permit bounds.
    uncounted: AtomicUsize,
    /// Nothing more is to be written, or can be.
    over: AtomicBool,
}

impl Stdin {
    /// Takes the pipe over. The thread ends with the input: at the latest when
    /// the child does, whoever waits in between.
    pub(super) fn start(mut pipe: ChildStdin) -> io::Result<Self> {
        // Bounded by the permits that travel with the pieces.
        let (pieces, waiting) = unbounded::<Piece>();
        let shared = Arc::new(Shared::default());
        let (taken, told) = (waiting.clone(), Arc::clone(&shared));
        threads::spawn("pipe in", move || {
            for piece in &taken {
                let written =
                    !told.over.load(Ordering::Acquire) && pipe.write_all(&piece.bytes).is_ok();
                told.uncounted.fetch_sub(piece.uncounted(), Ordering::AcqRel);
                if !written {
                    // Nobody reads it any more, or nobody is to.
                    told.over.store(true, Ordering::Release);
                    break;
                }
            }
        })?;
        Ok(Self { pieces: Some(pieces), waiting, shared })
    }

    /// Puts a piece at the end. What comes after the end of input is given up.
    pub fn push(&mut self, piece: Piece) {
        if !self.is_open() {
            return self.close();
        }
        if let Some(pieces) = &self.pieces {
            self.shared.uncounted.fetch_add(piece.uncounted(), Ordering::AcqRel);
            // We hold the other end too.
            let _ = pieces.send(piece);
        }
    }

    /// End of input once everything is written.
    pub fn close_after_writing(&mut self) {
        self.pieces = None;
    }

    /// End of input now; what waits is given up. A write that waits for the
    /// child ends with it.
    pub fn close(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.pieces = None;
        while self.waiting.try_recv().is_ok() {}
    }

    /// Bytes that wait although no permit bounds them.
    pub fn uncounted(&self) -> usize {
        if self.is_open() { self.shared.uncounted.load(Ordering::Acquire) } else { 0 }
    }

    /// Whether the child can still be written to.
    pub fn is_open(&self) -> bool {
        self.pieces.is_some() && !self.shared.over.load(Ordering::Acquire)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.close();
    }
}
