//! Log lines on their way to stderr: a bounded queue and the one thread that
//! may block on it.
//!
//! Whoever logs never waits: a line that finds the queue full is counted, and
//! the count is told once there is room. A line after a pause is written at
//! once; those that follow within [`SPELL`] are written together at its end, so
//! that a busy gateway does not wake a thread for every line. It does not know
//! what a line says.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

use crate::receive::receive_until;
use crate::threads;

/// Most lines that wait for a stderr that does not take them.
const QUEUE: usize = 1_024;

/// So many that wait are written before the spell is over.
const MANY: usize = QUEUE / 4;

/// Bytes that a pipe takes as one, whoever else writes into it.
const WHOLE: usize = 4096;

/// How long after a write the next lines are gathered.
const SPELL: Duration = Duration::from_millis(50);

/// Lines dropped since the start, because nobody read them.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines dropped since the start.
pub(super) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The way into the queue. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lines {
    /// Lines without their newlines.
    queue: Sender<String>,
    asks: Sender<Ask>,
    dropped: Arc<AtomicU64>,
}

/// What ends a spell.
enum Ask {
    /// Many lines wait.
    Hurry,
    /// Everything before this is written once it is answered.
    Flush(Sender<()>),
    /// The same, and the thread's end.
    Stop(Sender<()>),
}

/// Starts the "log" thread. `dropped_line` words the line that tells a count of dropped ones.
///
/// # Errors
/// When the system refuses another thread.
pub(super) fn start(
    writer: impl Write + Send + 'static,
    dropped_line: impl Fn(u64) -> String + Send + 'static,
) -> io::Result<(Lines, JoinHandle<()>)> {
    // The queue's bound is kept by `put`: a channel with 1,024 places would hold
    // them from the start.
    let (queue, items) = unbounded();
    let (asks, asked) = bounded(4);
    let dropped = Arc::new(AtomicU64::new(0));
    let lines = Lines { queue, asks, dropped: Arc::clone(&dropped) };
    let thread =
        threads::spawn("log", move || write_lines(writer, &items, &asked, &dropped, dropped_line))?;
    Ok((lines, thread))
}

impl Lines {
    /// Queues a line, which holds no newline. Never blocks.
    pub fn put(&self, line: String) {
        let waiting = self.queue.len();
        if waiting >= QUEUE || self.queue.send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        if waiting == MANY {
            let _ = self.asks.try_send(Ask::Hurry);
        }
    }

    /// Waits until everything so far is written, for `bound` at most. Returns whether it was.
    pub fn flush(&self, bound: Duration) -> bool {
        self.ask(Ask::Flush, bound)
    }

    /// As [`Lines::flush`], and ends the thread. Later lines go nowhere.
    pub fn stop(&self, bound: Duration) -> bool {
        self.ask(Ask::Stop, bound)
    }

    fn ask(&self, ask: fn(Sender<()>) -> Ask, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        let (done, answer) = bounded(1);
        self.asks.send_deadline(ask(done), deadline).is_ok()
            && answer.recv_deadline(deadline).is_ok()
    }
}

fn write_lines(
    mut writer: impl Write,
    items: &Receiver<String>,
    asked: &Receiver<Ask>,
    dropped: &AtomicU64,
    dropped_line: impl Fn(u64) -> String,
) {
    let mut text = String::new();
    // Several lines in one write, unless that is more than a pipe takes as one.
    let mut put = |line: Option<String>| {
        let length = line.as_ref().map_or(WHOLE, |line| line.len() + 1);
        if text.len() + length > WHOLE && !text.is_empty() {
            // A stderr that is closed or broken is nobody's business but its reader's.
            let _ = writer.write_all(text.as_bytes());
            text = String::new();
        }
        if let Some(line) = line {
            text.push_str(&line);
            text.push('\n');
        }
    };
    loop {
        let (line, ask) = select! {
            recv(items) -> line => (line.ok(), None),
            recv(asked) -> ask => (None, ask.ok()),
        };
        // Nobody is left to say anything.
        if line.is_none() && ask.is_none() {
            return;
        }
        // A bound: who logs without end must not keep an answer waiting.
        line.into_iter().chain(items.try_iter().take(QUEUE)).for_each(|line| put(Some(line)));
        put(None);
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            put(Some(dropped_line(count)));
            put(None);
        }
        let ask = ask.or_else(|| receive_until(asked, Some(Instant::now() + SPELL)).ok());
        match ask {
            Some(Ask::Flush(done)) => {
                items.try_iter().take(QUEUE).for_each(|line| put(Some(line)));
                put(None);
                let _ = done.send(());
            }
            Some(Ask::Stop(done)) => {
                items.try_iter().take(QUEUE).for_each(|line| put(Some(line)));
                put(None);
                let _ = done.send(());
                return;
            }
            Some(Ask::Hurry) | None => {}
        }
    }
}

/// Collects what a formatter writes piece by piece and queues it line by line.
pub(super) struct LineWriter {
    lines: Lines,
    line: Vec<u8>,
}

impl LineWriter {
    pub fn new(lines: Lines) -> Self {
        Self { lines, line: Vec::new() }
    }
}

impl Write for LineWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut pieces = piece.split(|&byte| byte == b'\n');
        self.line.extend_from_slice(pieces.next().unwrap_or_default());
        for next in pieces {
            let line = std::mem::replace(&mut self.line, next.to_vec());
            self.lines.put(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stderr without the lock of the standard library's, which a blocked write
/// would hold against everybody else who says something there.
pub(super) struct Stderr;

#[cfg(unix)]
impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        let stderr = rustix::stdio::stderr();
        loop {
            match rustix::io::write(stderr, bytes) {
                // Somebody we share it with made it non-blocking.
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
                }
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(unix))]
impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A stderr whose reader can be slow: each write waits for a permit.
    struct Slow {
        permits: Receiver<()>,
        entered: Sender<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            // Disconnected: the reader is quick again.
            let _ = self.permits.recv_timeout(SOON);
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(count: u64) -> String {
        format!("dropped {count}")
    }

    #[test]
    fn a_blocked_reader_blocks_nobody_and_the_lost_lines_are_told() {
        let (permit, permits) = bounded(0);
        let (entered, blocked) = crossbeam_channel::unbounded();
        let written = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow { permits, entered, written: Arc::clone(&written) };
        let (lines, thread) = start(slow, told).unwrap();
        lines.put("first".into());
        blocked.recv_timeout(SOON).unwrap();
        // The thread is in its write: the queue takes its bound, and not one more.
        for n in 0..QUEUE + 7 {
            lines.put(n.to_string());
        }
        assert!(!lines.flush(Duration::from_millis(1)), "nothing can be flushed");
        drop(permit);
        assert!(lines.flush(SOON));
        assert!(lines.stop(SOON));
        thread.join().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let got: Vec<&str> = text.lines().collect();
        assert_eq!(got[..3], ["first", "dropped 7", "0"]);
        assert_eq!(got.len(), QUEUE + 2);
        assert_eq!(got.last(), Some(&"1023"));
        lines.put("after the end".into());
        assert!(!lines.flush(SOON));
    }

    #[test]
    fn pieces_become_one_line() {
        let (queue, items) = unbounded();
        let (asks, _asked) = bounded(1);
        let lines = Lines { queue, asks, dropped: Arc::default() };
        let mut writer = LineWriter::new(lines);
        write!(writer, "a={} ", 1).unwrap();
        assert!(items.is_empty());
        writeln!(writer, "b={}", 2).unwrap();
        assert_eq!(items.try_recv().as_deref(), Ok("a=1 b=2"));
    }
}
