//! What a person does: lines that are typed or piped in, Ctrl-C, and the
//! signals that ask a program to end.

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::warn;

use super::super::exit::INTERRUPTED;
use crate::{signals, threads};

/// Lines, in order. The channel closes at the end of the input (Ctrl-D).
pub(super) struct Input {
    pub lines: Receiver<String>,
    /// Somebody types: a line may come, and matter, at any time. Otherwise each
    /// waits until the one before it is answered.
    pub typed: bool,
}

impl Input {
    /// `message` and nothing more, or what comes from stdin.
    pub fn new(message: Option<String>, typed: bool) -> Self {
        let (sender, lines) = bounded(1);
        if let Some(message) = message {
            // There is room for one.
            let _ = sender.send(message);
            return Self { lines, typed: false };
        }
        // Nothing wakes a thread from the terminal's line editing, so it ends
        // with the input or with the process.
        if let Err(error) = threads::spawn("try-stdin", move || read_lines(&sender)) {
            warn!("stdin cannot be read error={error}");
        }
        Self { lines, typed }
    }
}

fn read_lines(lines: &Sender<String>) {
    let mut stdin = stdin().lock();
    loop {
        let mut line = Vec::new();
        match stdin.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if lines.send(line.into_owned()).is_err() {
            return;
        }
    }
}

/// What somebody outside the conversation wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// Ctrl-C.
    Stop,
    /// A signal that ends programs; its exit code as shells have it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no such signals"))]
    End(u8),
}

/// Ctrl-C and the ending signals, from now until the process ends.
pub(super) struct Interrupts {
    pub told: Receiver<Interrupt>,
    leaving: Arc<AtomicBool>,
}

impl Interrupts {
    pub fn catch() -> Self {
        // Room for two: whoever presses a third time while nobody listens (a
        // terminal that was halted, say) wants out.
        let (tell, told) = bounded(2);
        let leaving = Arc::new(AtomicBool::new(false));
        let last = Arc::clone(&leaving);
        let ending = tell.clone();
        let handler = move || {
            if last.load(Ordering::Acquire) || tell.try_send(Interrupt::Stop).is_err() {
                std::process::exit(i32::from(INTERRUPTED));
            }
        };
        if let Err(error) = signals::on_interrupt(handler) {
            warn!("Ctrl-C ends everything at once error={error}");
        }
        catch_ending(ending);
        Self { told, leaving }
    }

    /// From now on one more Ctrl-C ends the process here and now.
    pub fn leave_at_the_next(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

#[cfg(unix)]
fn catch_ending(tell: Sender<Interrupt>) {
    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::iterator::Signals;

    let caught = Signals::new([SIGHUP, SIGTERM]).and_then(|mut signals| {
        threads::spawn("try-signals", move || {
            for signal in signals.forever() {
                let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
                // Told already, if there is no room.
                let _ = tell.try_send(Interrupt::End(code));
            }
        })
    });
    if let Err(error) = caught {
        warn!("SIGTERM and SIGHUP end everything at once error={error}");
    }
}

#[cfg(not(unix))]
fn catch_ending(_: Sender<Interrupt>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_whole_input() {
        let input = Input::new(Some("echo hi".to_owned()), true);
        assert!(!input.typed);
        assert_eq!(input.lines.iter().collect::<Vec<_>>(), ["echo hi"]);
    }
}
