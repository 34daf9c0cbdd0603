//! The terminal during registration: code, address and QR code, what is waited
//! for, Ctrl-C. On a pipe: the words alone.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::super::progress::Progress;
use super::super::{exit, print, terminal};
use super::register::{Offer, Surroundings, qr};
use crate::config::duration;
use crate::signals;

/// Shows registration on stdout, and ends it with Ctrl-C.
pub struct Console {
    interrupts: Receiver<()>,
    /// Keeps the channel open where Ctrl-C could not be caught.
    open: Sender<()>,
    caught: bool,
    progress: Option<Progress>,
}

impl Default for Console {
    fn default() -> Self {
        let (tell, interrupts) = bounded(1);
        Self { interrupts, open: tell, caught: false, progress: None }
    }
}

impl Console {
    /// From now on Ctrl-C ends a wait, not the process: a token that is on its way
    /// is not lost. Pressed again before that, it ends everything.
    fn catch(&mut self) {
        if std::mem::replace(&mut self.caught, true) {
            return;
        }
        let tell = self.open.clone();
        // Where it cannot be caught, Ctrl-C ends the process.
        let _ = signals::on_interrupt(move || {
            if tell.try_send(()).is_err() {
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
        });
    }
}

impl Surroundings for Console {
    fn show(&mut self, offer: &Offer) {
        self.progress = None;
        print(&shown(offer, terminal::is_coloured(&io::stdout()), qr_columns()));
        self.catch();
    }

    fn waits_for(&mut self, what: &str) {
        match &self.progress {
            Some(progress) => progress.now(what),
            None => self.progress = Some(Progress::begin(what)),
        }
    }

    fn wait(&mut self, pause: Duration) -> bool {
        let goes_on = self.interrupts.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        if !goes_on {
            self.progress = None;
        }
        goes_on
    }
}

/// Columns for a QR code; `None` where it could not be seen.
fn qr_columns() -> Option<usize> {
    if io::stdout().is_terminal() && terminal::is_utf8() { terminal::columns() } else { None }
}

/// What a person reads.
fn shown(offer: &Offer, colours: bool, columns: Option<usize>) -> String {
    let (bold, plain) = if colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let Offer { code, address, expires_in } = offer;
    let mut text = format!(
        "\nTo register this machine, open\n\n    {bold}{address}{plain}\n\n\
         sign in as an administrator, and compare the code:\n\n    {bold}{code}{plain}\n\n"
    );
    if let Some(drawing) = columns.and_then(|columns| qr::draw(address, columns, colours)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{drawing}");
    }
    let _ =
        writeln!(text, "The code is good for {}. Ctrl-C ends this.", duration::show(*expires_in));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_address_are_shown_and_drawn_where_there_is_room() {
        let offer = Offer {
            code: "ABCD-EF23".into(),
            address: "https://hub.example/connect?code=ABCD-EF23".into(),
            expires_in: Duration::from_secs(300),
        };
        let plain = shown(&offer, false, None);
        assert!(plain.contains("\n    ABCD-EF23\n") && plain.contains("5m."), "{plain}");
        assert!(plain.is_ascii());
        assert!(shown(&offer, false, Some(80)).contains('█'));
        assert_eq!(shown(&offer, false, Some(20)), plain);
        assert!(shown(&offer, true, None).contains("\x1b[1mABCD-EF23"));
    }
}
