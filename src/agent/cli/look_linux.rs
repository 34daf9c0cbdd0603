//! A look at a running process: has it read everything, and does it wait for more?

use std::os::fd::AsFd;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use super::waiting::procfs::Procfs;
use super::waiting::{self, FileId, SUPPORTED};
use crate::agent::process::child::Child;
use crate::agent::process::mark::Mark;
use crate::agent::process::pipes::Pipes;
use crate::agent::process::stream::Stream;

/// What a process reads, so that it can be recognised among its open files.
#[derive(Debug)]
pub enum Input {
    /// The pipe whose other end we hold.
    Pipe(FileId),
    /// The terminal whose master we hold. Its other end is opened for each look:
    /// kept open here, nobody could see the last user of the terminal go.
    Terminal,
}

impl Input {
    /// The input of a child; `None` where nothing could be told of it anyway.
    pub fn of(child: &Child) -> Option<Self> {
        if !SUPPORTED {
            return None;
        }
        if child.tty {
            return Some(Self::Terminal);
        }
        child.pipes.stdin.open_end().and_then(FileId::of_open).map(Self::Pipe)
    }

    /// Whether everything that was written is read, and the process waits for more.
    pub fn is_awaited_by(&self, child: &Child, mark: &Mark) -> bool {
        if child.pipes.stdin.has_backlog() {
            return false;
        }
        let Some((file, 0)) = self.unread(&child.pipes) else { return false };
        waiting::waits_for_input(&Procfs { mark }, child.root().as_raw_nonzero().get(), file)
    }

    /// What the process would read, and how many bytes of it are unread. For a
    /// terminal that is what its line discipline holds; bytes on their way there
    /// from our end cannot be seen, but are there long before it has been quiet.
    fn unread(&self, pipes: &Pipes) -> Option<(FileId, u64)> {
        let count = |end: &dyn AsFd| rustix::io::ioctl_fionread(end.as_fd()).ok();
        match self {
            Self::Pipe(file) => Some((*file, count(&pipes.stdin.open_end()?)?)),
            Self::Terminal => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                let master = pipes.outputs[Stream::Stdout as usize].as_ref()?;
                let peer = ioctl_tiocgptpeer(master, flags).ok()?;
                Some((FileId::of_open(&peer)?, count(&peer)?))
            }
        }
    }
}
