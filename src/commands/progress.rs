//! Tells somebody at a terminal what is being waited for, once it lasts.
//!
//! Nothing for two seconds, then one line on stderr that counts the seconds and
//! is taken away at the end. Where escape sequences are not wanted it is written
//! once and stays; where nobody looks, nothing is written at all.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::terminal;
use crate::threads;

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the line is drawn again.
const PACE: Duration = Duration::from_secs(1);

/// Shown from [`Progress::begin`] until dropped. Whoever holds it writes nothing
/// to the terminal meanwhile.
pub struct Progress {
    /// What is waited for now.
    what: Arc<Mutex<String>>,
    /// Nothing is sent; dropping it ends the thread.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// `what` is being waited for: "the hub's answer". Shows nothing unless both
    /// stdout and stderr are a terminal.
    pub fn begin(what: impl Into<String>) -> Self {
        let err = io::stderr();
        if !err.is_terminal() || !io::stdout().is_terminal() {
            return Self { what: Arc::default(), alive: None, thread: None };
        }
        let redraws = terminal::is_coloured(&err);
        Self::on(err, redraws, what.into(), PATIENCE)
    }

    fn on(
        out: impl Write + Send + 'static,
        redraws: bool,
        what: String,
        patience: Duration,
    ) -> Self {
        let (alive, over) = bounded(0);
        let what = Arc::new(Mutex::new(what));
        let line =
            Line { out, redraws, what: Arc::clone(&what), since: Instant::now(), drawn: None };
        // Without a thread nothing is shown, which harms nobody.
        let thread = threads::spawn("progress", move || line.keep(&over, patience)).ok();
        Self { what, alive: Some(alive), thread }
    }

    /// From now on this is waited for.
    pub fn now(&self, what: impl Into<String>) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Line<W> {
    out: W,
    redraws: bool,
    what: Arc<Mutex<String>>,
    since: Instant,
    /// What stands there.
    drawn: Option<String>,
}

impl<W: Write> Line<W> {
    fn keep(mut self, over: &Receiver<()>, patience: Duration) {
        let mut next = self.since + patience;
        while over.recv_deadline(next) == Err(RecvTimeoutError::Timeout) {
            self.draw();
            next = Instant::now() + PACE;
        }
        self.clear();
    }

    fn draw(&mut self) {
        let what = self.what.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.redraws {
            let seconds = self.since.elapsed().as_secs();
            self.write(&format!("\r\x1b[K  waiting for {what} ({seconds} s)"));
        } else if self.drawn.as_ref() != Some(&what) {
            // A line that cannot be redrawn is written anew for new words.
            self.write(&format!("  waiting for {what}\n"));
        }
        self.drawn = Some(what);
    }

    fn clear(&mut self) {
        if self.drawn.is_some() && self.redraws {
            self.write("\r\x1b[K");
        }
    }

    fn write(&mut self, text: &str) {
        // A terminal that is gone shows nothing.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;

    use super::*;

    struct Paper(Sender<String>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn begun(redraws: bool, patience: Duration) -> (Progress, Receiver<String>) {
        let (paper, read) = unbounded();
        (Progress::on(Paper(paper), redraws, "the hub".into(), patience), read)
    }

    #[test]
    fn what_is_over_soon_is_not_mentioned() {
        let (progress, read) = begun(true, Duration::from_secs(60));
        drop(progress);
        assert_eq!(read.try_iter().count(), 0);
    }

    #[test]
    fn a_line_is_shown_and_taken_away() {
        let (progress, read) = begun(true, Duration::ZERO);
        let line = read.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(line.starts_with("\r\x1b[K  waiting for the hub ("), "{line:?}");
        progress.now("you");
        let line = read.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(line.contains("waiting for you"), "{line:?}");
        drop(progress);
        assert_eq!(read.iter().last().as_deref(), Some("\r\x1b[K"));
    }

    #[test]
    fn without_escape_sequences_it_is_written_once() {
        let (progress, read) = begun(false, Duration::ZERO);
        let line = read.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(line, "  waiting for the hub\n");
        drop(progress);
        assert_eq!(read.iter().count(), 0);
    }

    #[test]
    fn nothing_is_shown_where_nobody_looks() {
        // Tests run without a terminal, or with one that only stderr would be.
        if !io::stdout().is_terminal() {
            assert!(Progress::begin("x").thread.is_none());
        }
    }
}
