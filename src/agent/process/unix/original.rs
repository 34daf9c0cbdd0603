//! What the runtime changes about itself at its start, so that children can
//! have it back as it was.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Enough for every session one machine can hold, and a bound where the hard limit is none.
const MOST_OPEN_FILES: u64 = 1 << 20;

/// Values from before the runtime changed them. `None`: never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Soft limit of open files.
    pub open_files: Option<u64>,
    /// Mode bits new files must not have.
    pub umask: Option<u32>,
}

impl Original {
    /// Raises this process's soft limit of open files to the hard one, and
    /// makes its new files its owner's alone. Once, before any child.
    pub fn change() -> Self {
        // `RawMode` is not 32 bits wide everywhere.
        #[allow(clippy::useless_conversion)]
        let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO).bits().into();
        Self { open_files: raise_open_files(), umask: Some(umask) }
    }

    /// Puts everything back, in the child.
    pub(super) fn restore(self) -> std::io::Result<()> {
        if let Some(umask) = self.umask {
            // The cast narrows to what it was widened from.
            #[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)]
            rustix::process::umask(Mode::from_bits_truncate(umask as rustix::fs::RawMode));
        }
        if let Some(soft) = self.open_files {
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum })?;
        }
        Ok(())
    }
}

/// Raises this process's soft limit of open files to the hard one and returns
/// the soft limit from before; `None` when it stays as it is.
pub fn raise_open_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current?;
    let wanted = maximum.unwrap_or(MOST_OPEN_FILES).min(MOST_OPEN_FILES);
    if wanted <= soft {
        return None;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).ok().map(|()| soft)
}
