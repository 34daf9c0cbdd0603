//! A pseudo-terminal that carries bytes as they are.
//!
//! What is off, and why: `ECHO` (input would come back as output), `ONLCR` (every
//! newline would become two characters), `ICANON` (lines would be held back and cut
//! at 4,096 bytes), `ICRNL` (a carriage return would become a newline), `IXON`
//! (a Ctrl-S in a message would stop all output for ever). `ISIG` stays on: a
//! Ctrl-C somebody sends is a Ctrl-C. A program may set its terminal otherwise.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr,
    tcsetwinsize,
};

/// Both ends, closed on exec.
pub(super) struct Pty {
    /// The runtime's end.
    pub master: OwnedFd,
    /// The child's end, which becomes its controlling terminal.
    pub slave: OwnedFd,
}

/// Opens a terminal of `rows` by `cols` characters.
pub(super) fn open(rows: u16, cols: u16) -> io::Result<Pty> {
    // Without CLOEXEC at opening a child started at this moment would hold it.
    #[cfg(target_os = "linux")]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let master = openpt(flags)?;
    rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = open_slave(&master)?;
    let mut settings = tcgetattr(&slave)?;
    settings.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
    settings.output_modes -= OutputModes::ONLCR;
    settings.input_modes -= InputModes::ICRNL | InputModes::IXON;
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    tcsetwinsize(&slave, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok(Pty { master, slave })
}

fn open_slave(master: &OwnedFd) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let name = ptsname(master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(name, flags, Mode::empty())?)
}
